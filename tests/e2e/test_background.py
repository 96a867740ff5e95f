"""ssh in the background, started by a program that reads its output to the end: it waits for no tunnel."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.test_endings import proxies, terminate
from tests.e2e.world import LIMIT, EchoServer, World, connect, converse, free_port, until, without_waiting

pytestmark = pytest.mark.e2e


@pytest.fixture(autouse=True)
def _alone(world: World) -> Iterator[None]:
    """No tunnel of another test, and none that is left."""
    until(lambda: not proxies(world), "the end of earlier tunnels")
    yield
    for pid in proxies(world):
        os.kill(pid, signal.SIGTERM)
    until(lambda: not proxies(world), "the end of the tunnel")


def capture(world: World, *words: str) -> subprocess.CompletedProcess[str]:
    """Run ssh as `subprocess.run(capture_output=True)` does; returns once nothing holds its stdout or stderr."""
    command = ["ssh", *words]
    return subprocess.run(
        command, env=world.env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT
    )


def test_a_forward_in_the_background(world: World) -> None:
    port = free_port()
    with EchoServer() as echo:
        done = capture(world, "-fN", f"-L{port}:127.0.0.1:{echo.port}", world.web.destination)
        assert (done.returncode, done.stdout, without_waiting(done.stderr)) == (0, "", "")
        assert len(proxies(world)) == 1
        with connect(port) as sock:
            assert converse(sock, b"hello") == b"hello"


@pytest.mark.parametrize(
    "options",
    [
        ("-fNM", "-oControlPath={path}"),
        ("-fN", "-oControlMaster=yes", "-oControlPersist=60", "-oControlPath={path}"),
        ("-oControlMaster=auto", "-oControlPersist=60", "-oControlPath={path}"),
    ],
    ids=["-fNM", "-fN and ControlPersist", "ControlPersist"],
)
def test_a_shared_connection_in_the_background(world: World, options: tuple[str, ...]) -> None:
    path = world.control_folder() / "web"
    words = [option.format(path=path) for option in options]
    command = () if "N" in options[0] else ("true",)
    done = capture(world, *words, world.web.destination, *command)
    assert (done.returncode, done.stdout, without_waiting(done.stderr)) == (0, "", "")
    assert capture(world, f"-oControlPath={path}", world.web.destination, "echo shared").stdout == "shared\n"


def test_what_happens_then_is_told_by_the_next_connection_once(world: World) -> None:
    before = set(world.sessions(world.web))
    capture(world, "-fN", world.web.destination)
    (session,) = set(world.sessions(world.web)) - before
    terminate(world, session)
    until(lambda: not proxies(world), "the end of the tunnel")
    log = Path(world.env["XDG_STATE_HOME"], "ssm-ssh", "ssm-ssh.log").read_text()
    assert "ssh is in the background: its stderr is let go" in log
    why = f"the session with {world.web.instance_id} was ended from outside"
    assert why in world.run(sys.executable, "-m", "ssm_ssh", "status", "--json", expect=None).text
    first, second = (capture(world, world.web.destination, "true") for _ in range(2))
    assert f"ssm-ssh: the last connection to {world.web.instance_id} ended at " in first.stderr
    assert why in first.stderr
    assert without_waiting(second.stderr) == ""


def test_notices_reach_a_program_that_captures_an_ssh_in_the_foreground(world: World) -> None:
    before = set(world.sessions(world.web))
    running = world.start("ssh", world.web.destination, "echo ready; cat")
    assert os.read(running.stdout.fileno(), 100) == b"ready\n"
    (session,) = set(world.sessions(world.web)) - before
    terminate(world, session)
    done = running.finish()
    assert f"ssm-ssh: the session with {world.web.instance_id} was ended from outside" in done.stderr
