"""The line about a long wait."""

from __future__ import annotations

import contextlib
import os
import pty
import select
from collections.abc import Iterator

import pytest

from ssm_ssh.session.progress_line import ProgressLine


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reads, writes = os.pipe()
    os.set_blocking(reads, False)
    yield reads, writes
    os.close(reads)
    os.close(writes)


def shown(master: int, size: int) -> bytes:
    """What a terminal shows, which may come in pieces: `size` bytes of it."""
    data = b""
    while len(data) < size and select.select([master], [], [], 60)[0]:
        data += os.read(master, size - len(data))
    return data


def test_without_a_terminal_each_step_has_a_line(pipe: tuple[int, int]) -> None:
    line = ProgressLine(pipe[1])
    for seconds in range(5):
        line.show("first", seconds)
    line.tell("a notice")
    line.show("second", 0)
    line.end()
    assert os.read(pipe[0], 1000) == b"ssm-ssh: first\nssm-ssh: a notice\nssm-ssh: second\n"


def test_a_full_or_closed_pipe_costs_nothing_but_the_line(pipe: tuple[int, int]) -> None:
    os.set_blocking(pipe[1], False)
    with contextlib.suppress(BlockingIOError):
        while os.write(pipe[1], b"x" * 65536):
            pass
    ProgressLine(pipe[1]).show("text", 0)
    spare = os.dup(pipe[1])
    os.close(spare)
    ProgressLine(spare).show("text", 0)


def test_on_a_terminal_one_line_is_updated(monkeypatch: pytest.MonkeyPatch) -> None:
    master, slave = pty.openpty()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(os, "tcgetpgrp", lambda _: os.getpgrp())
    line = ProgressLine(slave)
    line.show("a step", 1)
    line.show("a step", 2)
    line.end()
    wanted = b"\rssm-ssh: a step (1 s)\x1b[K\rssm-ssh: a step (2 s)\x1b[K\r\x1b[K"
    assert shown(master, len(wanted)) == wanted
    monkeypatch.setenv("TERM", "dumb")
    line.show("a step", 3)
    line.show("another", 4)
    # A terminal may be set to put a return before each new line.
    assert shown(master, len(b"ssm-ssh: another\r\r\n")).replace(b"\r\r", b"\r") == b"ssm-ssh: another\r\n"
    os.close(master)
    os.close(slave)


def test_a_line_that_is_left_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    master, slave = pty.openpty()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(os, "tcgetpgrp", lambda _: os.getpgrp())
    line = ProgressLine(slave)
    line.leave()
    line.show("a step", 1)
    line.leave()
    line.leave()
    wanted = b"\rssm-ssh: a step (1 s)\x1b[K\r\n"
    assert shown(master, len(wanted) + 1).replace(b"\r\r", b"\r") == wanted
    os.close(master)
    os.close(slave)


def test_a_line_that_would_wrap_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    master, slave = pty.openpty()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(os, "tcgetpgrp", lambda _: os.getpgrp())
    monkeypatch.setattr(os, "get_terminal_size", lambda _: os.terminal_size((30, 24)))
    ProgressLine(slave).show("x" * 100, 1)
    wanted = b"\rssm-ssh: " + b"x" * 20 + b"\x1b[K"
    assert shown(master, len(wanted)) == wanted
    os.close(master)
    os.close(slave)
