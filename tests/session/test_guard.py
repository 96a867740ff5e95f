"""The shell that waits for the end of this process, and what it does then."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ssm_ssh.log import Log
from ssm_ssh.session import guard, records
from ssm_ssh.session.guard import Guard

NAME = "1-2-0123456789ab.0123456789abcdef"
_started: set[int] = set()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr(guard, "module", lambda name: ("/bin/sh", "-c", f'echo "$@" >{tmp_path}/reaped', name))
    spawn = os.posix_spawn

    def noted(*arguments: Any, **options: Any) -> int:  # noqa: ANN401
        pid = spawn(*arguments, **options)
        _started.add(pid)
        return pid

    _started.clear()
    monkeypatch.setattr(os, "posix_spawn", noted)
    folder = tmp_path / "ssm-ssh" / "sessions"
    folder.mkdir(parents=True, mode=0o700)
    folder.parent.chmod(0o700)
    return folder


def until(done: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def shells() -> set[int]:
    """The programs that a test has started and that still run; others of this process are none of its business."""
    for pid in list(_started):
        if os.waitpid(pid, os.WNOHANG)[0]:
            _started.discard(pid)
    return _started


def test_a_record_that_is_still_there_is_reaped(folder: Path, tmp_path: Path) -> None:
    (folder / NAME).touch()
    guarded = Guard(NAME, os.environ, Log(None))
    assert shells()
    guarded.release()
    until((tmp_path / "reaped").exists)
    until(lambda: (tmp_path / "reaped").read_text() == f"{NAME}\n")
    until(lambda: not shells())
    guarded.release()


def test_without_a_record_nothing_is_started(tmp_path: Path) -> None:
    Guard(NAME, os.environ, Log(None)).release()
    until(lambda: not shells())
    assert not (tmp_path / "reaped").exists()


def test_a_guard_survives_its_process_group_and_holds_nothing_of_it(folder: Path, tmp_path: Path) -> None:
    (folder / NAME).touch()
    inherited, held = os.pipe()
    os.set_inheritable(held, True)
    program = (
        "import os, sys\n"
        "from ssm_ssh.log import Log\n"
        "from ssm_ssh.session import guard\n"
        f"guard.module = lambda name: ('/bin/sh', '-c', 'echo reaped >{tmp_path}/reaped')\n"
        f"guarded = guard.Guard({NAME!r}, os.environ, Log(None))\n"
        "print('ready', flush=True); input()\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        pass_fds=[held],
        start_new_session=True,
    )
    os.close(held)
    assert child.stdout is not None
    assert child.stdout.readline() == b"ready\n"
    os.killpg(child.pid, signal.SIGKILL)
    assert child.communicate() == (b"", b"")
    assert os.read(inherited, 1) == b""  # the end, though the shell may still run
    os.close(inherited)
    until((tmp_path / "reaped").exists)


def test_without_a_shell_the_session_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "_SHELL", "/nowhere/sh")
    Guard(NAME, os.environ, Log(None)).release()


def test_a_system_without_new_sessions_gets_a_group(
    monkeypatch: pytest.MonkeyPatch, folder: Path, tmp_path: Path
) -> None:
    real = os.posix_spawn

    def spawn(*arguments: object, **options: object) -> int:
        if "setsid" in options:
            raise NotImplementedError
        return real(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "posix_spawn", spawn)
    (folder / NAME).touch()
    Guard(NAME, os.environ, Log(None)).release()
    until((tmp_path / "reaped").exists)
    until(lambda: not shells())


@pytest.mark.parametrize("left", [[], [NAME]])
def test_the_reaper_is_started_if_a_session_was_left_behind(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, left: list[str]
) -> None:
    monkeypatch.setattr(records, "left_behind", lambda now: left)
    guard.end_left_behind(os.environ, Log(None))
    until(lambda: not shells())
    assert (tmp_path / "reaped").exists() == bool(left)


def test_a_folder_that_cannot_be_used_is_no_reason_to_fail(folder: Path) -> None:
    folder.chmod(0o755)
    guard.end_left_behind(os.environ, Log(None))
