"""Many connections at once to one sshd, against its own limits; to many instances see test_access_crowd."""

from __future__ import annotations

import subprocess

import pytest

from ssm_ssh.lab import Lab, LabOptions
from tests.e2e.world import without_waiting

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


def test_connections_that_sshd_refuses_are_tried_again(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Thirty at once to one sshd: with MaxStartups 10:30:100 it refuses some at random."""
    with Lab(LabOptions(instances=1), base=tmp_path_factory.mktemp("c")) as lab:
        started = [
            subprocess.Popen(
                ["ssh", lab.instances[0].destination, f"echo {number}"],
                env=lab.env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for number in range(40)
        ]
        ended = [process.communicate(timeout=240) for process in started]
        answers = [(stdout, without_waiting(stderr)) for stdout, stderr in ended]
        assert answers == [(f"{number}\n", "") for number in range(40)]
