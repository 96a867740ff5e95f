"""What opens the gate, and when the loop has to look again."""

from __future__ import annotations

import select
import threading

import pytest

from ssm_ssh.log import Log
from ssm_ssh.relay.tasks import TaskRunner
from ssm_ssh.tunnel.admission import Admission
from tests.ssh.streams import recordings

RECORDING = recordings()[0]


class FakeService:
    """Takes the key when it may, and knows the host."""

    def __init__(self) -> None:
        self.may = threading.Event()
        self.known = threading.Event()
        self.known.set()

    def authorize(self) -> str:
        self.may.wait(30)
        return ""

    def still_authorized(self) -> bool:
        return True

    def explain_key_wait(self) -> str:
        return "waiting"

    def check_host_key(self, key: object, *, judged_by_ssh: bool) -> str:
        self.known.wait(30)
        return ""


class World:
    def __init__(self) -> None:
        self.service = FakeService()
        self.tasks = TaskRunner()
        self.told: list[str] = []
        self.admission = Admission(self.service, self.tasks, Log(None), self.told.append)  # type: ignore[arg-type]
        self.admission.begin()
        self.admission.gate.feed_client(RECORDING.client)

    def settle(self, now: float) -> bytes:
        """Wait for the tasks to end, as the loop does."""
        passed = b""
        while not passed:
            assert select.select([self.tasks.fd], [], [], 30)[0]
            self.tasks.drain()
            passed = self.admission.settle(now)
        return passed


@pytest.fixture
def world() -> World:
    return World()


def test_the_server_is_held_until_the_key_is_in_place(world: World) -> None:
    passed = world.admission.heard(RECORDING.server, 100.0)
    assert len(passed) < len(RECORDING.server)
    assert world.admission.settle(100.1) == b""
    world.service.may.set()
    assert passed + world.settle(100.2) == RECORDING.server
    assert [text for text in world.told if text] == []


def test_whoever_waits_for_long_is_told_why_once(world: World) -> None:
    world.admission.heard(RECORDING.server, 100.0)
    (due,) = world.admission.timers()
    assert world.admission.settle(due) == b""
    assert world.admission.settle(due + 1) == b""
    assert [text for text in world.told if text] == ["waiting"]
    assert world.admission.timers() == []


@pytest.mark.parametrize("took", [0.1, 100.0])
def test_nothing_is_left_to_look_at_once_the_gate_is_open(world: World, took: float) -> None:
    """A time that has passed would have the loop look again and again, for the whole of the connection."""
    world.admission.heard(RECORDING.server, 100.0)
    assert world.admission.timers()
    world.service.may.set()
    world.settle(100.0 + took)
    assert world.admission.timers() == []


def test_a_host_key_that_takes_long_to_look_up_is_told_of_once(world: World) -> None:
    world.service.known.clear()
    world.service.may.set()
    world.admission.heard(RECORDING.server, 100.0)
    while world.admission._authorizing is not None:
        assert select.select([world.tasks.fd], [], [], 30)[0]
        world.tasks.drain()
        world.admission.settle(100.1)
    (due,) = world.admission.timers()
    assert due <= 105.0
    assert world.admission.settle(due) == b""
    assert world.admission.settle(due + 1) == b""
    assert [text for text in world.told if text] == ["waiting until the server's host key has been looked up"]
    world.service.known.set()
    assert world.settle(due + 2)
