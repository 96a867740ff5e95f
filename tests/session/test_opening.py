"""The steps before a session serves its purpose."""

from __future__ import annotations

from ssm_ssh.errors import NetworkError, SessionEnded
from ssm_ssh.session import opening
from ssm_ssh.session.opening import BEGIN, CONNECT, FAIL, LIMIT, QUIET, START, TELL, TELL_AFTER, Opening


def test_it_tells_once_what_is_awaited() -> None:
    clock = Opening(100.0)
    assert clock.timer == 100.0 + TELL_AFTER
    assert clock.look(100.0 + TELL_AFTER - 0.1, START) == QUIET
    assert clock.look(100.0 + TELL_AFTER, CONNECT) == TELL
    assert clock.look(100.0 + TELL_AFTER + 1, CONNECT) == QUIET
    assert clock.timer == 100.0 + TELL_AFTER + LIMIT


def test_starting_a_session_has_no_limit_here_because_a_person_may_be_asked() -> None:
    clock = Opening(0.0)
    clock.look(TELL_AFTER, START)
    assert clock.look(600.0, START) == QUIET


def test_each_later_step_has_its_own_limit() -> None:
    clock = Opening(0.0)
    assert clock.look(1.0, START) == QUIET
    assert clock.look(2.0, CONNECT) == QUIET
    assert clock.look(30.0, BEGIN) == TELL
    assert clock.look(30.0 + LIMIT - 1, BEGIN) == QUIET
    assert clock.look(30.0 + LIMIT, BEGIN) == FAIL


def test_a_broken_connection_does_not_restart_the_clock() -> None:
    clock = Opening(0.0)
    clock.look(0.0, CONNECT)
    clock.look(1.0, BEGIN)
    clock.look(20.0, CONNECT)
    assert clock.look(1.0 + LIMIT, CONNECT) == FAIL


def test_an_agent_that_is_there_at_once_needs_no_connection_first() -> None:
    clock = Opening(0.0)
    clock.look(1.0, BEGIN)
    assert clock.look(1.0 + LIMIT, BEGIN) == FAIL


def test_each_step_has_its_words() -> None:
    words = {step: opening.awaited_sentence(step, "i-0") for step in (START, CONNECT, BEGIN)}
    assert len(set(words.values())) == 3
    assert all("i-0" in sentence for sentence in words.values())


def test_an_overdue_step_says_what_to_do() -> None:
    error = opening.overdue(CONNECT, "i-0", None)
    assert isinstance(error, NetworkError)
    assert "HTTPS_PROXY" in error.hint
    assert opening.overdue(CONNECT, "i-0", NetworkError("no route")).hint == "no route"
    error = opening.overdue(BEGIN, "i-0", None)
    assert isinstance(error, SessionEnded)
    assert "amazon-ssm-agent" in error.hint
