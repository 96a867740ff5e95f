"""`ssm-ssh forward` against AWS's own session code: the same tests as against the lab's agent."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ssm_ssh.lab import Lab
from tests.e2e.test_forward import *  # noqa: F403 -- the same tests
from tests.e2e.test_forward_long import test_fifty_connections_with_a_megabyte_each_way  # noqa: F401
from tests.e2e.test_forward_programs import *  # noqa: F403
from tests.e2e.world import OPTIONS, World
from tests.official.conftest import WORKER

pytestmark = pytest.mark.long

# It has a lab of its own.
del test_a_database_survives_cuts_of_the_network  # noqa: F821
# The worker reaches the instance's ports through the lab, which accepts before it knows whether anything listens, and
# it is in no VPC whose addresses it could refuse.
del test_a_refused_port_resets_its_own_connection_only, test_a_forbidden_address_fails_with_the_agents_words  # noqa: F821


@pytest.fixture(scope="module")
def opened(official: Path) -> Iterator[World]:
    options = dataclasses.replace(OPTIONS, agent={"worker": str(official / WORKER)})
    with tempfile.TemporaryDirectory(prefix="e2e-") as base, Lab(options, base=Path(base)) as lab:
        yield World(lab)


@pytest.fixture
def world(opened: World) -> Iterator[World]:
    yield opened
    opened.close()
    opened.lab.clear_faults()
