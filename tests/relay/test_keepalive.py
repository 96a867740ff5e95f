from hypothesis import given
from hypothesis import strategies as st

from ssm_ssh.relay.keepalive import AFTER_SLEEP, IDLE, PATIENCE, WAITING, Liveness


def test_a_quiet_line_is_asked_and_then_given_up() -> None:
    line = Liveness(0.0, 1000.0)
    assert not line.ping_due(IDLE - 1, waiting=False)
    assert line.timer(waiting=False) == IDLE
    assert line.ping_due(IDLE, waiting=False)
    assert not line.ping_due(IDLE + 1, waiting=False)
    assert not line.dead(IDLE + PATIENCE - 1)
    assert line.timer(waiting=False) == IDLE + PATIENCE
    assert line.dead(IDLE + PATIENCE)


def test_unanswered_data_is_asked_after_sooner() -> None:
    line = Liveness(0.0, 1000.0)
    assert line.ping_due(WAITING, waiting=True)


def test_any_answer_is_a_sign_of_life() -> None:
    line = Liveness(0.0, 1000.0)
    assert line.ping_due(IDLE, waiting=False)
    line.heard(IDLE + 1)
    assert not line.dead(IDLE + PATIENCE + 100)
    assert not line.ping_due(IDLE + 2, waiting=False)


def test_after_a_sleep_it_is_asked_at_once_and_with_less_patience() -> None:
    line = Liveness(0.0, 1000.0)
    line.clock(1.0, 1001.0)
    assert not line.ping_due(1.0, waiting=False)
    line.clock(2.0, 1002.0 + 3600.0)
    assert line.ping_due(2.0, waiting=False)
    assert line.dead(2.0 + AFTER_SLEEP)


@given(st.lists(st.tuples(st.floats(0, 30), st.booleans(), st.booleans()), max_size=60))
def test_silence_always_ends_and_a_heard_line_never_dies(steps: list[tuple[float, bool, bool]]) -> None:
    line = Liveness(0.0, 0.0)
    now = heard = 0.0
    for step, waiting, hears in steps:
        now = min(now + step, line.timer(waiting)) if not hears else now + step
        if hears:
            line.heard(now)
            heard = now
        line.ping_due(now, waiting)
        assert not line.dead(now) or now - heard >= WAITING + AFTER_SLEEP
        assert line.timer(waiting) <= heard + IDLE + PATIENCE
