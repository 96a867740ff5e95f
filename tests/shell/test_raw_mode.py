"""Raw mode on a real pty, and where there is no terminal."""

from __future__ import annotations

import os
import pty
import termios

from ssm_ssh.shell.raw_mode import RawMode


def test_a_terminal_is_raw_in_between_and_a_pipe_stays_what_it_is() -> None:
    ours, theirs = pty.openpty()
    try:
        before, raw = termios.tcgetattr(theirs), RawMode(theirs)
        raw.enter()
        assert raw.entered
        assert not termios.tcgetattr(theirs)[3] & (termios.ECHO | termios.ICANON | termios.ISIG)
        raw.enter()
        raw.restore()
        raw.restore()
        assert not raw.entered
        assert termios.tcgetattr(theirs) == before
    finally:
        os.close(ours)
        os.close(theirs)
    reads, writes = os.pipe()
    raw = RawMode(reads)
    raw.enter()
    assert not raw.entered
    for fd in (reads, writes):
        os.close(fd)
