"""Checks of the user's key and of ssm-ssh's own files."""

from __future__ import annotations

import os

from ssm_ssh.doctor.finding import Finding, State
from ssm_ssh.errors import StateError
from ssm_ssh.startup import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def check_key() -> list[Finding]:
    """Check that the key that the settings name can be used."""
    from ssm_ssh.auth import identity
    from ssm_ssh.settings import schema

    key = schema.load().text("key")
    problem = identity.problem(key, env=os.environ)
    return [Finding("key", State.PROBLEM, problem)] if problem else []


def check_files() -> list[Finding]:
    """Check that ssm-ssh's own key pair and host keys can be read."""
    from ssm_ssh.auth import keypair
    from ssm_ssh.hostkeys import admin
    from ssm_ssh.hostkeys.known_hosts import KNOWN, REFUSED
    from ssm_ssh.settings import schema
    from ssm_ssh.storage.paths import data_folder

    if not os.path.lexists(data_folder()):  # opening the folder would make it
        return []
    reads: list[Callable[[], object]] = [lambda: admin.of("", KNOWN), lambda: admin.of("", REFUSED)]
    if not schema.load().text("key"):
        reads.insert(0, keypair.show)
    findings = []
    for read in reads:
        try:
            read()
        except StateError as error:
            findings.append(Finding("files", State.PROBLEM, error.message, error.hint))
    return list(dict.fromkeys(findings))
