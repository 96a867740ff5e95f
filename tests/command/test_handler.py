"""One command, whatever happens to its session: its own status and all of its output, or an honest 254 or 255."""

from __future__ import annotations

import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssm_ssh.command.progress import FAILED, UNKNOWN
from ssm_ssh.command.script import Way
from ssm_ssh.command.silence import LOST_AFTER
from ssm_ssh.errors import AccessDenied
from tests.command.virtual_command import ERR, OUT, STATUS, Stage

WAYS = [Way.APART, Way.FRAMED]
both_ways = pytest.mark.parametrize("way", WAYS)


def undisturbed(way: Way) -> float:
    """How many seconds it takes when nothing happens."""
    stage = Stage(way)
    assert stage.run() == STATUS
    return stage.seconds


def check(stage: Stage, status: int) -> None:
    """Check that the command was run at most once, and that its status and output are not claimed wrongly."""
    assert stage.runs <= 1
    if status == STATUS:
        assert stage.runs == 1
        assert stage.output == (OUT, ERR)
    elif status == FAILED:
        assert stage.runs == 0
        assert stage.handler.error is not None
    elif status == UNKNOWN:
        assert stage.handler.error is not None
        assert "is unknown" in stage.handler.error.message


@both_ways
def test_a_command_has_its_streams_and_status(way: Way) -> None:
    stage = Stage(way)
    status = stage.run()
    # Without a session there is nothing to restore yet.
    assert status == (STATUS if stage.gateway.sessions else FAILED)
    check(stage, status)
    assert stage.handler.error is None
    assert stage.gateway.running == []


@both_ways
@pytest.mark.parametrize("how", ["cut", "away"])
def test_a_cut_at_any_moment_changes_nothing(way: Way, how: str) -> None:
    for hundredths in range(int(undisturbed(way) * 100) + 10):
        stage = Stage(way)
        stage.after(hundredths / 100, *((stage.gateway.cut,) if how == "cut" else (stage.away, 5.0)))
        status = stage.run()
        # Without a session there is nothing to restore yet.
        assert status == (STATUS if stage.gateway.sessions else FAILED), hundredths
        check(stage, status)


@both_ways
@pytest.mark.parametrize("reason", ["", "Your session has been terminated by an administrator."])
def test_an_end_at_any_moment_is_told_as_what_it_is(way: Way, reason: str) -> None:
    statuses = set()
    for hundredths in range(int(undisturbed(way) * 100) + 10):
        stage = Stage(way)
        stage.after(hundredths / 100, stage.end, reason)
        status = stage.run()
        check(stage, status)
        statuses.add(status)
    assert statuses == {STATUS, UNKNOWN, FAILED}


@both_ways
def test_a_session_that_is_denied_after_a_break_leaves_the_result_unknown(way: Way) -> None:
    stage = Stage(way)

    def deny() -> None:
        stage.gateway.errors.append(AccessDenied("ssm:ResumeSession is denied", operation="ResumeSession"))
        stage.gateway.cut()

    stage.after(0.8, deny)
    assert stage.run() == UNKNOWN
    check(stage, UNKNOWN)
    assert "ssm:ResumeSession" in str(stage.handler.error)


def test_an_agent_that_stops_passing_output_on_is_noticed() -> None:
    stage = Stage(Way.APART, stops=True)
    stage.after(0.9, stage.away, 8.0)
    assert stage.run() == UNKNOWN
    check(stage, UNKNOWN)
    assert stage.seconds < 20 + LOST_AFTER
    assert any("may have stopped passing output on" in line for line in stage.log.lines)


@both_ways
@pytest.mark.parametrize(("number", "byte"), [(signal.SIGINT, 3), (signal.SIGTERM, None), (signal.SIGHUP, None)])
def test_a_signal_ends_the_command_with_its_status(way: Way, number: int, byte: int | None) -> None:
    stage = Stage(way)
    stage.after(0.9, stage.world.signal, int(number))
    status = stage.run()
    assert status > 128
    (agent,) = [session.agent for session in stage.gateway.sessions]
    assert agent.signals == [byte or (3 if way is Way.FRAMED else 0x1C)]  # type: ignore[attr-defined]
    assert stage.seconds < 10


@both_ways
def test_a_command_that_ignores_signals_is_said_to_run_on(way: Way) -> None:
    stage = Stage(way, obedient=False)
    stage.after(0.5, stage.world.signal, int(signal.SIGINT))
    stage.after(0.6, stage.world.signal, int(signal.SIGINT))
    assert stage.run() == 128 + signal.SIGINT
    assert "may still run" in str(stage.handler.error)


KINDS = ("cut", "away", "long away", "silent", "slept", "ended", "denied", "mute", "TERM", "INT")
MILD = ("cut", "away", "slept")


def step(stage: Stage, kind: str) -> None:
    gateway = stage.gateway
    if kind == "cut":
        gateway.cut()
    elif kind in ("away", "long away"):
        stage.away(3 if kind == "away" else 100)
    elif kind == "silent":
        if gateway.socket is not None:
            gateway.socket.silent = True
    elif kind == "slept":
        stage.world.offset += 3600
    elif kind == "ended":
        stage.end()
    elif kind == "denied":
        gateway.errors.append(AccessDenied("denied", operation="ResumeSession"))
    elif kind == "mute":
        for session in gateway.sessions:
            session.agent.acknowledging = False
    else:
        stage.world.signal(int(signal.Signals[f"SIG{kind}"]))


def plays(kinds: tuple[str, ...]) -> st.SearchStrategy[list[tuple[float, str]]]:
    return st.lists(st.tuples(st.floats(0, 1.0), st.sampled_from(kinds)), max_size=6)


@given(st.sampled_from(WAYS), plays(KINDS), st.booleans(), st.booleans())
def test_whatever_happens_it_runs_once_at_most_and_claims_nothing_wrong(
    way: Way, steps: list[tuple[float, str]], stops: bool, obedient: bool
) -> None:
    stage = Stage(way, stops=stops, obedient=obedient)
    at = 0.0
    for pause, kind in steps:
        at += pause
        stage.after(at, step, stage, kind)
    for seconds in (1000, 1001):
        stage.after(seconds, stage.world.signal, int(signal.SIGTERM))
    status = stage.run()
    signalled = {kind for _, kind in steps} & {"TERM", "INT"} or stage.seconds > 999
    assert status in (STATUS, FAILED, UNKNOWN) or (signalled and status > 128)
    check(stage, status)


@given(st.sampled_from(WAYS), plays(MILD))
def test_what_can_be_restored_loses_nothing(way: Way, steps: list[tuple[float, str]]) -> None:
    stage = Stage(way)
    at = 0.0
    for pause, kind in steps:
        at += pause
        stage.after(at, step, stage, kind)
    status = stage.run()
    # Without a session there is nothing to restore yet.
    assert status == (STATUS if stage.gateway.sessions else FAILED)
    check(stage, status)
