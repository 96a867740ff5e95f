"""Where things are kept: the platform's own folders, as platformdirs names them.

Nothing of ours lives in a shared temporary directory, and nothing uses platformdirs' runtime folder: without
XDG_RUNTIME_DIR that is a guessable name under /tmp, where whoever comes first wins.
"""

from __future__ import annotations

from pathlib import Path

_APP = "ssm-ssh"


def data_folder() -> Path:
    """Folder of the key pair and of what must outlive a cache."""
    from platformdirs import user_data_path

    return user_data_path(_APP, appauthor=False)


def state_folder() -> Path:
    """Folder of the log and of what was learned about instances."""
    from platformdirs import user_state_path

    return user_state_path(_APP, appauthor=False)


def config_folder() -> Path:
    """Folder of the settings file."""
    from platformdirs import user_config_path

    return user_config_path(_APP, appauthor=False)
