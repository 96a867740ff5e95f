"""paramiko through the tunnel, with the same ProxyCommand that ssh is given."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.e2e.test_endings import proxies
from tests.e2e.world import World, until

pytestmark = pytest.mark.e2e


def test_commands_and_files(world: World) -> None:
    # The first connection makes the key and learns the host key; paramiko reads both before it connects.
    world.run("ssh", "-p2222", world.db.destination, "true")
    config = world.config(world.db.instance_id, 2222, "ubuntu")
    done = world.python("use_paramiko.py", config, world.db.instance_id)
    assert json.loads(done.text) == {"status": 7, "echo": True, "newline": True}


def test_a_user_that_the_configuration_does_not_know(world: World) -> None:
    """paramiko fills in %r itself, so the key is pushed for another user: ssm-ssh says what to write."""
    host = world.web.instance_id
    world.ssh("true")
    wrong = world.config(host, 22, "ec2-user")
    done = world.python("use_paramiko_user.py", wrong, host, "deploy", expect=1)
    assert "Authentication failed" in done.stderr
    until(lambda: not proxies(world), "the end of the tunnel")
    sentence = "sshd refused the login. The key was pushed for ec2-user, the user whom Paramiko passed as %r. "
    advice = "name that user in the Host section of ssh's configuration (User NAME), from which Paramiko takes it"
    status = world.run(sys.executable, "-m", "ssm_ssh", "status", "--json", expect=None).text
    assert sentence in status
    assert advice in status
    assert sentence in Path(world.env["XDG_STATE_HOME"], "ssm-ssh", "ssm-ssh.log").read_text()
    assert sentence in world.ssh("true").stderr
    right = world.config(host, 22, "deploy")
    world.python("use_paramiko_user.py", right, host, "deploy")
