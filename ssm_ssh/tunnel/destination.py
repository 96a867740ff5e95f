"""PURE: where an SSH connection goes: a TCP port of an instance, and a user there."""

from __future__ import annotations

from ssm_ssh import names
from ssm_ssh.errors import UsageError
from ssm_ssh.startup import TYPE_CHECKING

if TYPE_CHECKING:
    from ssm_ssh.target import Target

_LONGEST_PORT, _LAST_PORT = 5, 65535


class SshDestination:
    """sshd's port on an instance, and the user who logs in there. `host` is the name by which ssh knows it."""

    __slots__ = ("host", "port", "target", "user")

    def __init__(self, target: Target, port: int, user: str, host: str = "") -> None:
        """`host`: "" for the instance id."""
        self.target = target
        self.port = port
        self.user = user
        self.host = host or target.instance_id

    def __repr__(self) -> str:
        return f"SshDestination({self.target!r}, {self.port}, {self.user!r}, {self.host!r})"

    @property
    def instance_id(self) -> str:
        """The instance's id."""
        return self.target.instance_id

    @property
    def session_parameters(self) -> dict[str, list[str]]:
        """The parameters of a session document that carries one TCP connection."""
        return {"portNumber": [str(self.port)]}


def parse_destination(target: Target, port: str, user: str, host: str = "") -> SshDestination:
    """Return the destination that ssh's `%p %r` name on `target`; `host` is its `%h`. Raises UsageError."""
    return SshDestination(target, parse_port(port), names.check_user(user), host)


def parse_port(text: str) -> int:
    """Return the TCP port that `text` names. Raises UsageError."""
    if not (text.isascii() and text.isdigit() and len(text) <= _LONGEST_PORT and 1 <= int(text) <= _LAST_PORT):
        raise UsageError(f"'{text[:80]}' is not a port", f"Use a number from 1 to {_LAST_PORT}")
    return int(text)
