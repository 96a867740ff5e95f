"""`ssm-ssh exec` against AWS's own session code: the same tests as against the lab's agent."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ssm_ssh.lab import InstanceOptions, Lab, LabInstance, LabOptions
from tests.e2e.test_exec import *  # noqa: F403 -- the same tests
from tests.e2e.test_exec import POLICY
from tests.e2e.world import World
from tests.official.conftest import WORKER

pytestmark = pytest.mark.long

# The official code here is of one version.
del test_old_agents_run_a_command_once_and_on_the_other_way  # noqa: F821
_OPTIONS = LabOptions(
    instances=(
        InstanceOptions(name="web"),
        InstanceOptions(name="db"),
        InstanceOptions(name="edge", hybrid=True, eic=False),
        InstanceOptions(name="off", connected=False),
    ),
    policies={"commands": POLICY},
    parameters={"x": "resolved"},
)


@pytest.fixture(scope="module")
def both(official: Path) -> Iterator[World]:
    options = dataclasses.replace(_OPTIONS, agent={"worker": str(official / WORKER)})
    with tempfile.TemporaryDirectory(prefix="e2e-") as base, Lab(options, base=Path(base)) as lab:
        world = World(lab)
        yield world
        world.close()


@pytest.fixture(params=["apart", "framed"])
def there(both: World, request: pytest.FixtureRequest) -> Iterator[LabInstance]:
    """An instance on which commands run on this way."""
    if request.param == "framed":
        both.lab.fault("document", document="AWS-StartNonInteractiveCommand", how="missing")
    yield both.lab.instances[0]
    both.lab.clear_faults()
