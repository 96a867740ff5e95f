"""When send-command takes over from EC2 Instance Connect: the rules, in virtual time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssm_ssh.auth import reachability
from ssm_ssh.auth.reachability import ANSWER_PATIENCE, CONNECT_PATIENCE, SLOWNESS_FACTOR, Attempt, Race, Step

# Seconds of the virtual clock when a call begins.
START = 1000.0
WITHIN = 3.0
# What Systems Manager takes where the network is not slow.
FAST = 0.3


class Network(NamedTuple):
    """How the two endpoints behave: each time in seconds since the call began, None for never.

    `ended`: the end of the call, which is an answer of AWS unless `unreachable`; `ssm_took`: since it was asked.
    """

    connected: float | None = None
    answered: float | None = None
    ended: float | None = None
    unreachable: bool = False
    ssm_took: float | None = FAST
    ssm_answers: bool = True


class Outcome(NamedTuple):
    """The last step, when it came, and when Systems Manager was asked."""

    step: Step
    at: float
    asked_at: float | None


def race(network: Network) -> Outcome:
    """Run a call on `network`, jumping from one event or deadline to the next."""
    rules = Race(START)
    ended: Callable[[float], None] = lambda _: rules.ended(unreachable=network.unreachable)  # noqa: E731
    ssm_ended: Callable[[float], None] = lambda at: rules.ssm_ended(at, answers=network.ssm_answers)  # noqa: E731
    events: list[tuple[float, Callable[[float], None]]] = [
        (START + at, note)
        for at, note in (
            (network.connected, rules.connected),
            (network.answered, lambda _: rules.answered()),
            (network.ended, ended),
        )
        if at is not None
    ]
    now, asked_at = START, None
    for _ in range(100):
        step, until = rules.decide(now)
        if step in (Step.TAKE_RESULT, Step.GIVE_UP):
            return Outcome(step, now - START, asked_at)
        if step is Step.ASK_SYSTEMS_MANAGER:
            rules.asked_ssm(now)
            asked_at = now - START
            if network.ssm_took is not None:
                events.append((now + network.ssm_took, ssm_ended))
            continue
        events.sort(key=lambda event: event[0])
        if events and (until is None or events[0][0] <= until):
            now, note = events.pop(0)
            note(now)
        elif until is not None:
            now = until
        else:
            return Outcome(Step.WAIT, now - START, asked_at)
    raise AssertionError("no end")


@pytest.mark.parametrize(
    "network",
    [
        Network(),
        Network(connected=0.05),
        Network(connected=0.3),
        Network(ended=0.01, unreachable=True),
        Network(connected=0.2, ended=0.5, unreachable=True),
        Network(ended=2.0, unreachable=True),
    ],
    ids=["no connection", "silent", "silent after a slow handshake", "closed", "proxy's page", "unresolvable"],
)
def test_send_command_takes_over_within_three_seconds(network: Network) -> None:
    outcome = race(network)
    assert outcome.step is Step.GIVE_UP
    assert outcome.at <= WITHIN


def test_an_error_is_looked_into_at_once() -> None:
    assert race(Network(ended=0.01, unreachable=True)).asked_at == pytest.approx(0.01)


def test_an_answer_within_the_usual_time_asks_nothing() -> None:
    assert race(Network(connected=0.1, ended=1.4)).asked_at is None


@pytest.mark.parametrize("unreachable", [False, True])
def test_nothing_takes_over_where_systems_manager_does_not_answer(unreachable: bool) -> None:
    network = Network(connected=0.1, ended=30.0, unreachable=unreachable, ssm_answers=False)
    assert race(network) == Outcome(Step.TAKE_RESULT, 30.0, 1.5)
    assert race(Network(ssm_answers=False)).step is Step.WAIT
    assert race(Network(ssm_took=None)).step is Step.WAIT


def test_a_call_that_aws_has_answered_is_waited_for() -> None:
    assert race(Network(connected=0.1, answered=0.3, ended=20.0)) == Outcome(Step.TAKE_RESULT, 20.0, None)
    assert race(Network(connected=0.1, answered=0.3, ended=5.0, unreachable=True)).step is Step.TAKE_RESULT


SECONDS = st.floats(0, 60)


@given(connected=SECONDS, ssm_took=SECONDS, share=st.floats(0, 0.999))
def test_a_denial_within_the_patience_never_falls_over(connected: float, ssm_took: float, share: float) -> None:
    slowness = SLOWNESS_FACTOR * ssm_took
    if connected >= max(CONNECT_PATIENCE, slowness):
        connected *= share * max(CONNECT_PATIENCE, slowness) / connected
    delay = share * max(ANSWER_PATIENCE, slowness)
    outcome = race(Network(connected=connected, ended=connected + delay, ssm_took=ssm_took))
    assert outcome.step is Step.TAKE_RESULT
    assert outcome.at == pytest.approx(connected + delay)


@given(connected=st.none() | SECONDS, ssm_took=SECONDS)
def test_silence_is_overtaken_after_the_patience(connected: float | None, ssm_took: float) -> None:
    outcome = race(Network(connected=connected, ssm_took=ssm_took))
    assert outcome.step is Step.GIVE_UP
    latest = [1.5 + ssm_took, CONNECT_PATIENCE, SLOWNESS_FACTOR * ssm_took]
    if connected is not None and connected <= max(latest):
        latest.append(connected + max(ANSWER_PATIENCE, SLOWNESS_FACTOR * ssm_took))
    assert outcome.at == pytest.approx(max(latest))


EITHER = st.none() | SECONDS
NETWORKS = st.builds(
    Network,
    connected=EITHER,
    answered=EITHER,
    ended=EITHER,
    unreachable=st.booleans(),
    ssm_took=EITHER,
    ssm_answers=st.booleans(),
)


@given(network=NETWORKS)
def test_only_silence_and_failure_give_way_and_every_call_ends(network: Network) -> None:
    outcome = race(network)
    if outcome.step is Step.GIVE_UP:
        assert network.ssm_answers
        assert network.ssm_took is not None
        assert network.answered is None or network.answered >= outcome.at
        assert network.ended is None or network.unreachable or network.ended >= outcome.at
    if network.ended is not None and network.ssm_took is not None:
        assert outcome.step in (Step.TAKE_RESULT, Step.GIVE_UP)


def test_an_abandoned_call_sends_nothing_more(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ASK_AFTER", "CONNECT_PATIENCE", "SLOWNESS_FACTOR"):
        monkeypatch.setattr(reachability, name, 0.0)
    back, over, sent = threading.Event(), threading.Event(), []

    def push(reached: Callable[[bool], None]) -> str:
        back.wait(60)
        try:
            reached(False)
            sent.append("key")
        finally:
            over.set()
        return "pushed"

    attempt = Attempt(push, lambda: True)
    assert attempt.run() is None
    attempt.abandon()
    back.set()
    assert over.wait(60)
    assert sent == []
    assert attempt.pushed is None
