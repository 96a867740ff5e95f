"""The streams of a smux session: local ends, the agent's ends, refusals, and every byte once and in order."""

from __future__ import annotations

from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssm_ssh.mux.frames import FIN, NOP, PSH, SYN, Decoder, Frame, encode, encode_data
from ssm_ssh.mux.streams import AGENT_BUFFER, HOLD, KEEP_ALIVE, Arrived, Ended, HoldOver, Mux


def sent(mux: Mux) -> list[Frame]:
    return Decoder().feed(mux.take())


def opened(count: int = 1, now: float = 0.0) -> Mux:
    mux = Mux(now)
    for _ in range(count):
        mux.open(now)
    mux.take()
    return mux


def test_streams_have_the_ids_of_the_official_client() -> None:
    mux = Mux(0.0)
    assert [mux.open(0.0), mux.open(0.0)] == [3, 5]
    assert sent(mux) == [Frame(SYN, 3), Frame(SYN, 5)]
    assert mux.take() == b""
    assert not mux.take_disconnect()


def test_bytes_pass_both_ways() -> None:
    mux = opened()
    mux.send(3, b"ask")
    assert sent(mux) == [Frame(PSH, 3, b"ask")]
    assert mux.receive(encode_data(3, b"answer"), 1.0) == [Arrived(3, b"answer")]


def test_the_end_of_the_server_ends_both_directions_and_is_answered() -> None:
    mux = opened()
    assert mux.receive(encode_data(3, b"bye") + encode(FIN, 3), 1.0) == [Arrived(3, b"bye"), Ended(3, False)]
    assert sent(mux) == [Frame(FIN, 3)]
    mux.send(3, b"late")
    mux.end(3, 1.0)
    mux.close(3)
    assert mux.take() == b""
    assert mux.receive(encode_data(3, b"late"), 2.0) == []
    assert mux.count == 0


def test_the_end_of_the_local_side_waits_for_the_answer() -> None:
    mux = opened()
    mux.end(3, 1.0)
    mux.send(3, b"after the end")
    assert mux.take() == b""
    assert mux.timer() == 1.0 + HOLD
    assert mux.receive(encode_data(3, b"part"), 8.0) == [Arrived(3, b"part")]
    assert mux.tick(1.0 + HOLD) == []
    assert mux.receive(encode_data(3, b"rest") + encode(FIN, 3), 9.0) == [Arrived(3, b"rest"), Ended(3, False)]
    assert sent(mux) == [Frame(FIN, 3)]
    assert mux.timer() is None


def test_a_silent_server_is_told_the_end_after_a_while() -> None:
    mux = opened()
    mux.end(3, 1.0)
    assert mux.tick(1.0 + HOLD) == [HoldOver(3)]
    assert sent(mux) == [Frame(FIN, 3)]
    assert mux.tick(100.0) == []
    assert mux.receive(encode_data(3, b"on its way"), 100.0) == [Arrived(3, b"on its way")]
    mux.close(3)
    assert mux.receive(encode_data(3, b"nothing reads") + encode(FIN, 3), 101.0) == []
    assert mux.take() == b""


@pytest.mark.parametrize("ended", [False, True])
def test_a_local_side_that_is_gone_ends_the_stream_at_once(ended: bool) -> None:
    mux = opened()
    if ended:
        mux.end(3, 0.0)
    mux.close(3)
    mux.close(3)
    assert sent(mux) == [Frame(FIN, 3)]
    assert mux.count == 0
    assert mux.receive(encode_data(3, b"discarded") + encode(FIN, 3), 1.0) == []
    assert mux.take() == b""


def test_what_names_no_stream_of_the_client_is_skipped() -> None:
    mux = opened()
    hostile = encode(SYN, 2) + encode(SYN, 3) + encode_data(2, b"x") + encode(FIN, 9) + encode(NOP, 0) + encode(NOP, 3)
    assert mux.receive(hostile, 1.0) == []
    assert mux.count == 1
    assert mux.waiting_since == 0.0


def test_a_refused_port_ends_the_stream_whose_end_comes_next() -> None:
    mux = opened(3)
    mux.connect_failed()
    assert mux.receive(encode(FIN, 3), 1.0) == [Ended(3, True)]
    assert mux.receive(encode_data(5, b"x") + encode(FIN, 5), 1.0) == [Arrived(5, b"x"), Ended(5, False)]
    assert mux.receive(encode(FIN, 7), 1.0) == [Ended(7, False)]


def test_the_end_of_an_answered_stream_is_no_refusal() -> None:
    mux = opened(2)
    mux.receive(encode_data(3, b"x"), 1.0)
    mux.connect_failed()
    assert mux.receive(encode(FIN, 3) + encode(FIN, 5), 1.0) == [Ended(3, False), Ended(5, True)]


def test_a_refusal_without_a_stream_that_could_be_meant_is_forgotten() -> None:
    mux = opened()
    mux.receive(encode_data(3, b"x"), 1.0)
    mux.connect_failed()
    mux.open(2.0)
    assert mux.receive(encode(FIN, 5), 3.0) == [Ended(5, False)]
    mux.open(4.0)
    mux.connect_failed()
    mux.connect_failed()  # as often as it likes
    mux.receive(encode_data(7, b"x"), 5.0)
    mux.open(6.0)
    assert mux.receive(encode(FIN, 9), 7.0) == [Ended(9, False)]


def test_a_sign_of_a_stream_shows_that_earlier_dials_are_over() -> None:
    mux = Mux(0.0)
    for now in (1.0, 2.0, 3.0):
        mux.open(now)
    assert mux.waiting_since == 1.0
    mux.receive(encode_data(5, b"x"), 4.0)
    assert mux.waiting_since == 3.0
    mux.receive(encode(FIN, 7), 4.0)
    assert mux.waiting_since is None


def test_the_stream_that_has_sent_most_lately_is_named() -> None:
    mux = opened(3)
    mux.send(3, bytes(AGENT_BUFFER - 10))
    assert mux.busiest() == 3
    for _ in range(3):
        mux.send(7, bytes(AGENT_BUFFER // 2))
    assert mux.busiest() == 7
    for stream in (3, 5, 7):
        mux.close(stream)
    assert mux.busiest() is None


def test_an_agent_that_expects_it_is_sent_a_sign_of_life() -> None:
    mux = Mux(100.0, keep_alive=True)
    assert mux.timer() == 100.0 + KEEP_ALIVE
    mux.tick(105.0)
    assert mux.take() == b""
    mux.tick(110.0)
    assert sent(mux) == [Frame(NOP, 0)]
    assert mux.timer() == 110.0 + KEEP_ALIVE


def test_the_ids_end() -> None:
    mux = Mux(0.0)
    mux._next = (1 << 32) - 1
    assert not mux.exhausted
    mux.open(0.0)
    assert mux.exhausted


class Agent:
    """The agent's end: it echoes what each stream sends, and ends it after the client's FIN."""

    def __init__(self) -> None:
        self.decoder = Decoder()
        self.received: dict[int, bytes] = defaultdict(bytes)
        self.output: dict[int, list[bytes]] = defaultdict(list)

    def take(self, data: bytes) -> None:
        for frame in self.decoder.feed(data):
            if frame.command == PSH:
                self.received[frame.stream] += frame.payload
                self.output[frame.stream].append(encode_data(frame.stream, frame.payload))
            elif frame.command == FIN:
                self.output[frame.stream].append(encode(FIN, frame.stream))

    def say(self, stream: int) -> bytes:
        return self.output[stream].pop(0) if self.output[stream] else b""


@given(
    st.lists(
        st.tuples(
            st.sampled_from(("send", "agent", "deliver", "end", "close")), st.integers(0, 2), st.binary(max_size=50)
        ),
        max_size=60,
    ),
    st.integers(1, 40),
)
def test_every_byte_arrives_once_and_in_order_however_frames_are_cut_and_mixed(
    steps: list[tuple[str, int, bytes]], cut: int
) -> None:
    mux, agent, wire, now = Mux(0.0), Agent(), b"", 0.0
    streams = [mux.open(0.0) for _ in range(3)]
    spoken, heard = defaultdict(bytes), defaultdict(bytes)
    ended, gone = set(), set()

    def deliver(data: bytes) -> None:
        for event in mux.receive(data, now):
            if isinstance(event, Arrived):
                assert event.stream not in ended
                heard[event.stream] += event.data
            elif isinstance(event, Ended):
                assert not event.refused
                assert event.stream not in ended
                ended.add(event.stream)

    for action, index, data in steps:
        stream, now = streams[index], now + 1.0
        if action == "send" and stream not in gone:
            spoken[stream] += data
            mux.send(stream, data)
        elif action == "agent":
            wire += agent.say(stream)
        elif action == "deliver":
            deliver(wire[:cut])
            wire = wire[cut:]
        elif action == "end":
            gone.add(stream)
            mux.end(stream, now)
        elif action == "close":
            gone.add(stream)
            mux.close(stream)
            ended.add(stream)
        mux.tick(now)
        agent.take(mux.take())
    now += 2 * HOLD
    for stream in streams:
        if stream not in ended:
            mux.end(stream, now)
    for _ in range(60):
        now += HOLD
        mux.tick(now)
        agent.take(mux.take())
        deliver(wire + b"".join(agent.say(stream) for stream in streams))
        wire = b""
    assert mux.count == 0
    for stream in streams:
        assert agent.received[stream] == spoken[stream]
        assert spoken[stream].startswith(heard[stream])
