"""Where ssh looks for its configuration, and what a program that is started from there must be told."""

from __future__ import annotations

import os
import pwd
from pathlib import Path
from typing import NamedTuple

from ssm_ssh.errors import UsageError
from ssm_ssh.sshconfig.managed_file import check_path

MANAGED = "ssm-ssh.config"
# What decides on our folders. A program that is started from cron or a desktop does not have the shell's values.
_FOLDERS = {
    "XDG_DATA_HOME": ".local/share",
    "XDG_STATE_HOME": ".local/state",
    "XDG_CONFIG_HOME": ".config",
    "XDG_CACHE_HOME": ".cache",
}


class Place(NamedTuple):
    """Whose configuration it is."""

    home: Path

    @property
    def folder(self) -> Path:
        """`~/.ssh`."""
        return self.home / ".ssh"

    def shown(self, path: Path) -> str:
        """Return `path` as it is told: `~` for the home folder."""
        return f"~/{path.relative_to(self.home)}" if path.is_relative_to(self.home) else str(path)

    @property
    def config(self) -> Path:
        """The user's own configuration."""
        return self.folder / "config"

    @property
    def managed(self) -> Path:
        """The file that ssm-ssh owns whole."""
        return self.folder / MANAGED


def password_home() -> Path:
    """Return the home folder that the password database names, which is what ssh takes `~` for."""
    try:
        return Path(pwd.getpwuid(os.getuid()).pw_dir)
    except KeyError as error:
        raise UsageError(
            f"no user has the id {os.getuid()}", "Add an entry for this user to the password database"
        ) from error


def find_place() -> Place:
    """Return the place of the user who runs this.

    In a lab it is the lab's home, since the lab's ssh reads that one. Raises UsageError where HOME and the password
    database disagree: ssh would read the configuration in one, and look for key and credentials in the other.
    """
    home = Path(os.environ.get("HOME") or "/")
    lab = os.environ.get("SSM_SSH_LAB")
    if lab and home.is_relative_to(lab):
        return Place(home)
    ours = password_home()
    if os.environ.get("HOME") and os.path.realpath(home) != os.path.realpath(ours):
        raise UsageError(
            f"HOME is {home}, but ssh uses the password database, where your home is {ours}",
            f"Under sudo use sudo -H; otherwise run: HOME='{ours}' ssm-ssh ...",
        )
    check_path(str(ours), "your home folder")
    return Place(ours)


def environment(home: Path) -> tuple[tuple[str, str], ...]:
    """Return what must be set for the program, so that it finds the same folders wherever it is started from."""
    variables = []
    for name, usual in _FOLDERS.items():
        value = os.environ.get(name, "")
        if value.startswith("/") and os.path.realpath(value) != os.path.realpath(home / usual):
            variables.append((name, value))
    return tuple(variables)
