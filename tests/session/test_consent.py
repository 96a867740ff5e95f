"""The question whether an instance may be started."""

from __future__ import annotations

import os
import pty
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ssm_ssh.session import consent, starting

INSTANCE = "i-0123456789abcdef0"
QUESTION = "Start it? [y/N]"


class Terminal:
    """A terminal in whose foreground this process seems to be."""

    def __init__(self) -> None:
        self.master, self.slave = pty.openpty()
        self.path = os.ttyname(self.slave)

    def answer(self, text: bytes) -> threading.Thread:
        """Type `text` once the question has been asked."""

        def work() -> None:
            seen = b""
            while QUESTION.encode() not in seen:
                seen += os.read(self.master, 1000)
            os.write(self.master, text)

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        return thread


@pytest.fixture
def terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr(os, "tcgetpgrp", lambda _: os.getpgrp())
    terminal = Terminal()
    yield terminal
    os.close(terminal.master)
    os.close(terminal.slave)


@pytest.mark.parametrize(("text", "agreed"), [(b"y\n", True), (b"YES\n", True), (b"\n", False), (b"what?\n", False)])
def test_only_yes_means_yes(terminal: Terminal, text: bytes, agreed: bool) -> None:
    thread = terminal.answer(text)
    assert consent.ask(INSTANCE, QUESTION, lambda: True, terminal=terminal.path) is agreed
    thread.join()
    assert starting.declined(INSTANCE, time.time()) is not agreed


def test_who_has_just_declined_is_not_asked_again(terminal: Terminal) -> None:
    starting.decline(INSTANCE, time.time())
    assert consent.ask(INSTANCE, QUESTION, lambda: True, terminal=terminal.path) is False


def test_what_another_connection_has_started_needs_no_question(terminal: Terminal) -> None:
    assert consent.ask(INSTANCE, QUESTION, lambda: False, terminal=terminal.path) is True


def test_no_answer_in_time_means_no(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consent, "SECONDS", 0.05)
    assert consent.ask(INSTANCE, QUESTION, lambda: True, terminal=terminal.path) is False


def test_in_the_background_no_question_is_asked(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    assert consent.ask(INSTANCE, QUESTION, lambda: True, terminal="/nonexistent/tty") is None
    monkeypatch.setattr(os, "tcgetpgrp", lambda _: os.getpgrp() + 1)
    assert consent.ask(INSTANCE, QUESTION, lambda: True, terminal=terminal.path) is None
