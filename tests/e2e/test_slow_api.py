"""An API that answers a byte at a time: each call has an end, and no lock is held for longer."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.e2e.peers import BEFORE
from tests.e2e.world import World

pytestmark = [pytest.mark.e2e, pytest.mark.long]


@pytest.fixture(autouse=True)
def _cleared(world: World) -> Iterator[None]:
    yield
    world.lab.clear_faults()


def test_a_session_that_is_never_quite_started(world: World) -> None:
    world.lab.fault("api", operation="StartSession", code="", drip=0.5, count=100)
    began = time.monotonic()
    done = world.ssh("true", expect=255)
    assert time.monotonic() - began <= BEFORE
    assert "did not answer in time" in done.said
    assert "waiting for Systems Manager to start a session" in done.said


def test_a_push_that_never_quite_ends_keeps_nobody_waiting(world: World) -> None:
    world.lab.fault("api", operation="SendSSHPublicKey", code="", drip=0.5, count=100)
    began = time.monotonic()
    both = [world.start("ssh", world.web.destination, "true") for _ in range(2)]
    for running in both:
        assert running.finish().status == 0  # send-command takes over
    assert time.monotonic() - began <= BEFORE
