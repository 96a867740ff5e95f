"""As whom a session's program runs, and in which environment.

After amazon-ssm-agent, agent/session/shell/shell_unix.go (StartCommandExecutor).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from ssm_ssh.lab.accounts.accounts import Accounts
from ssm_ssh.lab.agent.document import Preferences

DEFAULT_USER = "ssm-user"
# The agent's service sets it; its sessions inherit it.
DIRECTORY = "/usr/bin"
_TERM = "xterm-256color"


class StartFailed(Exception):
    """The session's program cannot be started; the text is the official agent's."""


class Login(NamedTuple):
    """How a session's program is started: environment, directory and arguments of subprocess.Popen."""

    user: str
    environment: dict[str, str]
    options: dict[str, Any]
    owner: tuple[int, int] | None  # of its pseudo-terminal


def log_in(accounts: Accounts, wanted: Preferences, *, elevated: bool) -> Login:
    """Return the login that the preferences ask for; `elevated`: as root. Makes ssm-user. Raises StartFailed."""
    user = "root" if elevated else _user(accounts, wanted)
    # A service of the system has no login: USER, LOGNAME and SHELL are not set.
    environment = {
        "PATH": accounts.path(user) if user == "root" else accounts.session_path(),
        "LANG": "C.UTF-8",
        "TERM": _TERM,
        "HOME": str(accounts.home(user)),
        **accounts.names(user),
    }
    directory = DIRECTORY if Path(DIRECTORY).is_dir() else "/"
    owner = (accounts.uid, accounts.gid) if accounts.as_root and user != "root" else None
    return Login(user, environment, {"cwd": directory, **accounts.identity(user)}, owner)


def _user(accounts: Accounts, wanted: Preferences) -> str:
    if not wanted.run_as:
        accounts.add(DEFAULT_USER)
        return DEFAULT_USER
    user = wanted.run_as_user.strip()
    if not user:
        raise StartFailed("please set the RunAs default user")
    if user == "root":
        raise StartFailed("invalid uid and gid")
    if user not in accounts.users:
        raise StartFailed(f"failed to start pty since RunAs user {user} does not exist")
    return user
