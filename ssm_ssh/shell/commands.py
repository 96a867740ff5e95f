"""PURE: the document and the command that start the shell that a user asks for."""

from __future__ import annotations

from ssm_ssh.names import check_user
from ssm_ssh.startup import NamedTuple

# The document whose parameter `command` a pty runs, by `sh -c`.
# https://docs.aws.amazon.com/systems-manager/latest/userguide/session-manager-working-with-sessions-start.html
INTERACTIVE_DOCUMENT = "AWS-StartInteractiveCommand"
_INSIDE = "'cd 2>/dev/null; SHELL=$0; export SHELL; exec \"$0\"'"
_NO_SUDO = "sudo is not installed, which ssm-ssh shell --user needs"


class Start(NamedTuple):
    """What to start: a document ("": the account's shell session), and its parameters. `unix`: not for Windows."""

    document: str = ""
    parameters: tuple[tuple[str, tuple[str, ...]], ...] = ()
    unix: bool = False


def chosen_shell(user: str, *, login: bool) -> Start:
    """Return what starts a shell of `user` ("": the session's own), a login shell if `login`. Raises UsageError."""
    if not user and not login:
        return Start()
    command = _own_login_shell() if not user else _shell_of(check_user(user), login=login)
    return Start(INTERACTIVE_DOCUMENT, (("command", (command,)),), unix=True)


def _own_login_shell() -> str:
    return f'{_find_shell("$(id -un)")}; cd ~ 2>/dev/null; SHELL=$s; export SHELL; exec "$s" -l'


def _shell_of(user: str, *, login: bool) -> str:
    # A user's name has no character that a shell takes for something else, but a `$` may end it.
    quoted = f"'{user}'"
    has_sudo = f'command -v sudo >/dev/null 2>&1 || {{ echo "{_NO_SUDO}"; exit 1; }}'
    if login:
        return f"{has_sudo}; exec sudo -i -u {quoted}"
    # Not `sudo -s`, which starts the shell of the user who calls it. sh finds the home folder by -H.
    return f'{has_sudo}; {_find_shell(quoted)}; exec sudo -H -u {quoted} sh -c {_INSIDE} "$s"'


def _find_shell(user: str) -> str:
    """Return a command that sets s to the shell of `user` in the password database, or to sh."""
    return f's=$(getent passwd {user} 2>/dev/null | cut -d: -f7); [ -x "$s" ] || s=/bin/sh'
