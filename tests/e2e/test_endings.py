"""However a connection ends: the session is terminated, no process is left, and nobody is kept waiting."""

from __future__ import annotations

import os
import pty
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ssm_ssh.aws.api.client import Api
from ssm_ssh.aws.config.settings import load
from ssm_ssh.aws.services.sessions import terminate_session
from tests.e2e.world import Running, World, read_until, until

pytestmark = pytest.mark.e2e
Left = Callable[[], list[object]]
# The session ends within two seconds of ssh where AWS can be reached. The rest is for a busy machine, and for a session
# that is just being started.
SOON = 20.0


def proxies(world: World) -> list[int]:
    """The tunnels that run in the lab."""
    marker, found = os.fsencode(world.lab.folder), []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
            if b"proxy" in words and marker in (entry / "environ").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def going_on(world: World) -> set[str]:
    """The ids of the sessions that have not ended."""
    return {one["SessionId"] for one in world.lab.sessions() if one["Status"] not in {"Terminated", "Failed"}}


@pytest.fixture
def left(world: World) -> Left:
    """What of this test is left: sessions and tunnels."""
    until(lambda: not proxies(world), "the end of earlier tunnels")
    earlier = going_on(world)  # of clients that were killed with everything
    return lambda: [*(going_on(world) - earlier), *proxies(world)]


def established(world: World) -> Running:
    running = world.start("ssh", world.web.destination, "echo ready; cat")
    read_until(running.stdout, b"ready\n")
    return running


def terminate(world: World, session_id: str) -> None:
    """End a session as an administrator may."""
    terminate_session(Api(load(env=world.env)), session_id)


WAYS: dict[str, Callable[[World, Running], object]] = {
    "ssh is done": lambda _, running: running.stdin.close(),
    "ssh gets INT": lambda _, running: running.process.send_signal(signal.SIGINT),
    "ssh gets TERM": lambda _, running: running.process.send_signal(signal.SIGTERM),
    "ssh gets HUP": lambda _, running: running.process.send_signal(signal.SIGHUP),
    "ssh is killed": lambda _, running: running.process.kill(),
    "Ctrl-C": lambda _, running: running.interrupt(),
    "the tunnel gets INT": lambda world, _: os.kill(*proxies(world), signal.SIGINT),
    "the tunnel gets TERM": lambda world, _: os.kill(*proxies(world), signal.SIGTERM),
    "the tunnel gets HUP": lambda world, _: os.kill(*proxies(world), signal.SIGHUP),
}


@pytest.mark.parametrize("way", WAYS)
def test_the_session_is_terminated_and_nothing_is_left(world: World, left: Left, way: str) -> None:
    running = established(world)
    WAYS[way](world, running)
    # What captures ssh's output sees its end although the tunnel may still be busy ending the session.
    assert running.stdout.read() == b""
    running.stderr.read()
    running.process.wait(SOON)
    until(lambda: not left(), "the end of the session and of the tunnel", SOON, left)


def test_the_terminal_is_closed(world: World, left: Left) -> None:
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvpe("ssh", ["ssh", "-tt", world.web.destination, "echo ready; cat"], world.env)
    said = b""
    while b"ready" not in said:
        said += os.read(terminal, 4096)
    os.close(terminal)
    os.waitpid(pid, 0)
    until(lambda: not left(), "the end of the session and of the tunnel", SOON, left)


def test_ssh_ends_while_the_session_is_being_started(world: World, left: Left) -> None:
    before = len(world.lab.sessions())
    world.lab.fault("api", operation="StartSession", code="", delay=1.0)
    try:
        running = world.start("ssh", world.web.destination, "true")
        until(lambda: proxies(world), "the tunnel")
        running.process.kill()
        running.process.wait()
        until(lambda: not proxies(world), "the end of the tunnel", SOON)
    finally:
        world.lab.clear_faults()
    until(lambda: not left(), "the end of the session", SOON, left)  # the agent takes a moment to obey
    assert len(world.lab.sessions()) <= before + 1


def test_a_tunnel_that_is_ended_at_any_moment_of_its_start_leaves_no_session(world: World, left: Left) -> None:
    """Signals are caught before AWS is asked for the session."""
    for step in range(12):
        running = world.start(sys.executable, "-I", "-m", "ssm_ssh", "proxy", world.web.instance_id, "22", "ec2-user")
        time.sleep(step / 60)  # each moment will do
        running.process.terminate()
        running.process.wait(SOON)
    until(lambda: not left(), "the end of the sessions and of the tunnels", SOON, left)


def test_the_instance_dies(world: World, left: Left) -> None:
    running = established(world)
    world.lab.fault("kill_instance", instance_id=world.web.instance_id)
    try:
        # Nobody is told: as with a cable that was pulled, ssh's own keep-alives must notice. The user gives up.
        running.process.terminate()
        running.process.wait(SOON)
        until(lambda: not left(), "the end of the session and of the tunnel", SOON, left)
    finally:
        world.lab.fault("start_instance", instance_id=world.web.instance_id)
        world.lab.clear_faults()
        until(lambda: world.web.instance_id in world.lab.online(), "the instance")


def test_credentials_have_expired_meanwhile(world: World, left: Left) -> None:
    running = established(world)
    world.lab.fault("api", code="ExpiredTokenException", status=400, count=50)
    try:
        running.process.kill()
        running.process.wait()
        # The flag that goes through the data channel needs no credentials.
        until(lambda: not left(), "the end of the session and of the tunnel", SOON, left)
    finally:
        world.lab.clear_faults()


def test_the_network_is_away(world: World) -> None:
    running = established(world)
    world.lab.fault("refuse", side="client")
    world.lab.fault("cut", side="client")
    world.lab.fault("api", code="", delay=20.0, count=50)
    try:
        until(lambda: "ResumeSession" in [one["operation"] for one in world.lab.calls()], "an attempt to resume")
        running.process.kill()
        running.process.wait()
        until(lambda: not proxies(world), "the end of the tunnel", SOON)
    finally:
        world.lab.clear_faults()
    # AWS could not be told, and ends the session itself when it has been idle.
    for one in world.lab.sessions():
        if one["Status"] != "Terminated":
            terminate(world, one["SessionId"])


def test_no_temporary_file_is_left(world: World) -> None:
    running = established(world)
    running.stdin.close()
    running.process.wait()
    until(lambda: not proxies(world), "the end of the tunnel", SOON)
    left = [path.name for path in Path(world.env["XDG_DATA_HOME"], "ssm-ssh").iterdir()]
    assert [name for name in left if name.startswith(".")] == []
