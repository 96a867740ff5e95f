"""asyncssh through the tunnel, with the same ProxyCommand that ssh is given."""

from __future__ import annotations

import json

import pytest

from tests.e2e.world import World

pytestmark = pytest.mark.e2e


def test_commands_and_files(world: World) -> None:
    # The first connection makes the key and learns the host key; asyncssh reads both before it connects.
    world.ssh("true")
    config = world.config(world.web.instance_id, 22, "ec2-user")
    before = set(world.sessions(world.web))
    done = world.python("use_asyncssh.py", config, world.web.instance_id)
    assert json.loads(done.text) == {"status": 7, "echo": True, "newline": True, "copied": True}
    # It ends a ProxyCommand with SIGKILL, so nobody may be left to end the session: AWS does, when it has idled.
    world.abandoned |= set(world.sessions(world.web)) - before
