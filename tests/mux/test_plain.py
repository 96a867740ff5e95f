"""The one stream of an agent without smux."""

from __future__ import annotations

from ssm_ssh.mux.plain import MOST_EARLY, PlainStream
from ssm_ssh.mux.streams import HOLD, Arrived, HoldOver


def test_bytes_pass_as_they_are() -> None:
    plain = PlainStream(0.0)
    stream = plain.open(0.0)
    plain.send(stream, b"ask")
    plain.send(stream, b" more")
    assert plain.take() == b"ask more"
    assert plain.receive(b"answer", 1.0) == [Arrived(stream, b"answer")]
    assert plain.count == 1
    assert plain.busiest() == stream
    assert not plain.exhausted
    assert plain.waiting_since is None
    assert not plain.several


def test_a_local_side_that_is_gone_disconnects_and_the_next_connection_is_another() -> None:
    plain = PlainStream(0.0)
    first = plain.open(0.0)
    plain.close(first)
    plain.close(first)
    assert plain.count == 0
    assert plain.busiest() is None
    assert plain.take_disconnect()
    assert not plain.take_disconnect()
    assert plain.receive(b"late", 1.0) == []
    second = plain.open(2.0)
    plain.send(first, b"x")
    plain.end(first, 2.0)
    plain.close(first)
    assert plain.take() == b""
    assert plain.receive(b"new", 3.0) == [Arrived(second, b"new")]


def test_a_half_close_is_held_while_the_server_speaks() -> None:
    plain = PlainStream(0.0)
    stream = plain.open(0.0)
    assert plain.timer() is None
    plain.end(stream, 1.0)
    plain.end(stream, 5.0)
    plain.send(stream, b"after the end")
    assert plain.take() == b""
    assert plain.receive(b"answer", 4.0) == [Arrived(stream, b"answer")]
    assert plain.timer() == 4.0 + HOLD
    assert plain.tick(3.0 + HOLD) == []
    assert plain.tick(4.0 + HOLD) == [HoldOver(stream)]
    assert plain.take_disconnect()
    plain.connect_failed()
    assert plain.tick(100.0) == []


def test_a_greeting_from_before_the_first_connection_is_its_own() -> None:
    plain = PlainStream(0.0)
    assert plain.receive(b"hello ", 1.0) == []
    assert plain.receive(b"x" * MOST_EARLY, 2.0) == []
    assert plain.timer() is None
    first = plain.open(3.0)
    assert plain.timer() == 0.0
    assert plain.tick(3.0) == [Arrived(first, (b"hello " + b"x" * MOST_EARLY)[:MOST_EARLY])]
    assert plain.tick(3.0) == []


def test_a_greeting_is_not_the_second_connections() -> None:
    plain = PlainStream(0.0)
    plain.receive(b"hello", 1.0)
    plain.close(plain.open(2.0))
    plain.take_disconnect()
    plain.open(3.0)
    assert plain.tick(3.0) == []
