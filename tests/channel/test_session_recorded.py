"""The channel against the recorded agent: it sends the official client's frames and delivers the same bytes."""

from __future__ import annotations

import json

from ssm_ssh.channel.events import Established, Event, Output
from ssm_ssh.channel.message import ACKNOWLEDGE, INPUT, OUTPUT, STREAM, acknowledged_number
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

    def __init__(self, name: str) -> None:
        self.channel = Channel(client_id="c", client_version="1.2.0.0", epoch=0.0)
        self.channel.connected(0.0)
        self.frames: list[bytes] = []
        self.events: list[Event] = []
        self.early: list[Recorded] = []
        for row in binary(name):
            if row.receiver == "gateway":
                continue
            if row.sender == "client":
                if row.fields["message_type"] == INPUT and row.fields["payload_type"] == STREAM:
                    self.channel.send(row.frame[120:], row.at)
            elif row.fields["message_type"] == ACKNOWLEDGE and not self.was_sent(row):
                self.early.append(row)
            else:
                self.events += self.channel.receive(row.frame, row.at)
            self.turn(row.at)

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
    replay.channel.terminate(5.6)
    replay.turn(5.6)
    assert replay.of_kind(INPUT)[-1] == client_frames("port-forward-mux", INPUT)[-1]


def test_a_shell_session_without_handshake_delivers_the_recorded_bytes() -> None:
    replay = Replay("shell-no-handshake")
    assert replay.of_kind(ACKNOWLEDGE) == client_frames("shell-no-handshake", ACKNOWLEDGE)
    assert replay.events[0] == Established("")
    assert delivered(replay.events) == agent_output("shell-no-handshake")


def test_the_opening_frame_is_the_recorded_one_but_for_its_ids() -> None:
    text = next(row.text for row in recorded("ssh") if row.sender == "client" and row.text)
    official = json.loads(text)
    channel = Channel(client_id=official["ClientId"], client_version=official["ClientVersion"], epoch=0.0)
    opening = channel.open_message(official["TokenValue"])
    assert len(json.loads(opening)["RequestId"]) == 36
    assert opening.replace(json.loads(opening)["RequestId"], official["RequestId"]) == text
