"""The terminal's modes, its size and its bytes, on a real pty."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ssm_ssh.errors import UsageError
from ssm_ssh.relay.poller import Poller
from ssm_ssh.shell import terminal as module
from ssm_ssh.shell.select_poller import SelectPoller
from ssm_ssh.shell.terminal import Terminal, terminal_poller


class Pty:
    def __init__(self) -> None:
        self.master, self.slave = pty.openpty()
        os.set_blocking(self.master, False)

    def modes(self) -> list[object]:
        return list(termios.tcgetattr(self.slave))

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def shown(self, until: Callable[[bytes], bool] = bool) -> bytes:
        data = b""
        deadline = time.monotonic() + 20
        while not until(data):
            assert time.monotonic() < deadline, data
            try:
                data += os.read(self.master, 65536)
            except BlockingIOError:
                time.sleep(0.01)
        return data

    def close(self) -> None:
        for fd in (self.master, self.slave):
            try:
                os.close(fd)
            except OSError:
                pass


@pytest.fixture
def tty() -> Iterator[Pty]:
    made = Pty()
    yield made
    made.close()


def terminal_of(tty: Pty) -> Terminal:
    return Terminal(tty.slave, tty.slave, tty.slave)


def test_raw_mode_passes_every_key_on_and_is_put_back(tty: Pty) -> None:
    before = tty.modes()
    terminal = terminal_of(tty)
    assert not terminal.raw
    terminal.enter_raw()
    os.write(tty.master, b"\x03\x1a\x1c\x11\x13\r\n\x7f\xff")
    assert terminal.read(100) == b"\x03\x1a\x1c\x11\x13\r\n\x7f\xff"
    terminal.write(b"a\nb")
    assert tty.shown(lambda data: len(data) >= 3) == b"a\nb"
    terminal.enter_raw()
    terminal.restore()
    assert tty.modes() == before
    terminal.close()
    terminal.close()
    assert tty.modes() == before


def test_close_puts_the_modes_back(tty: Pty) -> None:
    before = tty.modes()
    terminal = terminal_of(tty)
    terminal.enter_raw()
    assert tty.modes() != before
    terminal.close()
    assert tty.modes() == before


def test_what_is_typed_before_raw_mode_is_not_lost(tty: Pty) -> None:
    terminal = terminal_of(tty)
    os.write(tty.master, b"ls\n")
    terminal.enter_raw()
    assert terminal.read(100) == b"ls\n"
    assert terminal.read(100) == b""
    assert not terminal.ended
    terminal.close()


def test_the_descriptors_that_others_share_stay_as_they_are(tty: Pty) -> None:
    terminal = terminal_of(tty)
    assert terminal.input == terminal.output != tty.slave
    assert os.get_blocking(tty.slave)
    terminal.close()


def test_a_terminal_that_cannot_be_opened_again_is_used_as_it_is(tty: Pty, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_reopen", lambda fd: None)
    terminal = terminal_of(tty)
    assert terminal.input == terminal.output == tty.slave
    assert not os.get_blocking(tty.slave)
    terminal.close()
    assert os.get_blocking(tty.slave)


def test_a_terminal_of_another_name_is_not_opened(tty: Pty, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "ttyname", lambda fd: "/dev/null")
    assert module._reopen(tty.slave) is None
    monkeypatch.setattr(os, "ttyname", lambda fd: "/dev/no-such-terminal")
    assert module._reopen(tty.slave) is None


def test_output_waits_for_a_terminal_that_takes_none(tty: Pty) -> None:
    terminal = terminal_of(tty)
    terminal.enter_raw()
    data = bytes(range(32, 127)) * 5000
    terminal.write(data)
    terminal.write(b"end")
    assert terminal.backlog > 0
    seen = b""
    while terminal.backlog:
        seen += tty.shown()
        terminal.flush()
    while len(seen) < len(data) + 3:
        seen += tty.shown()
    assert seen == data + b"end"
    terminal.close()


def test_a_terminal_that_is_gone_ends_both_ways(tty: Pty) -> None:
    terminal = terminal_of(tty)
    terminal.enter_raw()
    os.close(tty.master)
    assert terminal.read(100) == b""
    assert terminal.ended
    terminal.write(b"x")
    assert terminal.broken
    assert terminal.backlog == 0
    terminal.restore(b"last")
    terminal.enter_raw()
    terminal.close()


def test_the_size_is_that_of_the_terminal(tty: Pty) -> None:
    terminal = terminal_of(tty)
    assert terminal.size() is None
    tty.resize(120, 40)
    assert terminal.size() == (120, 40)
    terminal.close()
    os.close(tty.slave)
    assert terminal.size() is None


def test_a_line_of_ssm_ssh_s_own_stands_apart(tty: Pty) -> None:
    terminal = terminal_of(tty)
    terminal.tell("before")
    assert tty.shown(lambda data: data.endswith(b"\n")) == b"ssm-ssh: before\r\n"  # the terminal's own CR
    terminal.enter_raw()
    terminal.tell("within")
    assert tty.shown(lambda data: data.endswith(b"within\r\n")) == b"\r\nssm-ssh: within\r\n"
    terminal.restore(b"bye")
    assert tty.shown() == b"bye"
    terminal.close()


def test_output_that_goes_elsewhere_is_not_mixed_with_lines_for_the_user(tty: Pty, tmp_path: Path) -> None:
    with (tmp_path / "out").open("wb") as file:
        terminal = Terminal(tty.slave, file.fileno(), tty.slave)
        terminal.enter_raw()
        terminal.write(b"output")
        terminal.tell("a notice")
        terminal.restore(b"\x1b[0m")
        assert tty.shown() == b"ssm-ssh: a notice\r\n"
        terminal.close()
    assert (tmp_path / "out").read_bytes() == b"output"


def test_no_terminal_is_an_error_that_names_exec() -> None:
    read, write = os.pipe()
    try:
        with pytest.raises(UsageError, match="not a terminal") as caught:
            Terminal(read, write, write)
    finally:
        os.close(read)
        os.close(write)
    assert "ssm-ssh exec" in caught.value.hint


def test_a_suspension_puts_the_modes_back_meanwhile(tty: Pty, monkeypatch: pytest.MonkeyPatch) -> None:
    before = tty.modes()
    seen: list[tuple[int, int, object]] = []
    terminal = terminal_of(tty)
    terminal.enter_raw()
    monkeypatch.setattr(os, "kill", lambda pid, number: seen.append((pid, number, tty.modes())))
    terminal.suspend()
    assert seen == [(0, signal.SIGTSTP, before)]
    assert terminal.raw
    assert tty.modes() != before
    terminal.restore()
    terminal.suspend()
    assert not terminal.raw
    terminal.close()


def test_macos_waits_by_select(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert isinstance(terminal_poller(), SelectPoller)
    monkeypatch.setattr(sys, "platform", "linux")
    assert isinstance(terminal_poller(), Poller)


def test_the_modes_are_what_stty_calls_raw(tty: Pty) -> None:
    terminal = terminal_of(tty)
    terminal.enter_raw()
    shown = subprocess.run(["stty", "-a"], stdin=tty.slave, capture_output=True, text=True, check=True).stdout.split()
    assert {"-icanon", "-isig", "-echo", "-opost", "-icrnl", "-ixon", "cs8"} <= {word.strip(";") for word in shown}
    terminal.close()
