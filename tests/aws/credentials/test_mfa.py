from __future__ import annotations

import os
import pty
import subprocess
import sys
import termios

import pytest

from ssm_ssh.aws.credentials import mfa
from ssm_ssh.aws.credentials.mfa import ask
from ssm_ssh.errors import CredentialsError

# Asks on its controlling terminal, which only a session leader of its own can have.
ASKER = """
import sys
from ssm_ssh.aws.credentials.mfa import ask
from ssm_ssh.errors import SsmSshError
try:
    sys.stdout.write("code=" + ask(sys.argv[1], timeout=float(sys.argv[2])))
except SsmSshError as error:
    sys.stdout.write("error=" + error.sentence())
"""


def run(typed: bytes | None, prompt: str = "MFA code:", timeout: float = 30) -> tuple[str, str]:
    """Return what the asker wrote to its stdout and what was seen on the terminal."""
    read_end, write_end = os.pipe()
    pid, terminal = pty.fork()
    if pid == 0:  # the child: stdin and stdout are no terminal, as under ssh
        os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
        os.dup2(write_end, 1)
        os.execv(sys.executable, [sys.executable, "-c", ASKER, prompt, str(timeout)])
    os.close(write_end)
    seen = b""
    try:
        if typed is not None:
            while b": " not in seen:
                seen += os.read(terminal, 1024)
            os.write(terminal, typed)
        with os.fdopen(read_end) as answer:
            said = answer.read()
        while True:
            try:
                more = os.read(terminal, 1024)
            except OSError:
                break
            if not more:
                break
            seen += more
    finally:
        os.waitpid(pid, 0)
        os.close(terminal)
    return said, seen.decode()


def test_asks_on_the_terminal_and_does_not_echo() -> None:
    said, seen = run(b"123456\n", "Enter MFA code for \x1b[31marn:mfa/me:")
    assert said == "code=123456"
    assert "123456" not in seen
    assert "\x1b" not in seen
    assert "arn:mfa/me: " in seen


def test_end_of_input() -> None:
    assert "no MFA code" in run(b"\x04")[0]


def test_the_wait_for_a_code_ends() -> None:
    assert "in time" in run(None, timeout=0)[0]


def test_no_terminal() -> None:
    done = subprocess.run(
        [sys.executable, "-c", ASKER, "x", "1"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        start_new_session=True,
        check=True,
    )
    assert b"no terminal" in done.stdout
    assert b"Run any aws command" in done.stdout
    assert done.stderr == b""


def test_what_is_no_terminal() -> None:
    with pytest.raises(CredentialsError, match="cannot be used"):
        ask("x", terminal="/dev/null")


def test_questions_are_asked_one_after_the_other() -> None:
    program = (
        "import sys, threading; from ssm_ssh.aws.credentials.mfa import ask; said = []\n"
        "threads = [threading.Thread(target=lambda: said.append(ask('code:'))) for _ in range(2)]\n"
        "[one.start() for one in threads]; [one.join() for one in threads]; print(*said, flush=True)"
    )
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [sys.executable, "-c", program])
    try:
        for code in (b"111111\n", b"222222\n"):
            seen = b""
            while b": " not in seen:
                seen += os.read(terminal, 1024)
            assert seen.count(b"code:") == 1
            os.write(terminal, code)
        # Each thread has one of the two codes, whole; which of them goes on first is not said.
        while not (b"111111 222222" in seen or b"222222 111111" in seen):
            seen += os.read(terminal, 1024)
    finally:
        os.waitpid(pid, 0)
        os.close(terminal)


def test_a_process_that_cannot_wait_restores_the_terminal() -> None:
    screen, terminal = os.openpty()
    try:
        before = termios.tcgetattr(terminal)
        quiet = termios.tcgetattr(terminal)
        quiet[3] &= ~termios.ECHO
        termios.tcsetattr(terminal, termios.TCSANOW, quiet)
        mfa._changed[terminal] = before
        mfa.restore_terminals()
        assert termios.tcgetattr(terminal) == before
    finally:
        mfa._changed.clear()
        os.close(screen)
        os.close(terminal)
