"""Processes and their marks: ended, running, and not to be judged."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from ssm_ssh.storage import process_mark

PROGRAM = "from ssm_ssh.storage import process_mark; print(process_mark.own(), flush=True); input()"


def test_a_process_runs_until_it_has_ended() -> None:
    assert process_mark.has_ended(process_mark.own()) is False
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        mark = child.stdout.readline().strip()
        assert process_mark.has_ended(mark) is False
        child.kill()
        child.wait()
        assert process_mark.has_ended(mark) is True


@pytest.mark.skipif(not process_mark.knows_boots(), reason="needs /proc")
def test_a_dead_process_that_is_not_waited_for_has_ended() -> None:
    reads, writes = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(writes, process_mark.own().encode())
        os._exit(0)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    try:
        assert process_mark.has_ended(os.read(reads, 100).decode()) is True
    finally:
        os.waitpid(pid, 0)
        os.close(reads)
        os.close(writes)


@pytest.mark.skipif(not process_mark.knows_boots(), reason="needs /proc")
def test_another_process_with_the_same_id_is_not_that_process() -> None:
    pid, _, world = process_mark.own().split("-")
    assert process_mark.has_ended(f"{pid}-1-{world}") is True
    assert process_mark.has_ended(f"{pid}-0-{world}") is False  # when it started was not known


@pytest.mark.parametrize("mark", ["", "x", "1-2", "1-2-0123456789ab", "-1-2-0123456789ab"])
def test_what_is_elsewhere_or_no_mark_is_not_judged(mark: str) -> None:
    assert process_mark.has_ended(mark) is None


def test_another_boot_and_another_machine_make_another_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    mark = process_mark.own()
    monkeypatch.setattr(process_mark, "_boot", lambda: b"another")
    assert process_mark.own() != mark
    assert process_mark.has_ended(mark) is None
    assert process_mark.knows_boots()
    monkeypatch.setattr(process_mark, "_boot", lambda: b"")
    assert not process_mark.knows_boots()


def test_a_system_without_proc_tells_no_boot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_mark, "_BOOT", "/nowhere")
    assert not process_mark.knows_boots()
    assert process_mark.has_ended(process_mark.own()) is False
