"""The window: short queues on a slow uplink, full use of a fast path, fewer and fewer probes of a silent agent."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest

from ssm_ssh.channel.limits import MAX_LOCAL, MAX_WINDOW, MIN_LOCAL, PROBE_INTERVAL
from ssm_ssh.channel.message import INPUT, Message, decode
from tests.channel.simulation import Session

SLOW = {"up": {"rate": 200e3, "delay": 0.05}, "down": {"delay": 0.05}}


def stream_frames(session: Session) -> list[tuple[float, Message]]:
    return [(at, message) for at, frame in session.relay.sent if (message := decode(frame)).message_type == INPUT]


def test_a_slow_uplink_carries_a_copy_at_its_rate_without_duplicates() -> None:
    session = Session(**SLOW)
    session.start()
    session.established()
    session.relay.upload()
    session.world.pass_time(45)
    assert len(session.agent.received) > 45 * 200e3 * 0.85
    assert session.agent.duplicates == 0


@pytest.mark.parametrize("rate", [100e3, 200e3, 500e3])
def test_a_keystroke_during_a_copy_is_echoed_soon(rate: float) -> None:
    delays = []
    session = Session(
        up={"rate": rate, "delay": 0.05},
        down={"delay": 0.05},
        on_data=lambda data: data.strip(b"\0") and session.agent.output(b"echo"),
    )
    session.start()
    session.established()
    session.relay.upload()
    for _ in range(20):
        session.world.pass_time(1.37)
        start, had = session.world.now, len(session.relay.output)
        session.relay.write(b"k")
        session.world.run(lambda had=had: len(session.relay.output) > had)
        delays.append(session.world.now - start)
    # The round trip, the 0.3 s of queue that the window allows and a quarter of it again in front, and the pipe.
    assert max(delays) < 0.1 + 0.4 * 1.25 + (64 + 24) * 1024 / rate
    assert session.agent.duplicates < session.agent.stream_messages / 100


def test_a_rate_that_falls_is_followed_within_seconds() -> None:
    session = Session(up={"rate": 5e6, "delay": 0.05}, down={"delay": 0.05})
    session.start()
    session.established()
    session.relay.upload()
    session.world.pass_time(10)
    session.up.rate = 200e3
    session.world.pass_time(25)
    assert session.up.free_at - session.world.now < 0.5
    assert session.agent.duplicates < session.agent.stream_messages / 100


def test_a_path_that_becomes_longer_does_not_shrink_the_window_for_good() -> None:
    session = Session(up={"rate": 2e6, "delay": 0.01}, down={"delay": 0.01})
    session.start()
    session.established()
    session.relay.upload()
    session.world.pass_time(5)
    session.up.delay = session.down.delay = 0.3
    session.world.pass_time(40)
    had = len(session.agent.received)
    session.world.pass_time(10)
    assert len(session.agent.received) - had > 10 * 2e6 * 0.7


def test_a_fast_long_path_is_filled() -> None:
    session = Session(up={"rate": 40e6, "delay": 0.05}, down={"delay": 0.05}, relay={"budget": 256 * 1024})
    session.start()
    session.established()
    session.relay.upload()
    session.world.pass_time(1)
    had = len(session.agent.received)
    session.world.pass_time(1)
    assert len(session.agent.received) - had > 40e6 * 0.8
    assert session.agent.duplicates == 0


def test_a_silent_agent_is_probed_ever_more_rarely_and_nothing_is_dropped() -> None:
    session = Session()
    session.relay.keep_sent = True
    session.start()
    session.established()
    session.agent.acknowledging = False
    session.relay.upload()
    session.world.pass_time(1)
    assert session.channel.room() == 0
    assert session.channel.unacknowledged < 64 * 1024
    del session.relay.sent[:]
    session.world.pass_time(120)
    times = sorted({at for at, _ in stream_frames(session)})
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert gaps[0] > 0.5
    assert all(b > min(a * 1.9, PROBE_INTERVAL - 0.001) for a, b in pairwise(gaps))
    assert len(times) < 12
    assert len(stream_frames(session)) == 2 * len(times)
    session.relay.endless = False
    session.agent.acknowledging = True
    taken = sum(map(len, session.relay.pipe)) + len(session.agent.received) + session.channel.unacknowledged
    session.world.run(lambda: session.channel.drained)
    assert len(session.agent.received) <= taken


def test_an_agent_that_stalled_and_goes_on_costs_few_duplicates() -> None:
    session = Session(up={"delay": 0.02}, down={"delay": 0.02})
    session.start()
    session.established()
    session.relay.write(bytes(2_000_000))
    session.world.pass_time(0.5)
    session.agent.stall(3.0)
    session.relay.write(bytes(2_000_000))
    session.world.run(lambda: session.channel.drained)
    assert len(session.agent.received) == 4_000_000
    assert session.agent.duplicates < 40


def test_a_round_trip_that_jumps_up_is_learned_instead_of_sending_everything_twice() -> None:
    # The way back is what is slow, and full of output when the copy begins: each acknowledgement is late by far.
    session = Session(
        up={"delay": 0.0005, "rate": 5e6, "lose": 0.01, "rng": Random(8)},
        down={"delay": 0.0005, "rate": 50e3, "lose": 0.01, "rng": Random(9)},
    )
    session.start()
    session.relay.write(bytes(500_000))
    session.world.run(lambda: session.agent.port_up)
    session.agent.output(bytes(50_000))
    session.world.run(lambda: session.channel.drained)
    assert session.agent.duplicates < session.agent.stream_messages / 10


def test_an_agent_that_lost_its_own_connection_is_served_soon_after_it_is_back() -> None:
    session = Session(up={"delay": 0.02}, down={"delay": 0.02})
    session.start()
    session.established()
    session.relay.write(bytes(3_000_000))
    session.world.pass_time(0.2)
    session.up.lose = session.down.lose = 1.0
    session.world.pass_time(3.0)
    session.up.lose = session.down.lose = 0.0
    back = session.world.now
    session.world.run(lambda: session.channel.drained)
    assert len(session.agent.received) == 3_000_000
    # One probe interval, which has doubled to some seconds by then, and then all at once.
    assert session.world.now - back < 6


def test_room_is_bounded_on_slow_and_on_fast_paths() -> None:
    slow, fast = Session(**SLOW), Session(up={"rate": 50e6, "delay": 0.05}, down={"delay": 0.05})
    for session in (slow, fast):
        session.start()
        session.established()
        session.relay.upload()
        session.world.pass_time(1.5)
    assert slow.channel.room() == fast.channel.room() == 0
    assert slow.channel.unacknowledged < 160 * 1024
    assert fast.channel.unacknowledged < MAX_WINDOW + MAX_LOCAL + 2048
    assert MIN_LOCAL <= 64 * 1024


def test_the_terminate_flag_goes_out_through_a_full_window_behind_all_stream_bytes() -> None:
    session = Session(up={"delay": 5.0}, down={"delay": 5.0})
    session.relay.keep_sent = True
    session.start()
    session.established()
    session.relay.upload()
    session.relay.endless = False
    session.relay.pipe.clear()
    assert session.channel.room() == 0
    session.channel.terminate(session.world.now)
    assert session.channel.room() == 0
    session.relay.turn()
    messages = [message for _, message in stream_frames(session)]
    assert messages[-1].payload == b"\0\0\0\2"
    assert messages[-1].payload_type == 10
    session.world.run(lambda: session.channel.drained)
    assert session.agent.terminated
