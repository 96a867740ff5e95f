"""Where things are kept: the platform's own folders, as platformdirs names them.

Nothing of ours lives in a shared temporary directory, and nothing uses platformdirs' runtime folder: without
XDG_RUNTIME_DIR that is a guessable name under /tmp, where whoever comes first wins.

Every function raises UsageError where there is no home, or HOME is a path that depends on the current folder.
"""

from __future__ import annotations

import os
from pathlib import Path

from ssm_ssh.errors import UsageError

_APP = "ssm-ssh"


def data_folder() -> Path:
    """Folder of the key pair and of what must outlive a cache."""
    from platformdirs import user_data_path

    _check_home()
    return user_data_path(_APP, appauthor=False)


def state_folder() -> Path:
    """Folder of the log and of what was learned about instances."""
    from platformdirs import user_state_path

    _check_home()
    return user_state_path(_APP, appauthor=False)


def config_folder() -> Path:
    """Folder of the settings file."""
    from platformdirs import user_config_path

    _check_home()
    return user_config_path(_APP, appauthor=False)


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
