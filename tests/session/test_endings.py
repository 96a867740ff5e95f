"""Why a session has ended, as far as it is known."""

from __future__ import annotations

import pytest

from ssm_ssh.session import endings

IDLE = "Your session timed out due to inactivity and has been terminated."


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.2, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (90, "1 min 30 s"),
        (599, "9 min 59 s"),
        (600, "10 min"),
        (629, "10 min"),
        (1201, "20 min"),
        (3599, "1 h"),
        (3600, "1 h"),
        (3900, "1 h 5 min"),
        (86400, "24 h"),
    ],
)
def test_a_duration_has_two_units_at_most(seconds: float, words: str) -> None:
    assert endings.duration(seconds) == words


def test_the_idle_limit_says_how_long_nothing_was_sent() -> None:
    error = endings.ended(IDLE, "i-0", lasted=4000, idle=1203)
    assert error.message == "the idle limit ended the session with i-0: nothing was sent for 20 min"
    assert "idleSessionTimeout" in error.hint


@pytest.mark.parametrize("reason", ["Maximum session duration reached", "the time limit", "exceeded max session age"])
def test_the_maximum_duration_says_how_long_it_was(reason: str) -> None:
    error = endings.ended(reason, "i-0", lasted=3600.4, idle=2)
    assert error.message == "the maximum duration ended the session with i-0 after 1 h"
    assert "maxSessionDuration" in error.hint


def test_any_other_reason_is_shown_without_what_a_terminal_would_obey() -> None:
    error = endings.ended("----------ERROR-------\nbroken\x1b[2J", "i-0", lasted=61, idle=1)
    assert error.sentence() == "the session with i-0 was ended after 1 min 1 s: broken [2J"


def test_an_error_of_the_agent_is_told_from_other_ends() -> None:
    assert endings.is_agent_error("----------ERROR-------: RunAs user bob does not exist")
    assert not endings.is_agent_error("Your session has been terminated")
    assert "no reason was given" in endings.broken_off("i-1").message


def test_a_session_that_never_began_says_why() -> None:
    reason = "----------ERROR-------\nRunAs user bob does not exist"
    assert endings.never_began(reason, "i-0").sentence().endswith("before it began: RunAs user bob does not exist")
    silent = endings.never_began("", "i-0")
    assert "no reason given" in silent.message
    assert "amazon-ssm-agent" in silent.hint


def test_without_a_reason_a_limit_is_presumed_only_where_the_time_fits() -> None:
    fits = endings.presumed("i-0", lasted=4000, idle=1205)
    assert "may have ended it" in fits
    assert "idle limit" in fits
    assert "20 min" in fits
    assert "idle limit" not in endings.presumed("i-0", lasted=4000, idle=1230)
    assert "idle limit" not in endings.presumed("i-0", lasted=4000, idle=30)
    assert "maximum duration" in endings.presumed("i-0", lasted=3601, idle=30)
    assert "maximum duration" not in endings.presumed("i-0", lasted=3640, idle=30)
    assert "maximum duration" not in endings.presumed("i-0", lasted=59, idle=30)
