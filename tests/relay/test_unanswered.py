"""What is decided while nothing is acknowledged, in virtual time."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssm_ssh.relay.unanswered import (
    ASK,
    ASK_AGAIN,
    END,
    FIRST,
    PROBE,
    PROBE_AFTER,
    RESUME,
    SECOND,
    STOPPED,
    TELL,
    TRANSFER,
    WAIT,
    Unanswered,
)

# An instance that restarts must be noticed within 90 seconds, a transfer's silence included.
PROMISE = 90.0
PACES = st.lists(st.floats(0.05, 5.0), min_size=1, max_size=8)


class Peer:
    """Virtual time around one Unanswered; attributes are what the relay would tell."""

    def __init__(self, *, back_pressure: bool = False) -> None:
        self.now = 0.0
        self.clock = Unanswered(0.0, back_pressure=back_pressure)
        self.state: dict[str, Any] = {"online": True, "acknowledged": 0, "received": 0, "waiting": False}
        self.seen: list[tuple[float, str]] = []
        self.look()

    def look(self, **state: object) -> str:
        self.state |= state
        verdict = self.clock.look(self.now, **self.state)
        if verdict:
            self.seen.append((self.now, verdict))
        return verdict

    def run(self, seconds: float, paces: list[float] = [0.5], until: str = END) -> str:  # noqa: B006 -- not changed
        end, turn = self.now + seconds, 0
        while self.now < end:
            self.now += paces[turn % len(paces)]
            turn += 1
            verdict = self.look()
            if verdict == until:
                return verdict
        return WAIT


@given(PACES)
def test_a_dead_agent_is_resumed_once_and_then_ended_in_time(paces: list[float]) -> None:
    peer = Peer()
    peer.look(waiting=True)
    assert peer.run(PROMISE, paces) == END
    assert [verdict for _, verdict in peer.seen] == [RESUME, END]
    assert peer.seen[0][0] >= FIRST
    assert FIRST + SECOND <= peer.seen[1][0] <= PROMISE


@given(PACES, st.floats(0, 600))
def test_the_time_of_the_resume_does_not_count(paces: list[float], away: float) -> None:
    peer = Peer()
    peer.look(waiting=True)
    assert peer.run(PROMISE, paces, until=RESUME) == RESUME
    peer.look(online=False)
    assert peer.run(away, paces) == WAIT
    peer.look(online=True)
    assert peer.run(SECOND - 10, paces) == WAIT  # less what the pace took too long
    assert peer.run(SECOND, paces) == END


@given(st.lists(st.floats(0.1, FIRST - 6), min_size=1, max_size=30))
def test_an_agent_that_acknowledges_now_and_then_is_left_alone(pauses: list[float]) -> None:
    peer = Peer()
    for count, pause in enumerate(pauses):
        peer.look(waiting=True, acknowledged=count)
        assert peer.run(pause) == WAIT
    assert peer.seen == []


def test_an_acknowledgement_after_the_resume_makes_all_well() -> None:
    peer = Peer()
    peer.look(waiting=True)
    peer.run(PROMISE, until=RESUME)
    peer.look(acknowledged=1)
    assert peer.run(FIRST - 1) == WAIT
    assert peer.run(PROMISE) == END
    assert [verdict for _, verdict in peer.seen] == [RESUME, RESUME, END]


def test_output_that_keeps_coming_gives_acknowledgements_more_time() -> None:
    peer = Peer()
    peer.look(waiting=True)
    while peer.now < PROMISE:
        peer.now += 1.0
        if peer.look(received=int(peer.now)) == END:
            break
    assert [verdict for _, verdict in peer.seen] == [RESUME, END]
    assert peer.seen[0][0] > FIRST + 10
    assert peer.seen[1][0] <= PROMISE


@given(PACES)
def test_a_message_that_never_ends_is_treated_like_silence(paces: list[float]) -> None:
    peer = Peer()
    peer.look(incomplete=True)
    assert peer.run(PROMISE, paces) == END
    assert [verdict for _, verdict in peer.seen] == [RESUME, END]


def test_large_messages_that_do_end_are_not() -> None:
    peer = Peer()
    peer.look(incomplete=True)
    for count in range(20):
        assert peer.run(20) == WAIT
        peer.look(received=count + 1)
    assert not [verdict for _, verdict in peer.seen if verdict != PROBE]


@given(PACES)
def test_a_download_that_stops_is_probed_and_then_ended_in_time(paces: list[float]) -> None:
    peer = Peer()
    peer.look(received=TRANSFER)
    assert peer.run(PROBE_AFTER + 10, paces, until=PROBE) == PROBE
    peer.look(waiting=True)  # the probe, which is not acknowledged
    assert peer.run(PROMISE - peer.now, paces) == END


def test_a_probe_that_is_acknowledged_is_not_repeated() -> None:
    peer = Peer()
    peer.look(received=TRANSFER)
    peer.run(60, until=PROBE)
    peer.look(acknowledged=1)
    assert peer.run(1000, until=PROBE) == WAIT
    peer.look(received=TRANSFER + 1)  # a little output is no transfer: a probe would keep an idle session open
    assert peer.run(1000, until=PROBE) == WAIT
    peer.look(received=2 * TRANSFER + 1)
    assert peer.run(60, until=PROBE) == PROBE


def test_an_idle_session_is_left_alone_until_the_gateway_says_that_the_agent_is_away() -> None:
    peer = Peer()
    peer.look(received=3)
    assert peer.run(3600, until=PROBE) == WAIT
    peer.look(away=True)
    assert peer.run(PROBE_AFTER + 1, until=PROBE) == PROBE
    assert peer.run(3600, until=PROBE) == WAIT
    peer.look(away=False)
    peer.run(5)
    peer.look(away=True)
    assert peer.run(PROBE_AFTER + 1, until=PROBE) == PROBE


@given(st.floats(STOPPED, 1e6))
def test_the_time_while_the_program_was_stopped_does_not_count(away: float) -> None:
    peer = Peer()
    peer.look(waiting=True)
    peer.now += away
    assert peer.look() == WAIT
    assert peer.clock.waited == 0.0


def test_back_pressure_is_told_and_asked_about_and_never_ends_by_itself() -> None:
    peer = Peer(back_pressure=True)
    peer.look(waiting=True)
    while peer.now < 3600:
        peer.now += 1.0
        if peer.look() == ASK:
            peer.clock.connection_status(True if peer.now < 1000 else None, peer.now)
    assert peer.seen[0] == (FIRST, TELL)
    assert {verdict for _, verdict in peer.seen[1:]} == {ASK}
    gaps = [b - a for (a, _), (b, _) in zip(peer.seen[1:], peer.seen[2:], strict=False)]
    assert min(gaps) >= ASK_AGAIN


def test_back_pressure_ends_when_aws_says_that_the_agent_is_not_connected() -> None:
    peer = Peer(back_pressure=True)
    peer.look(waiting=True)
    assert peer.run(PROMISE, until=ASK) == ASK
    peer.clock.connection_status(False, peer.now)
    assert peer.look() == END


@pytest.mark.parametrize("back_pressure", [False, True])
def test_what_has_been_read_after_all_ends_the_matter(back_pressure: bool) -> None:
    peer = Peer(back_pressure=back_pressure)
    peer.look(waiting=True)
    peer.run(FIRST + 5, until="never")
    peer.clock.connection_status(False, peer.now)
    peer.look(waiting=False, acknowledged=1)
    assert peer.run(3600) == WAIT


def test_a_message_is_unfinished_when_it_stays_incomplete_for_long() -> None:
    peer = Peer()
    peer.look(incomplete=True)
    assert not peer.clock.unfinished
    assert peer.run(PROMISE, until=END) == END
    assert peer.clock.unfinished
