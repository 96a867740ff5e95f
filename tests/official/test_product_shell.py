"""`ssm-ssh shell` on a terminal, against AWS's own session code: the same tests as against the lab's agent."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ssm_ssh.lab import Lab, LabOptions
from tests.e2e.policies import without
from tests.e2e.test_shell import *  # noqa: F403 -- the same tests
from tests.e2e.test_shell import POLICY, start, web  # noqa: F401 -- fixtures
from tests.official.conftest import WORKER

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def lab(official: Path) -> Iterator[Lab]:
    policies = {"shells": POLICY, "no-resume": without(POLICY, "ssm:ResumeSession")}
    options = LabOptions(instances=3, policies=policies, agent={"worker": str(official / WORKER)})
    with tempfile.TemporaryDirectory(prefix="shell-") as base, Lab(options, base=Path(base)) as lab:
        yield lab
