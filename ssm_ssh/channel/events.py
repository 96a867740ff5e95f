"""The events of the data channel: what `Channel.receive` returns."""

from __future__ import annotations

from ssm_ssh.startup import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import TypeAlias

    from ssm_ssh.errors import SsmSshError


class Output(NamedTuple):
    """Bytes of the stream, in order and exactly once."""

    data: bytes


class StdErr(NamedTuple):
    """Standard error of a session that separates it from standard output."""

    data: bytes


class Notice(NamedTuple):
    """One printable line for the user, such as the account's customer message."""

    text: str


class Established(NamedTuple):
    """The agent is ready. `agent_version` is empty if there was no handshake."""

    agent_version: str


class ExitCode(NamedTuple):
    """The session's command ended with this exit code."""

    code: int


class Closed(NamedTuple):
    """The gateway closed the channel for good. `reason` is one printable line, possibly empty."""

    reason: str


class Refused(NamedTuple):
    """The agent's handshake asks for something unsupported, so the agent will end the session."""

    error: SsmSshError


class ConnectFailed(NamedTuple):
    """The agent could not connect to the server. In a forward the end of that connection's stream follows."""


class KeyRequest(NamedTuple):
    """The agent wants the session encrypted with a data key of `key_id`; the answer is Channel.use_key or refuse_key.

    `challenge` is "" unless it belongs into the encryption context.
    """

    key_id: str
    challenge: str


Event: TypeAlias = "Output | StdErr | Notice | Established | ExitCode | Closed | Refused | ConnectFailed | KeyRequest"
