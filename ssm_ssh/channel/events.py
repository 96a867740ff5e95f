"""What the data channel reports to its caller: the return values of `Channel.receive`."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import TypeAlias

    from ssm_ssh.errors import SsmSshError


class Output(NamedTuple):
    """Bytes of the stream, in order and exactly once."""

    data: bytes


class StdErr(NamedTuple):
    """Bytes that belong on the standard error of a session that keeps them apart from its output."""

    data: bytes


class Notice(NamedTuple):
    """One printable line meant for the user, such as the account's customer message."""

    text: str


class Established(NamedTuple):
    """The agent is ready; `agent_version` is empty where no handshake told it."""

    agent_version: str


class ExitCode(NamedTuple):
    """The session's command ended with this exit code."""

    code: int


class Closed(NamedTuple):
    """The gateway closed the channel for good; `reason` is one printable line, possibly empty."""

    reason: str


class Refused(NamedTuple):
    """The agent asked for something in the handshake that cannot be met; it will end the session."""

    error: SsmSshError


Event: TypeAlias = "Output | StdErr | Notice | Established | ExitCode | Closed | Refused"
