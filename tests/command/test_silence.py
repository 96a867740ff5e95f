"""When a command whose output has stopped after a break is given up."""

from __future__ import annotations

from ssm_ssh.command.silence import LOST, LOST_AFTER, TELL, TELL_AFTER, Silence


def test_a_silent_command_is_told_of_once_and_given_up_late() -> None:
    silence = Silence(100.0)
    assert silence.timer(suspicious=True) == 100.0 + TELL_AFTER
    assert silence.look(129.0, suspicious=True) == ""
    assert silence.look(130.0, suspicious=True) == TELL
    assert silence.look(131.0, suspicious=True) == ""
    assert silence.timer(suspicious=True) == 100.0 + LOST_AFTER
    assert silence.look(100.0 + LOST_AFTER, suspicious=True) == LOST


def test_output_begins_it_anew() -> None:
    silence = Silence(100.0)
    assert silence.look(150.0, suspicious=True) == TELL
    silence.heard(160.0)
    assert silence.seconds(165.0) == 5.0
    assert silence.look(180.0, suspicious=True) == ""
    assert silence.look(190.0, suspicious=True) == TELL


def test_without_a_break_a_command_may_be_silent_for_ever() -> None:
    silence = Silence(0.0)
    assert silence.look(1e6, suspicious=False) == ""
    assert silence.timer(suspicious=False) is None
