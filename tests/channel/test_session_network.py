"""All bytes arrive once and in order, whatever the network between an honest agent and the channel does."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.channel.simulation import BANNER, Link, Session

if TYPE_CHECKING:
    from collections.abc import Iterable

Faults = dict[str, Any]

faults = st.fixed_dictionaries(
    {
        "lose": st.sampled_from([0.0, 0.01, 0.05]),
        "double": st.sampled_from([0.0, 0.05]),
        "reorder": st.sampled_from([0.0, 0.1]),
        "delay": st.sampled_from([0.0005, 0.01, 0.1]),
        "rate": st.sampled_from([None, 200e3, 5e6]),
        "rng": st.integers(0, 2**32).map(Random),
    }
)
cuts = st.lists(st.tuples(st.floats(0, 2), st.floats(0, 1)), max_size=4)


def transfer(
    session: Session, upload: bytes, download: bytes, cut_times: Iterable[tuple[float, float]] = ()
) -> tuple[bytes, bytes]:
    """Send both ways at once; returns what arrived at the agent's program and at the relay."""
    session.start()
    for when, outage in cut_times:
        session.world.at(session.world.now + when, session.cut, outage)
    session.relay.write(upload)
    session.world.run(lambda: session.agent.port_up)
    session.agent.output(download)
    relay, agent = session.relay, session.agent
    session.world.run(
        lambda: (
            len(agent.received) >= len(upload)
            and len(relay.output) >= len(BANNER) + len(download)
            and session.channel.drained
        )
    )
    return bytes(agent.received), bytes(relay.output)


@settings(max_examples=150, deadline=None)
@given(faults, faults, cuts, st.integers(0, 200_000), st.integers(0, 100_000))
def test_both_directions_survive_faults_and_cuts(
    up: Faults, down: Faults, cut_times: list[tuple[float, float]], size_up: int, size_down: int
) -> None:
    rng = Random(size_up)
    upload, download = rng.randbytes(size_up), rng.randbytes(size_down)
    session = Session(up=up, down=down)
    arrived, came_back = transfer(session, upload, download, cut_times)
    assert arrived == upload
    assert came_back == BANNER + download
    assert session.agent.discarded == 0


@settings(max_examples=100, deadline=None)
@given(
    st.floats(0, 0.6), st.floats(0, 0.5), st.sampled_from([0.0, 0.001, 0.05, 0.09]), st.sampled_from([0.0, 0.05, 0.4])
)
def test_a_cut_at_any_point_of_the_handshake_loses_nothing(
    when: float, outage: float, complete_lag: float, port_lag: float
) -> None:
    session = Session(up={"delay": 0.05}, down={"delay": 0.05}, complete_lag=complete_lag, port_lag=port_lag)
    arrived, _ = transfer(session, b"SSH-2.0-client\r\n" + bytes(3000), b"", [(when, outage)])
    assert arrived == b"SSH-2.0-client\r\n" + bytes(3000)
    assert session.agent.discarded == 0


def test_the_last_message_survives_a_cut_before_its_acknowledgement() -> None:
    session = Session()
    session.start()
    session.established()
    session.relay.write(b"last words")
    session.cut(outage=3.0)
    session.world.run(lambda: session.channel.drained)
    assert bytes(session.agent.received) == b"last words"


def test_lost_acknowledgements_cost_duplicates_but_no_bytes() -> None:
    session = Session(down={"lose": 0.0})
    session.start()
    session.established()
    session.down.lose = 0.5
    data = Random(3).randbytes(300_000)
    session.relay.write(data)
    session.world.run(lambda: session.channel.drained)
    assert bytes(session.agent.received) == data


def test_a_late_port_connection_costs_about_one_resend_timeout() -> None:
    session = Session(port_lag=0.15)
    session.start()
    session.relay.write(b"early")
    session.world.run(lambda: session.channel.drained)
    assert session.world.now - 1000.0 < 0.6
    assert bytes(session.agent.received) == b"early"


def test_a_session_without_handshake_carries_bytes_both_ways() -> None:
    session = Session(handshake=False)
    arrived, came_back = transfer(session, b"echo hi\n" * 500, b"hi\n" * 900)
    assert arrived == b"echo hi\n" * 500
    assert came_back == BANNER + b"hi\n" * 900


def cut_every(session: Session, size: int) -> list[int]:
    """Cut the connection whenever `size` more bytes have been sent on it; returns a list that grows by each cut."""
    passed = [0]
    cuts: list[int] = []

    def count(link: Link) -> None:
        send = link.send

        def counted(frames: list[bytes]) -> None:
            for frame in frames:
                if not session.relay.online:
                    return
                send([frame])
                passed[0] += len(frame)
                if passed[0] >= size:
                    cuts.append(passed[0])
                    passed[0] = 0
                    session.world.at(session.world.now, session.cut, 0.05)

        link.send = counted  # type: ignore[method-assign]

    count(session.up)
    count(session.down)
    return cuts


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from([100_000, 150_000, 400_000]),
    st.sampled_from([None, 200e3, 1e6]),
    st.sampled_from([0.0005, 0.01, 0.05]),
    st.integers(1, 6),
)
def test_a_download_completes_however_often_the_connection_is_cut(
    every: int, rate: float | None, delay: float, burst: int
) -> None:
    session = Session(up={"delay": delay, "rate": rate}, down={"delay": delay, "rate": rate})
    session.start()
    session.established()
    cuts = cut_every(session, every)
    download = Random(burst).randbytes(600_000)
    relay, world = session.relay, session.world
    began = world.now

    def say(start: int) -> None:  # an agent sends a few messages at a time, some milliseconds apart
        size = 1024 * burst
        session.agent.output(download[start : start + size])
        if start + size < len(download):
            world.at(world.now + 0.001 * burst, say, start + size)

    say(0)
    world.run(lambda: len(relay.output) >= len(BANNER) + len(download))
    assert bytes(relay.output) == BANNER + download
    # A message and its acknowledgement are 1.5 kB, and each acknowledgement is repeated once at most.
    assert len(cuts) <= 5 * 600 * 1800 / every
    assert world.now - began < 300
