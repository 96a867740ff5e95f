from hypothesis import given
from hypothesis import strategies as st

from ssm_ssh.relay.keepalive import AFTER_SLEEP, IDLE, PATIENCE, WAITING, Keepalive


def test_a_quiet_line_is_asked_and_then_given_up() -> None:
    keepalive = Keepalive(0.0, 1000.0)
    assert not keepalive.ping_due(IDLE - 1, waiting=False)
    assert keepalive.timer(waiting=False) == IDLE
    assert keepalive.ping_due(IDLE, waiting=False)
    assert not keepalive.ping_due(IDLE + 1, waiting=False)
    assert not keepalive.dead(IDLE + PATIENCE - 1)
    assert keepalive.timer(waiting=False) == IDLE + PATIENCE
    assert keepalive.dead(IDLE + PATIENCE)


def test_unanswered_data_is_asked_after_sooner() -> None:
    keepalive = Keepalive(0.0, 1000.0)
    assert keepalive.ping_due(WAITING, waiting=True)


def test_any_answer_is_a_sign_of_life() -> None:
    keepalive = Keepalive(0.0, 1000.0)
    assert keepalive.ping_due(IDLE, waiting=False)
    keepalive.heard(IDLE + 1)
    assert not keepalive.dead(IDLE + PATIENCE + 100)
    assert not keepalive.ping_due(IDLE + 2, waiting=False)


def test_after_a_sleep_it_is_asked_at_once_and_with_less_patience() -> None:
    keepalive = Keepalive(0.0, 1000.0)
    keepalive.clock(1.0, 1001.0)
    assert not keepalive.ping_due(1.0, waiting=False)
    keepalive.clock(2.0, 1002.0 + 3600.0)
    assert keepalive.ping_due(2.0, waiting=False)
    assert keepalive.dead(2.0 + AFTER_SLEEP)


@given(st.lists(st.tuples(st.floats(0, 30), st.booleans(), st.booleans()), max_size=60))
def test_silence_always_ends_and_a_heard_line_never_dies(steps: list[tuple[float, bool, bool]]) -> None:
    keepalive = Keepalive(0.0, 0.0)
    now = heard = 0.0
    for step, waiting, hears in steps:
        now = min(now + step, keepalive.timer(waiting)) if not hears else now + step
        if hears:
            keepalive.heard(now)
            heard = now
        keepalive.ping_due(now, waiting)
        assert not keepalive.dead(now) or now - heard >= WAITING + AFTER_SLEEP
        assert keepalive.timer(waiting) <= heard + IDLE + PATIENCE


def test_the_last_sign_of_life_is_known() -> None:
    keepalive = Keepalive(5.0, 1000.0)
    assert keepalive.last_heard == 5.0
    keepalive.heard(7.0)
    assert keepalive.ping_due(7.0 + IDLE, waiting=False)
    assert keepalive.last_heard == 7.0


def test_a_connection_that_is_not_read_is_kept_alive_and_never_dead() -> None:
    keepalive = Keepalive(0.0, 0.0)
    pings = [now for now in range(0, 301, 5) if keepalive.unread(float(now))]
    assert len(pings) >= 300 // 60
    assert not keepalive.dead(301.0)
    assert keepalive.last_heard == 300.0
