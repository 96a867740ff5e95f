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
from ssm_ssh.relay.reconnect import Reconnect

LOST = NetworkError("the cable was pulled")


def test_a_real_connection_is_tried_again_at_once() -> None:
    reconnect = Reconnect(900.0, lambda: 1.0)
    reconnect.lost(10.0, LOST, arrived=100)
    assert reconnect.take(10.0)
    assert not reconnect.take(10.0)
    reconnect.connected()
    assert reconnect.timer() is None


def test_one_that_is_cut_at_once_is_tried_ever_more_slowly() -> None:
    reconnect = Reconnect(900.0, lambda: 1.0)
    now, waits = 0.0, []
    for _ in range(8):
        reconnect.lost(now, LOST, arrived=1)
        due = reconnect.timer()
        assert due is not None
        waits.append(due - now)
        now = due
        assert reconnect.take(now)
        reconnect.connected()
    assert waits == [0.5, 1, 2, 4, 8, 15, 15, 15]


@pytest.mark.parametrize("error", [LOST, Throttled("slow down"), UpgradeRefused("503", status=503)])
def test_failures_that_pass_are_tried_again_until_the_limit(error: SsmSshError) -> None:
    reconnect = Reconnect(60.0, lambda: 0.5)
    reconnect.lost(0.0, LOST, arrived=100)
    now, attempts = 0.0, 0
    while (end := reconnect.exhausted(now)) is None:
        if reconnect.take(now):
            attempts += 1
            assert reconnect.failed(now, error)
        timer = reconnect.timer()
        assert timer is not None
        assert timer > now
        now = timer
    assert now == 60.0
    assert attempts >= 5
    assert error.message in end.sentence()


@pytest.mark.parametrize("kind", [SessionGone, AccessDenied, UsageError, ProtocolError])
def test_what_will_not_change_is_not_tried_again(kind: type[SsmSshError]) -> None:
    reconnect = Reconnect(60.0, lambda: 0.5)
    reconnect.lost(0.0, LOST, arrived=100)
    assert not reconnect.failed(0.0, kind("no"))


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 10)), max_size=40), st.floats(0, 1))
def test_an_attempt_never_comes_before_its_time_and_the_limit_holds(steps: list[tuple[bool, int]], dice: float) -> None:
    reconnect = Reconnect(30.0, lambda: dice)
    now = began = 0.0
    reconnect.lost(now, LOST, 10)
    for works, frames in steps:
        timer = reconnect.timer()
        assert timer is not None
        assert timer <= began + 30.0
        now = max(now, timer)
        if reconnect.exhausted(now):
            return
        assert reconnect.take(now)
        if works:
            reconnect.connected()
            reconnect.lost(now, LOST, frames)
            began = now
        else:
            reconnect.failed(now, LOST)


def test_connections_that_carry_nothing_do_not_extend_the_limit() -> None:
    reconnect = Reconnect(30.0, lambda: 0.5)
    now = 0.0
    reconnect.lost(now, LOST, arrived=100)
    while not reconnect.exhausted(now):
        if reconnect.take(now):
            reconnect.connected()
            assert reconnect.timer() is None
            assert reconnect.exhausted(now + 1000) is None
            now += 16.0  # the peer is silent, and found dead
            reconnect.lost(now, LOST, arrived=0)
        now = reconnect.timer() or now
    assert now <= 48.0


def test_a_first_attempt_that_fails_begins_the_limit() -> None:
    reconnect = Reconnect(60.0, lambda: 0.5)
    assert reconnect.failed(5.0, LOST)
    assert reconnect.exhausted(5.0 + 59.0) is None
    assert reconnect.exhausted(5.0 + 60.0) is not None
