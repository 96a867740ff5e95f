"""The channel against the recorded agent: it sends the official client's frames and delivers the same bytes."""

from __future__ import annotations

import json
from collections.abc import Collection
from itertools import groupby

import pytest

from ssm_ssh.channel.events import Closed, ConnectFailed, Established, Event, ExitCode, Output, Refused, StdErr
from ssm_ssh.channel.handshake import INTERACTIVE, NONINTERACTIVE, PORT, SHELL
from ssm_ssh.channel.message import ACKNOWLEDGE, FLAG, INPUT, OUTPUT, SIZE, STREAM, acknowledged_number
from ssm_ssh.channel.session import Channel
from tests.channel.vectors import Recorded, binary, recorded


def masked(frame: bytes) -> bytes:
    """A frame without its creation date and message id."""
    return frame[:40] + bytes(8) + frame[48:64] + bytes(16) + frame[80:]


def kind(frame: bytes) -> str:
    return frame[4:36].decode().strip()


class Replay:
    """Feeds a channel with a recording, at the recorded times: the agent's frames and the client's stream bytes.

    One thing differs from the recording: the official client sends stream bytes at once, while our channel waits for
    output from the agent. An acknowledgement recorded before our channel sends its message is fed right after that.
    """

    def __init__(self, name: str, session_types: Collection[str] = (PORT,)) -> None:
        self.channel = Channel(client_id="c", client_version="1.2.0.0", epoch=0.0, session_types=session_types)
        self.frames: list[bytes] = []
        self.events: list[Event] = []
        self.early: list[Recorded] = []
        typed: set[int] = set()
        for row in recorded(name):
            if row.sender == "client" and row.text:  # of a connection, the first or one that resumes
                self.channel.disconnected(row.at)
                self.channel.connected(row.at)
            if row.receiver == "gateway":
                continue
            if row.sender == "client":
                number = row.fields["sequence_number"]
                if row.fields["message_type"] == INPUT and number not in typed:
                    typed.add(number)
                    self.do(row)
            elif row.fields["message_type"] == ACKNOWLEDGE and not self.was_sent(row):
                self.early.append(row)
            else:
                self.events += self.channel.receive(row.frame, row.at)
            self.turn(row.at)

    def do(self, row: Recorded) -> None:
        """Do what made the official client send this message."""
        kind, payload = row.fields["payload_type"], row.frame[120:]
        if kind == STREAM:
            self.channel.send(payload, row.at)
        elif kind == SIZE:
            self.channel.resize(**{{"cols": "columns"}.get(key, key): n for key, n in json.loads(payload).items()})
        elif kind == FLAG:
            self.channel.terminate(row.at)

    def was_sent(self, row: Recorded) -> bool:
        number = acknowledged_number(row.frame[120:])
        return any(kind(frame) == INPUT and int.from_bytes(frame[48:56], "big") == number for frame in self.frames)

    def turn(self, now: float) -> None:
        self.frames += self.channel.frames(now, 1 << 20)
        for row in [row for row in self.early if self.was_sent(row)]:
            self.early.remove(row)
            self.events += self.channel.receive(row.frame, now)

    def of_kind(self, message_type: str) -> list[bytes]:
        return [masked(frame) for frame in self.frames if kind(frame) == message_type]


def client_frames(name: str, message_type: str) -> list[bytes]:
    rows = binary(name)
    return [masked(row.frame) for row in rows if row.sender == "client" and row.fields["message_type"] == message_type]


def agent_output(name: str) -> bytes:
    return b"".join(
        row.frame[120:]
        for row in binary(name)
        if row.sender == "agent" and row.fields["message_type"] == OUTPUT and row.fields["payload_type"] == STREAM
    )


def delivered(events: list[Event]) -> bytes:
    return b"".join(event.data for event in events if isinstance(event, Output))


def test_an_ssh_session_gives_the_recorded_frames_and_bytes() -> None:
    replay = Replay("ssh")
    assert replay.of_kind(ACKNOWLEDGE) == client_frames("ssh", ACKNOWLEDGE)
    assert replay.of_kind(INPUT) == client_frames("ssh", INPUT)
    assert delivered(replay.events) == agent_output("ssh")
    assert replay.channel.agent_version == "3.3.0.0"
    assert replay.channel.drained


def test_a_port_forwarding_session_delivers_the_recorded_bytes() -> None:
    replay = Replay("port-forward-mux")
    assert replay.of_kind(ACKNOWLEDGE) == client_frames("port-forward-mux", ACKNOWLEDGE)
    assert delivered(replay.events) == agent_output("port-forward-mux")
    assert replay.of_kind(INPUT)[-1] == client_frames("port-forward-mux", INPUT)[-1]


def test_a_shell_session_without_handshake_delivers_the_recorded_bytes() -> None:
    replay = Replay("shell-no-handshake")
    assert replay.of_kind(ACKNOWLEDGE) == client_frames("shell-no-handshake", ACKNOWLEDGE)
    assert replay.events[0] == Established("")
    assert delivered(replay.events) == agent_output("shell-no-handshake")


def payload_types(frames: list[bytes]) -> list[int]:
    """The payload types of stream messages in the order of their numbers, runs of one type as one.

    A size that repeats the last one does not count: ours is repeated after a resume, the official client's is not.
    """
    numbered = {int.from_bytes(frame[48:56], "big"): frame for frame in frames}
    types, size = [], b""
    for number in sorted(numbered):
        payload_type, payload = int.from_bytes(numbered[number][112:116], "big"), numbered[number][120:]
        if payload_type != SIZE or payload != size:
            types.append(payload_type)
        size = payload if payload_type == SIZE else size
    return [payload_type for payload_type, _ in groupby(types)]


def typed(frames: list[bytes]) -> bytes:
    numbered = {int.from_bytes(frame[48:56], "big"): frame for frame in frames}
    return b"".join(
        numbered[number][120:]
        for number in sorted(numbered)
        if int.from_bytes(numbered[number][112:116], "big") == STREAM
    )


def agent_events(name: str) -> list[tuple[type[Event], bytes]]:
    """What the agent's messages amount to, in the order of their numbers."""
    kinds = {1: Output, 10: ConnectFailed, 11: StdErr, 12: ExitCode}
    messages = {
        row.fields["sequence_number"]: (row.fields["payload_type"], row.frame[120:])
        for row in binary(name)
        if row.sender == "agent" and row.fields["message_type"] == OUTPUT
    }
    return [(kinds[kind], payload) for _, (kind, payload) in sorted(messages.items()) if kind in kinds]


SESSIONS = {
    "shell": SHELL,
    "shell-keys": SHELL,
    "shell-no-handshake": SHELL,
    "shell-profile": SHELL,
    "shell-resume": SHELL,
    "shell-terminated": SHELL,
    "interactive-command": INTERACTIVE,
    "interactive-command-ctrl-c": INTERACTIVE,
    "noninteractive-command": NONINTERACTIVE,
    "noninteractive-command-separate": NONINTERACTIVE,
    "noninteractive-command-missing": NONINTERACTIVE,
    "noninteractive-command-ctrl-c": NONINTERACTIVE,
    "forward-mux": PORT,
    "forward-remote-close": PORT,
    "forward-half-close": PORT,
    "forward-host": PORT,
    "forward-resume": PORT,
    "port-forward-mux": PORT,
}


@pytest.mark.parametrize("name", SESSIONS)
def test_a_session_of_any_type_delivers_and_sends_what_was_recorded(name: str) -> None:
    replay = Replay(name, (SESSIONS[name],))
    agent = agent_events(name)
    kept = [event for event in replay.events if isinstance(event, Output | StdErr | ExitCode)]
    assert [type(event) for event in kept] == [type_ for type_, payload in agent if payload]
    assert delivered(replay.events) == b"".join(payload for type_, payload in agent if type_ is Output)
    errors = b"".join(event.data for event in replay.events if isinstance(event, StdErr))
    assert errors == b"".join(payload for type_, payload in agent if type_ is StdErr)
    ours = [frame for frame in replay.frames if kind(frame) == INPUT]
    theirs = [row.frame for row in binary(name) if row.sender == "client" and row.fields["message_type"] == INPUT]
    assert payload_types(ours) == payload_types(theirs)
    assert typed(ours) == typed(theirs)
    assert not any(isinstance(event, Refused) for event in replay.events)


@pytest.mark.parametrize(
    ("name", "code"), [("noninteractive-command-separate", 3), ("noninteractive-command-ctrl-c", -1)]
)
def test_a_command_tells_its_exit_code(name: str, code: int) -> None:
    replay = Replay(name, (NONINTERACTIVE,))
    assert [event.code for event in replay.events if isinstance(event, ExitCode)] == [code]
    assert replay.channel.session_type == NONINTERACTIVE
    assert replay.channel.properties == {}


def test_a_forward_tells_its_type_and_its_refused_port() -> None:
    replay = Replay("forward-refused")
    assert replay.channel.session_type == PORT
    assert replay.channel.properties["type"] == "LocalPortForwarding"
    assert sum(isinstance(event, ConnectFailed) for event in replay.events) == 2
    assert delivered(replay.events) == agent_output("forward-refused")


def test_a_shell_that_cannot_start_tells_why() -> None:
    closed = Replay("shell-failed", (SHELL,)).events[-1]
    assert isinstance(closed, Closed)
    assert "RunAs user nosuchuser does not exist" in closed.reason


def test_nothing_typed_is_sent_before_the_session_has_spoken() -> None:
    replay = Replay("interactive-command-silent", (INTERACTIVE,))
    replay.channel.send(b"x", 3.0)
    replay.turn(3.0)
    assert replay.of_kind(INPUT) == []


@pytest.mark.parametrize(
    ("name", "session_type"), [("shell-kms", SHELL), ("noninteractive-command-kms", NONINTERACTIVE)]
)
def test_an_encrypted_session_is_refused_and_delivers_nothing(name: str, session_type: str) -> None:
    replay = Replay(name, (session_type,))
    refused = [event for event in replay.events if isinstance(event, Refused)]
    assert ["KMS" in event.error.message for event in refused] == [True]
    assert not any(isinstance(event, Output | StdErr | ExitCode) for event in replay.events)


@pytest.mark.parametrize("name", [name for name, kind in SESSIONS.items() if kind == NONINTERACTIVE])
def test_an_ssh_connection_refuses_other_sessions(name: str) -> None:
    replay = Replay(name)
    assert any(isinstance(event, Refused) and "not Port" in event.error.message for event in replay.events)
    assert delivered(replay.events) == b""


def test_the_opening_frame_is_the_recorded_one_but_for_its_ids() -> None:
    text = next(row.text for row in recorded("ssh") if row.sender == "client" and row.text)
    official = json.loads(text)
    channel = Channel(client_id=official["ClientId"], client_version=official["ClientVersion"], epoch=0.0)
    opening = channel.open_message(official["TokenValue"])
    assert len(json.loads(opening)["RequestId"]) == 36
    assert opening.replace(json.loads(opening)["RequestId"], official["RequestId"]) == text
