"""An expired login under ssh: what a person at the terminal is asked, and what comes of it."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.loginlab import LoginLab, clear_environment, running

# As the proxy does it, with a controlling terminal that only a session leader can have.
PROGRAM = """
import sys
from ssm_ssh.aws.credentials.source import CredentialSource
from ssm_ssh.aws.config.settings import load
from ssm_ssh.errors import SsmSshError
source = CredentialSource(load(profile="sso"), isolate=sys.argv[1] == "isolated")
try:
    sys.stdout.write("key=" + source.get().access_key)
except SsmSshError as error:
    sys.stdout.write("error=" + error.sentence())
"""
# As under Ansible or a loop of the shell: two connections at once on one terminal.
TWO = """
import subprocess, sys
both = [subprocess.Popen([sys.executable, "-c", sys.argv[2], sys.argv[1]], stdout=subprocess.PIPE) for _ in range(2)]
sys.stdout.write(" ".join(one.communicate()[0].decode() for one in both))
"""


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoginLab]:
    clear_environment(monkeypatch)
    with running(tmp_path) as lab:
        browser = tmp_path / "browser"
        browser.write_text(f'#!/bin/sh\nexec {sys.executable} -I -m ssm_ssh.lab.login.browser "$@"\n')
        browser.chmod(0o700)
        lab.env |= {"XDG_STATE_HOME": str(tmp_path / "state")}
        lab.env |= {"BROWSER": str(browser), "SSM_SSH_LAB_PASSWORD": lab.state.password}
        yield lab


def run(lab: LoginLab, typed: bytes, kind: str = "isolated", program: str = PROGRAM, **env: str) -> tuple[str, str]:
    """Return what the program wrote to its stdout and what was seen on the terminal."""
    environment = {**os.environ, **lab.env, **env}
    environment.pop("SSH_CONNECTION", None) if "SSH_CONNECTION" not in env else None
    read_end, write_end = os.pipe()
    pid, terminal = pty.fork()
    if pid == 0:
        os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
        os.dup2(write_end, 1)
        os.execve(sys.executable, [sys.executable, "-c", program, kind, PROGRAM], environment)
    os.close(write_end)
    seen, answered, until = b"", False, time.monotonic() + 120
    try:
        while time.monotonic() < until:
            if not select.select([terminal], [], [], 0.2)[0]:
                continue
            try:
                piece = os.read(terminal, 4096)
            except OSError:
                break
            if not piece:
                break
            seen += piece
            if not answered and b"[Y/n] " in seen:
                os.write(terminal, typed)
                answered = True
            if b"user_code=" in seen and seen.endswith(b"\n"):
                url = next(word for word in seen.decode().split() if "user_code=" in word)
                lab.visit(url)
                seen = seen.replace(b"user_code=", b"(visited) ")
        with os.fdopen(read_end) as answer:
            return answer.read(), seen.decode()
    finally:
        os.waitpid(pid, 0)
        os.close(terminal)


@pytest.mark.parametrize("kind", ["isolated", "here"])
def test_a_yes_logs_in_and_goes_on(lab: LoginLab, kind: str) -> None:
    answer, seen = run(lab, b"\n", kind)
    assert answer.startswith("key=ASIA"), seen
    assert "the login of profile 'sso' has expired. Log in now? [Y/n]" in seen
    assert "Logged in to" in seen


def test_over_ssh_a_code_is_shown(lab: LoginLab) -> None:
    answer, seen = run(lab, b"y\n", SSH_CONNECTION="192.0.2.1 1 192.0.2.2 22")
    assert answer.startswith("key=ASIA"), seen
    assert "enter the code" in seen


def test_a_no_ends_with_the_command(lab: LoginLab) -> None:
    answer, seen = run(lab, b"n\n")
    assert answer.startswith("error=")
    assert answer.endswith("Run: ssm-ssh login sso")
    assert "Logged in" not in seen
    assert lab.calls() == []


def test_two_connections_ask_once_and_share_the_login(lab: LoginLab) -> None:
    answer, seen = run(lab, b"\n", program=TWO)
    assert answer.count("key=ASIA") == 2, seen
    assert seen.count("Log in now?") == 1


def test_two_connections_ask_once_and_share_the_no(lab: LoginLab) -> None:
    answer, seen = run(lab, b"n\n", program=TWO)
    assert answer.count("Run: ssm-ssh login sso") == 2
    assert seen.count("Log in now?") == 1


def test_without_a_terminal_nothing_is_asked(lab: LoginLab) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "isolated"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        start_new_session=True,
        env={**os.environ, **lab.env},
        check=True,
        timeout=60,
    )
    assert done.stdout.decode().endswith("Run: ssm-ssh login sso")
    assert lab.calls() == []
