"""A lost connection that is being looked for: told to a person in front of a terminal, and to nothing else."""

from __future__ import annotations

import os
import pty
import signal
import sys
import time
from collections.abc import Iterator

import pytest

from tests.e2e.test_endings import established
from tests.e2e.world import World, until, without_waiting

pytestmark = [pytest.mark.e2e, pytest.mark.long]
LOST, BACK = b"ssm-ssh: the connection is lost; ssm-ssh tries to restore it", b"ssm-ssh: the connection is back\r\n"


@pytest.fixture(autouse=True)
def _cleared(world: World) -> Iterator[None]:
    yield
    world.lab.clear_faults()


def lose(world: World) -> None:
    world.lab.fault("refuse", side="client")
    world.lab.fault("cut", side="client")


def read_until(terminal: int, wanted: bytes, limit: float = 40.0) -> bytes:
    seen, deadline = b"", time.monotonic() + limit
    while wanted not in seen:
        assert time.monotonic() < deadline, seen
        seen += os.read(terminal, 4096)
    return seen


def test_a_person_reads_that_it_is_lost_how_to_leave_and_that_it_is_back(world: World) -> None:
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvpe("ssh", ["ssh", "-tt", world.web.destination, "echo ready; cat"], world.env)
    try:
        read_until(terminal, b"ready")
        lose(world)
        began = time.monotonic()
        told = read_until(terminal, b"runs a command)\r\n")
        assert time.monotonic() - began >= 9
        assert LOST in told
        assert b"~." in told
        status = world.run(sys.executable, "-m", "ssm_ssh", "status", expect=None)
        assert "is lost since" in status.text
        world.lab.clear_faults()
        read_until(terminal, BACK)
    finally:
        os.kill(pid, signal.SIGTERM)
        os.close(terminal)
        os.waitpid(pid, 0)


def test_a_program_reads_nothing_of_it(world: World) -> None:
    running = established(world)
    lose(world)
    time.sleep(14)
    world.lab.clear_faults()
    running.stdin.write(b"on\n")
    until(lambda: running.stdout.read(3) == b"on\n", "the answer")
    assert without_waiting(running.finish().stderr) == ""
