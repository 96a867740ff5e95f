from __future__ import annotations

from random import Random

from ssm_ssh.channel.limits import MIN_LOCAL
from ssm_ssh.channel.message import decode
from ssm_ssh.channel.sender import Sender

PLENTY = 1 << 20


def online() -> Sender:
    sender = Sender(Random(1).getrandbits)
    sender.flight.connected(0.0)
    return sender


def test_control_messages_go_before_held_stream_bytes() -> None:
    sender = online()
    sender.queue(b"stream")
    sender.queue_control(6, b"one")
    sender.queue_control(6, b"two")
    frames: list[bytes] = []
    sender.frames(frames, 0.0, 1, 0)
    sender.frames(frames, 0.0, PLENTY, 0)
    assert [decode(frame).payload for frame in frames] == [b"one", b"two"]
    assert sender.waiting


def test_the_flag_waits_for_the_budget() -> None:
    sender = online()
    sender.held = False
    sender.queue(bytes(2048))
    sender.terminate()
    frames: list[bytes] = []
    for budget in (1, 1, 0, 1):
        sender.frames(frames, 0.0, budget, 0)
    assert [decode(frame).payload_type for frame in frames] == [1, 1, 10]


def test_room_is_what_the_local_queue_may_still_hold() -> None:
    sender = online()
    assert sender.room() == MIN_LOCAL
    sender.queue(bytes(1000))
    assert sender.room() == MIN_LOCAL - 1000
    sender.queue(bytes(MIN_LOCAL))
    assert sender.room() == 0
    sender.held = False
    sender.frames([], 0.0, PLENTY, 0)
    assert sender.room() == MIN_LOCAL
    sender.terminate()
    assert sender.room() == 0
