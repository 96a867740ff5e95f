"""Finds one alias in the file that ssm-ssh owns, as fast as a connection wants it: without a parser of ssh_config."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ssm_ssh.errors import SsmSshError
from ssm_ssh.names import is_alias_label

if TYPE_CHECKING:
    from ssm_ssh.sshconfig.managed_file import Alias


def find_alias(name: str) -> Alias | None:
    """Return the alias `name` that `ssm-ssh sync` made; None where there is none, or no file that can be read.

    Upper and lower case differ only where two aliases differ in nothing else.
    """
    from ssm_ssh.sshconfig.locations import find_place

    if not is_alias_label(name):
        return None
    try:
        text = find_place().managed.read_text(encoding="utf-8", errors="replace")
    except (SsmSshError, OSError):
        return None
    return find_in(text, name)


def find_in(text: str, name: str) -> Alias | None:
    """Return the alias `name` of a file that `managed_file.render` wrote, None if it has none."""
    from ssm_ssh.sshconfig.managed_file import MARK, Alias, check_alias

    if not text.startswith(MARK):
        return None
    spelled = re.escape(name)
    block = re.search(rf"^Host ({spelled})\n((?: +.*\n)+)", text, re.MULTILINE)
    block = block or re.search(rf"^Host ({spelled})\n((?: +.*\n)+)", text, re.MULTILINE | re.IGNORECASE)
    if block is None:
        return None
    values = dict(re.findall(r'^ +(HostName|User) "?([^"\n]+)"?$', block[2], re.MULTILINE))
    # Versions before 0.2 wrote no host before originalhost.
    match = re.search(
        rf'^Match (?:host "[^"\n]*" )?originalhost "{re.escape(block[1])}" .*\n +ProxyCommand (.*)$', text, re.MULTILINE
    )
    options = dict(re.findall(r'(--[a-z-]+) "([^"]*)"', match[1] if match else ""))
    alias = Alias(
        block[1],
        values.get("HostName", ""),
        values.get("User", ""),
        options.get("--profile", ""),
        options.get("--region", ""),
    )
    try:
        return check_alias(alias)
    except SsmSshError:
        return None
