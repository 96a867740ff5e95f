"""`ssm-ssh status`: what is set up, whether ssh would use it, and what to mind."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ssm_ssh import __version__
from ssm_ssh.cli.arguments import Arguments
from ssm_ssh.errors import SsmSshError
from ssm_ssh.text import printable

if TYPE_CHECKING:
    from ssm_ssh.sshconfig.place import Place
    from ssm_ssh.sshconfig.proof import Ssh

_DESCRIPTION = """\
Show what `ssm-ssh setup` has set up, whether it is current and whether ssh would use it, which profile and region
apply and where they come from, and what is dangerous or in the way. Nothing is changed and AWS is not called.
"""

_EPILOG = """\
exit status: 0 ssh would use ssm-ssh, and everything is current; 1 not so.
"""

_MOST_REMOVALS = 5


def run(argv: list[str]) -> int:
    """Run the command; returns 0 when ssh would use ssm-ssh as it is now."""
    import argparse

    parser = Arguments(
        prog="ssm-ssh status",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.parse_args(argv)
    from ssm_ssh.sshconfig import place, proof

    where, ssh = place.find_place(), proof.find_ssh()
    _row("ssm-ssh", __version__)
    good = _configuration(where, ssh)
    _row("program", " ".join(place.program()))
    _choice()
    _removals()
    return 0 if good else 1


def _row(name: str, value: str) -> None:
    print(f"{name:<10}{printable(value, 400)}")


def _configuration(where: Place, ssh: Ssh) -> bool:
    from ssm_ssh.sshconfig import edit, install, interfere, proof
    from ssm_ssh.sshconfig.compose import compose
    from ssm_ssh.sshconfig.managed import body, render
    from ssm_ssh.sshconfig.replace import look
    from ssm_ssh.sshconfig.scan import scan

    config, own = look(where.config), look(where.managed)
    stored = install.stored(config, own)
    wanted = compose(where, stored)
    text = render(wanted).encode("utf-8", "surrogateescape")
    line = edit.include_line(str(where.managed))
    inline = edit.has_block(config.text)
    if not inline and not edit.has_line(config.text, line):
        _row("setup", "not set up; run: ssm-ssh setup")
        return False
    problems = []
    if inline:
        _row("setup", f"a block in {where.config}")
        current = edit.block_in(config.text) == text.strip(b"\n") + b"\n"
    else:
        _row("setup", f"{where.managed}, included by the first line of {where.config}")
        current = own.content == text
        if not edit.line_is_first(config.text, line):
            problems.append(
                f"{where.config}: the line that includes ssm-ssh's rules is not the first; what precedes it wins"
            )
    if not current:
        problems.append("the rules are not those of this version and place of ssm-ssh; run: ssm-ssh setup")
    outcomes = [ssh.ask(name) for name in proof.IDS]
    reason = next(filter(None, map(proof.rejected, outcomes)), "")
    command = next(value for keyword, value in body(wanted) if keyword == "ProxyCommand")
    # ssh -G prints the tokens as they are.
    used = not reason and all(one.value("proxycommand") == command for one in outcomes)
    _row("ssh", f"{ssh.version()} at {ssh.program}: {'uses it' if used else 'does not use it'}")
    if reason:
        problems.append(f"ssh does not accept its configuration: {reason}")
    elif not used:
        problems.append(f"ssh would run for an instance: {outcomes[0].value('proxycommand') or 'no ProxyCommand'}")
    for problem in problems:
        _row("problem", problem)
    if not reason:
        directives = scan(where.config, where.folder, skip=where.managed)
        for note in interfere.notes(where, directives, outcomes[0], outcomes[2]):
            _row("danger" if note.danger else "mind", note.line())
    return used and current


def _choice() -> None:
    from ssm_ssh import choice, locate, settings

    chosen = choice.choose(settings.load(), os.environ)
    _row("profile", f"{chosen.profile or 'default'}{_from(chosen.profile_from)}")
    try:
        found = locate.aws_settings(chosen, os.environ)
    except SsmSshError as error:
        _row("region", error.sentence())
        return
    fallback = chosen.fallback_from if found.region == chosen.fallback else ""
    _row("region", found.region + _from(chosen.region_from or fallback or f"the profile in {found.files.config_path}"))


def _removals() -> None:
    """Name the entries in authorized_keys files that were to be gone by now, and are not known to be."""
    import time

    from ssm_ssh.push import memory

    now = time.time()
    overdue: dict[tuple[str, str], float] = {}
    for entry in memory.entries():
        if entry.expires < now:
            overdue.setdefault((entry.instance_id, entry.user), entry.expires)
    for (instance_id, user), expires in list(overdue.items())[:_MOST_REMOVALS]:
        since = time.strftime("%Y-%m-%d %H:%M", time.localtime(expires))
        _row(
            "mind",
            f"the key that {user} on {instance_id} took until {since} is not confirmed to be removed; "
            f"run: ssm-ssh key sweep {instance_id} {user}",
        )
    if len(overdue) > _MOST_REMOVALS:
        _row("mind", f"{len(overdue) - _MOST_REMOVALS} more removals are not confirmed; run: ssm-ssh key")


def _from(origin: str) -> str:
    return f" (from {origin})" if origin else ""
