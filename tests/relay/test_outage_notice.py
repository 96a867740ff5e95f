"""When a lost connection is told of, in virtual time."""

from __future__ import annotations

from itertools import product

from ssm_ssh.relay.outage_notice import BACK, QUIET, TELL, TELL_AFTER, Outage, lost_sentence, may_interject


def test_it_is_told_once_after_ten_seconds_and_so_is_the_return() -> None:
    outage = Outage()
    assert outage.look(0.0, online=True) == QUIET
    assert outage.look(1.0, online=False) == QUIET
    assert outage.timer() == 1.0 + TELL_AFTER
    assert outage.look(1.0 + TELL_AFTER, online=False) == TELL
    assert outage.look(100.0, online=False) == QUIET
    assert outage.timer() is None
    assert outage.look(101.0, online=True) == BACK
    assert outage.look(102.0, online=True) == QUIET


def test_a_short_absence_is_not_told() -> None:
    outage = Outage()
    outage.look(0.0, online=False)
    assert outage.look(9.0, online=True) == QUIET
    assert outage.look(10.0, online=False) == QUIET


def test_only_a_person_in_front_of_a_foreground_openssh_is_told() -> None:
    for openssh, foreground, terminal in product((True, False), repeat=3):
        told = may_interject(openssh=openssh, foreground=foreground, terminal=terminal)
        assert told == (openssh and foreground and terminal)


def test_the_line_says_how_to_leave() -> None:
    assert "~." in lost_sentence(900)
    assert "15 min" in lost_sentence(900)
