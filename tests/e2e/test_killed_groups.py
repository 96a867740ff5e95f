"""A client that is killed with its whole process group: the session is ended all the same."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.test_endings import SOON, established, going_on, proxies
from tests.e2e.world import Running, World, until

pytestmark = pytest.mark.e2e


@pytest.fixture(autouse=True)
def _alone(world: World) -> Iterator[None]:
    until(lambda: not proxies(world), "the end of earlier tunnels")
    yield
    until(lambda: not records(world), "the end of every record")


def records(world: World) -> list[str]:
    folder = Path(world.env["XDG_STATE_HOME"], "ssm-ssh", "sessions")
    return [path.name for path in folder.iterdir() if path.name != ".lock"] if folder.exists() else []


def guards(world: World) -> list[int]:
    """The shells that wait for the end of a tunnel."""
    marker = os.fsencode(world.lab.folder)
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if b"ssm_ssh.session.reaper" in (line := (entry / "cmdline").read_bytes()) and marker in line:
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def kill_group(running: Running) -> None:
    os.killpg(running.process.pid, signal.SIGKILL)
    running.process.wait()


def test_a_killed_group_leaves_no_session(world: World) -> None:
    running = established(world)
    (name,) = records(world)
    until(lambda: len(guards(world)) == 1, "the guard")
    session = going_on(world)
    assert len(session) == 1
    kill_group(running)
    until(lambda: not going_on(world) & session, "the end of the session", SOON)
    until(lambda: name not in records(world), "the end of the record")
    until(lambda: not guards(world), "the end of the guard")


def test_what_was_killed_with_its_guard_is_ended_by_the_next_connection(world: World) -> None:
    running = established(world)
    session = going_on(world)
    until(lambda: len(guards(world)) == 1, "the guard")
    (pid,) = guards(world)
    os.kill(pid, signal.SIGKILL)
    kill_group(running)
    status = world.run(sys.executable, "-m", "ssm_ssh", "status", "--json", expect=None).text
    assert f"session {min(session)} with {world.web.instance_id} was left open by a killed process" in status
    assert going_on(world) & session
    world.run("ssh", world.db.destination, "-p2222", "true")
    until(lambda: not going_on(world) & session, "the end of the session", SOON)


def test_a_session_that_ends_by_itself_leaves_neither_record_nor_guard(world: World) -> None:
    for _ in range(3):
        world.ssh("true")
    until(lambda: not proxies(world), "the end of the tunnels")
    assert records(world) == []
    until(lambda: not guards(world), "the end of the guards")
