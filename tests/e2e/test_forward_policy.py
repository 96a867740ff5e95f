"""Forwards with the permissions that docs/iam.md names, and no others."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ssm_ssh.lab import Lab, LabOptions
from tests.e2e.forwards import COMMAND, PORT, Server, echo
from tests.e2e.policies import documented, without
from tests.e2e.world import Running

POLICY = documented("A policy for forwards")
_TALK = (
    "import os, socket; connection = socket.create_connection(('127.0.0.1', int(os.environ['SSM_SSH_FORWARD_PORT']))); "
    "connection.sendall(b'ping'); print(connection.recv(4).decode())"
)


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    policies = {"forwards": POLICY, "no-forwards": without(POLICY, "ssm:StartSession")}
    options = LabOptions(instances=1, policies=policies, pacing=False)
    with tempfile.TemporaryDirectory(prefix="forward-") as base, Lab(options, base=Path(base)) as lab:
        yield lab


@pytest.mark.parametrize("host", ["localhost", "own name"])
def test_the_documented_policy_is_enough(lab: Lab, host: str) -> None:
    instance = lab.instances[0]
    with Server(echo) as server:
        lab.map_port(instance.instance_id, PORT, server.port)
        spec = f"0:{instance.name if host == 'own name' else host}:{PORT}"
        words = (*COMMAND, instance.instance_id, "-L", spec, "--", sys.executable, "-c", _TALK)
        done = Running(words, lab.env_for("forwards")).finish()
        server.shutdown()
    assert (done.status, done.text) == (0, "ping\n")


def test_without_it_the_denied_action_is_named(lab: Lab) -> None:
    words = (*COMMAND, lab.instances[0].instance_id, str(PORT))
    done = Running(words, lab.env_for("no-forwards")).finish()
    assert done.status == 1
    assert "ssm:StartSession" in done.stderr
