"""Every program of snippets.py against a lab: bytes, exit status, and the user for whom the key was pushed."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.compatibility.programs import FOLDER, PROGRAMS
from tests.compatibility.snippets import PRELUDE, SNIPPETS
from tests.e2e.world import World

# The first one waits for the installation.
pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]
USER = "deploy"


@pytest.mark.parametrize("key", SNIPPETS)
def test_a_program_works_as_the_page_says(key: str, world: World, versions: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(random.Random(key).randbytes(200_000))
    env = {
        **world.env,
        "user": USER,
        "host": world.web.instance_id,
        "other": world.db.destination,
        "here": str(FOLDER),
    }
    before = len(world.lab.calls("SendSSHPublicKey"))
    home = Path(world.web.homes[USER])
    try:
        world.run("bash", "-c", PRELUDE + SNIPPETS[key], env=env, cwd=tmp_path, limit=240)
    finally:
        for path in home.iterdir():  # each program finds an empty home
            world.run("rm", "-rf", str(path))
    pushed = {call["parameters"]["InstanceOSUser"] for call in world.lab.calls("SendSSHPublicKey")[before:]}
    assert pushed <= {USER, world.db.users[0]}
    assert PROGRAMS[key].version
    versions[key] = world.run("bash", "-c", PROGRAMS[key].version, env=env).text.strip()
