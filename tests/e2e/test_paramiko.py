"""paramiko through the tunnel, with the same ProxyCommand that ssh is given."""

from __future__ import annotations

import json

import pytest

from tests.e2e.world import World

pytestmark = pytest.mark.e2e


def test_commands_and_files(world: World) -> None:
    # The first connection makes the key and learns the host key; paramiko reads both before it connects.
    world.run("ssh", "-p2222", world.db.destination, "true")
    config = world.config(world.db.instance_id, 2222, "ubuntu")
    done = world.python("use_paramiko.py", config, world.db.instance_id)
    assert json.loads(done.text) == {"status": 7, "echo": True, "newline": True}
