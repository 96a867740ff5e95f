"""Installed programs of this machine that the lab ignores.

A developer's machine has sshd, sftp-server, rsync and nss_wrapper; a new user's may have none of them. With their names
in the environment variable SSM_SSH_TEST_HIDE the lab behaves there as on a machine without them.
"""

from __future__ import annotations

import os

VARIABLE = "SSM_SSH_TEST_HIDE"


def is_hidden(program: str) -> bool:
    """Return whether `program` (sshd, sftp-server, rsync, nss_wrapper, ...) is to be taken as not installed."""
    return program in os.environ.get(VARIABLE, "").split()
