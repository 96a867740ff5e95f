"""Where files are kept: the platform's own folders.

They are the folders that platformdirs names. Importing it would cost a connection 5 to 8 ms, so a test
compares the two. Linux: https://specifications.freedesktop.org/basedir/latest/, macOS: ~/Library/Application
Support, where the variables of that specification count as well.

Nothing is kept in a shared temporary directory or in the runtime folder: without XDG_RUNTIME_DIR that would be a
guessable name under /tmp, which another user can take first.

Every function raises UsageError where there is no home, or HOME is a path that depends on the current folder.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from ssm_ssh.errors import UsageError

_APP = "ssm-ssh"
_MACOS = "Library/Application Support"


def data_folder() -> Path:
    """Folder of the key pair and of everything that must outlive a cache."""
    return _folder("XDG_DATA_HOME", ".local/share")


def state_folder() -> Path:
    """Folder of the log and of what was learned about instances."""
    return _folder("XDG_STATE_HOME", ".local/state")


def config_folder() -> Path:
    """Folder of the settings file."""
    return _folder("XDG_CONFIG_HOME", ".config")


def _folder(variable: str, default: str) -> Path:
    """Return the folder below what `variable` names; the specification ignores a path that is not absolute."""
    _check_home()
    base = os.environ.get(variable, "")
    if not base.startswith("/"):
        base = os.path.expanduser(f"~/{_MACOS if sys.platform == 'darwin' else default}")  # noqa: PTH111 - as platformdirs
    return Path(base, _APP)


def _check_home() -> None:
    # Versions of platformdirs differ in what they make of it, and ssh goes elsewhere in any case.
    home = os.environ.get("HOME")
    if home is None:
        import pwd

        try:
            home = pwd.getpwuid(os.getuid()).pw_dir
        except KeyError:
            home = ""
        if not home:
            raise UsageError("there is no HOME, and the user has no entry in the password database", "Set HOME")
    if not Path(home).is_absolute():
        raise UsageError(f"HOME is {home or 'empty'}, which is not an absolute path", "Set HOME to your home folder")
