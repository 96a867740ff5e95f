"""The streams against recorded sessions: they send the official client's frames, and tell what its agent said."""

from __future__ import annotations

from collections import defaultdict

import pytest

from ssm_ssh.channel.message import FLAG, INPUT, OUTPUT, STREAM
from ssm_ssh.mux.frames import FIN, PSH, SYN, Decoder, Frame
from ssm_ssh.mux.streams import Arrived, Ended, Mux
from tests.channel.vectors import binary

NAMES = (
    *("forward-half-close", "forward-host", "forward-mux", "forward-refused", "forward-remote-close"),
    *("forward-resume", "port-forward-mux"),
)


class Replay:
    """Does what the official client's local sides did, and hears what the agent said, message by message."""

    def __init__(self, name: str) -> None:
        self.mux = Mux(0.0)
        self.ours: list[Frame] = []
        self.theirs: list[Frame] = []
        self.heard: dict[int, bytes] = defaultdict(bytes)
        self.ended: list[Ended] = []
        seen: set[tuple[str, int]] = set()
        client, own = Decoder(), Decoder()
        for row in binary(name):
            key = (row.sender, row.fields["sequence_number"])
            if row.fields["message_type"] not in (INPUT, OUTPUT) or key in seen:
                continue
            seen.add(key)
            kind, payload = row.fields["payload_type"], row.frame[120:]
            if row.sender == "client" and kind == STREAM:
                frames = client.feed(payload)
                self.theirs += frames
                for frame in frames:
                    self.do(frame, row.at)
            elif row.sender == "agent" and kind == STREAM:
                for event in self.mux.receive(payload, row.at):
                    if isinstance(event, Arrived):
                        self.heard[event.stream] += event.data
                    elif isinstance(event, Ended):
                        self.ended.append(event)
            elif row.sender == "agent" and kind == FLAG:
                self.mux.connect_failed()
            self.ours += own.feed(self.mux.take())

    def do(self, frame: Frame, now: float) -> None:
        if frame.command == SYN:
            assert self.mux.open(now) == frame.stream
        elif frame.command == PSH:
            self.mux.send(frame.stream, frame.payload)
        elif frame.command == FIN:
            self.mux.close(frame.stream)


def bytes_of(frames: list[Frame]) -> dict[int, bytes]:
    out: dict[int, bytes] = defaultdict(bytes)
    for frame in frames:
        out[frame.stream] += frame.payload
    return out


@pytest.mark.parametrize("name", NAMES)
def test_the_official_clients_frames_are_sent(name: str) -> None:
    replay = Replay(name)
    for command in (SYN, FIN):
        ours, theirs = (
            [frame for frame in frames if frame.command == command] for frames in (replay.ours, replay.theirs)
        )
        assert ours == theirs
        assert ours or (command, name) == (FIN, "port-forward-mux")
    if name != "forward-refused":  # the official client goes on sending after the agent's FIN
        assert bytes_of(replay.ours) == bytes_of(replay.theirs)


def test_both_connections_are_refused() -> None:
    replay = Replay("forward-refused")
    assert replay.ended == [Ended(3, True), Ended(5, True)]
    assert not replay.heard


def test_each_connection_hears_its_own_answer() -> None:
    replay = Replay("forward-mux")
    assert replay.heard == {3: b"one\nthree\n", 5: b"two\n" + b"z" * 3000}
    assert Replay("forward-remote-close").ended == [Ended(3, False), Ended(5, False)]
    assert Replay("forward-half-close").heard == {}
