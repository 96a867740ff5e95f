from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssm_ssh.aws.login.device_code import PENDING, SLOWER, UNREACHABLE, device_wait


def test_the_intervals_of_the_rfc() -> None:
    wait = device_wait(100.0, expires_in=600.0, interval=None)
    assert wait.pause(100.0) == 5.0
    wait = wait.after(PENDING, 105.0)
    assert (wait.pause(105.0), wait.interval) == (5.0, 5.0)
    wait = wait.after(SLOWER, 110.0)
    assert (wait.pause(110.0), wait.interval) == (10.0, 10.0)
    wait = wait.after(UNREACHABLE, 120.0)
    assert (wait.pause(121.0), wait.interval) == (19.0, 20.0)


def test_a_code_that_expires_is_not_asked_for() -> None:
    wait = device_wait(0.0, expires_in=7.0, interval=5.0)
    assert wait.pause(0.0) == 5.0
    assert wait.after(PENDING, 5.0).pause(5.0) is None
    assert wait.pause(8.0) is None


def test_another_outcome_is_not_the_machines() -> None:
    with pytest.raises(ValueError, match="denied"):
        device_wait(0.0, expires_in=1.0, interval=1.0).after("denied", 0.0)


@given(
    st.floats(1.0, 1e5),
    st.one_of(st.none(), st.floats(-10.0, 1e6)),
    st.lists(st.tuples(st.sampled_from([PENDING, SLOWER, UNREACHABLE]), st.floats(0.0, 50.0)), max_size=50),
)
@settings(deadline=None)
def test_it_ends_with_the_code_and_never_hurries(
    lifetime: float, interval: float | None, steps: list[tuple[str, float]]
) -> None:
    now, wait = 0.0, device_wait(0.0, expires_in=lifetime, interval=interval)
    least = wait.interval
    for outcome, took in steps:
        pause = wait.pause(now)
        if pause is None:
            assert max(now, wait.next_at) >= lifetime
            break
        now += pause
        assert now < lifetime
        now += took
        wait = wait.after(outcome, now)
        assert least <= wait.interval <= 60.0
        least = wait.interval
