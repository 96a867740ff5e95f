import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssm_ssh.errors import (
    AccessDenied,
    NetworkError,
    ProtocolError,
    SessionGone,
    SsmSshError,
    Throttled,
    UpgradeRefused,
    UsageError,
)
from ssm_ssh.relay.reconnect import Recovery

LOST = NetworkError("the cable was pulled")


def test_a_real_connection_is_tried_again_at_once() -> None:
    recovery = Recovery(900.0, lambda: 1.0)
    recovery.lost(10.0, LOST, arrived=100)
    assert recovery.take(10.0)
    assert not recovery.take(10.0)
    recovery.connected()
    assert recovery.timer() is None


def test_one_that_is_cut_at_once_is_tried_ever_more_slowly() -> None:
    recovery = Recovery(900.0, lambda: 1.0)
    now, waits = 0.0, []
    for _ in range(8):
        recovery.lost(now, LOST, arrived=1)
        due = recovery.timer()
        assert due is not None
        waits.append(due - now)
        now = due
        assert recovery.take(now)
        recovery.connected()
    assert waits == [0.5, 1, 2, 4, 8, 15, 15, 15]


@pytest.mark.parametrize("error", [LOST, Throttled("slow down"), UpgradeRefused("503", status=503)])
def test_failures_that_pass_are_tried_again_until_the_limit(error: SsmSshError) -> None:
    recovery = Recovery(60.0, lambda: 0.5)
    recovery.lost(0.0, LOST, arrived=100)
    now, attempts = 0.0, 0
    while (end := recovery.exhausted(now)) is None:
        if recovery.take(now):
            attempts += 1
            assert recovery.failed(now, error)
        timer = recovery.timer()
        assert timer is not None
        assert timer > now
        now = timer
    assert now == 60.0
    assert attempts >= 5
    assert error.message in end.sentence()


@pytest.mark.parametrize("kind", [SessionGone, AccessDenied, UsageError, ProtocolError])
def test_what_will_not_change_is_not_tried_again(kind: type[SsmSshError]) -> None:
    recovery = Recovery(60.0, lambda: 0.5)
    recovery.lost(0.0, LOST, arrived=100)
    assert not recovery.failed(0.0, kind("no"))


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 10)), max_size=40), st.floats(0, 1))
def test_an_attempt_never_comes_before_its_time_and_the_limit_holds(steps: list[tuple[bool, int]], dice: float) -> None:
    recovery = Recovery(30.0, lambda: dice)
    now = began = 0.0
    recovery.lost(now, LOST, 10)
    for works, frames in steps:
        timer = recovery.timer()
        assert timer is not None
        assert timer <= began + 30.0
        now = max(now, timer)
        if recovery.exhausted(now):
            return
        assert recovery.take(now)
        if works:
            recovery.connected()
            recovery.lost(now, LOST, frames)
            began = now
        else:
            recovery.failed(now, LOST)


def test_connections_that_carry_nothing_do_not_extend_the_limit() -> None:
    recovery = Recovery(30.0, lambda: 0.5)
    now = 0.0
    recovery.lost(now, LOST, arrived=100)
    while not recovery.exhausted(now):
        if recovery.take(now):
            recovery.connected()
            assert recovery.timer() is None
            assert recovery.exhausted(now + 1000) is None
            now += 16.0  # the peer is silent, and found dead
            recovery.lost(now, LOST, arrived=0)
        now = recovery.timer() or now
    assert now <= 48.0
