"""Shared connections: ssh's own multiplexing, so that a second connection to an instance takes milliseconds.

ssh_config(5), ControlMaster, ControlPersist and ControlPath. ssh adds a dot and 16 characters to the path while it
creates the socket (mux.c).
"""

from __future__ import annotations

import sys

from ssm_ssh.errors import UsageError
from ssm_ssh.startup import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

# Bytes of a socket's path, sun_path without its end: Linux has 108, macOS and the BSDs 104.
_LONGEST_PATH = 107 if sys.platform == "linux" else 103
# %C is the hash of local host, remote host, port and user, in 40 digits.
_NAME, _EXPANDED = "ssm-%C", len("ssm-") + 40 + len(".") + 16


def options(folder: Path, time: str) -> tuple[tuple[str, str], ...]:
    """Return ssh's options (keyword, value) for connections that are shared for `time` after the last one has ended.

    `folder` is `~/.ssh`, which only its owner may use. Raises UsageError if a path there is too long for a socket.
    """
    if time in ("", "no"):
        return ()
    if len(str(folder).encode()) + 1 + _EXPANDED > _LONGEST_PATH:
        raise UsageError(
            f"connections cannot be shared: the path of {folder} is too long for sockets in it",
            "Run: ssm-ssh setup --share no",
        )
    return (("ControlMaster", "auto"), ("ControlPersist", time), ("ControlPath", f'"{folder}/{_NAME}"'))
