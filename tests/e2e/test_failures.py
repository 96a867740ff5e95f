"""What goes wrong before SSH begins is a readable sentence in every program, also where a tunnel's stderr is lost."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from tests.e2e.world import Done, World

pytestmark = pytest.mark.e2e

NOBODY = "i-0123456789abcdef0"
Program: TypeAlias = Callable[[World, str, dict[str, str], Path], Done]


def ssh(world: World, host: str, env: dict[str, str], folder: Path) -> Done:
    return world.run("ssh", f"ec2-user@{host}", "true", env=env, expect=255)


def ssh_that_persists(world: World, host: str, env: dict[str, str], folder: Path) -> Done:
    return world.run("ssh", *world.master(world.web), f"ec2-user@{host}", "true", env=env, expect=255)


def scp(world: World, host: str, env: dict[str, str], folder: Path) -> Done:
    return world.run("scp", f"ec2-user@{host}:file", str(folder), env=env, expect=255)


def sftp(world: World, host: str, env: dict[str, str], folder: Path) -> Done:
    return world.run("sftp", "-b", "-", f"ec2-user@{host}", stdin=b"ls\n", env=env, expect=255)


def rsync(world: World, host: str, env: dict[str, str], folder: Path) -> Done:
    # Its status is ssh's, or its own for a stream that ended: whichever it learns first.
    return world.run("rsync", "-a", f"ec2-user@{host}:folder/", str(folder), env=env, expect=None)


def git(world: World, host: str, env: dict[str, str], folder: Path) -> Done:
    return world.run("git", "clone", f"ssh://ec2-user@{host}/r.git", str(folder / "r"), env=env, expect=128)


def ansible(world: World, host: str, env: dict[str, str], folder: Path) -> Done:
    inventory = folder / "inventory.json"
    inventory.write_text(json.dumps({"all": {"hosts": {host: {"ansible_user": "ec2-user"}}}}))
    program = str(Path(sys.executable).with_name("ansible"))
    env = {**env, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_SSH_CONTROL_PATH_DIR": str(world.control_folder())}
    return world.run(program, "-i", str(inventory), "all", "-m", "ping", env=env, cwd=folder, expect=4)


def asyncssh(world: World, host: str, env: dict[str, str], folder: Path) -> Done:
    world.ssh("true")  # libraries read the key and known_hosts before they connect, so both must be there
    return world.python("use_asyncssh.py", world.config(host, 22, "ec2-user"), host, env=env, expect=1)


def paramiko(world: World, host: str, env: dict[str, str], folder: Path) -> Done:
    world.ssh("true")
    return world.python("use_paramiko.py", world.config(host, 22, "ec2-user"), host, env=env, expect=1)


PROGRAMS = (
    ssh,
    ssh_that_persists,
    scp,
    sftp,
    pytest.param(rsync, marks=pytest.mark.needs("rsync")),
    git,
    ansible,
    asyncssh,
    paramiko,
)


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_wrong_id_is_called_that(world: World, tmp_path: Path, program: Program) -> None:
    said = program(world, NOBODY, world.env, tmp_path).said
    assert f"EC2 knows no instance {NOBODY} in {world.lab.region}" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_stopped_agent_is_told_with_what_to_look_at(world: World, tmp_path: Path, program: Program) -> None:
    said = program(world, world.off.instance_id, world.env, tmp_path).said
    assert f"{world.off.instance_id} is not connected to Systems Manager in {world.lab.region}" in said
    assert "To find the cause, run: ssm-ssh doctor i-" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_denied_call_is_named_with_its_resource(world: World, tmp_path: Path, program: Program) -> None:
    said = program(world, world.web.instance_id, world.env_of("no-start"), tmp_path).said
    assert f"is not allowed on arn:aws:ec2:{world.lab.region}:{world.lab.account}:instance/" in said
    assert "ssm:StartSession" in said or "ec2-instance-connect:SendSSHPublicKey" in said
    assert "Traceback" not in said


def test_a_wrong_id_is_called_that_though_the_less_telling_answer_comes_first(world: World, tmp_path: Path) -> None:
    world.lab.fault("api", operation="SendSSHPublicKey", delay=0.4)
    try:
        said = ssh(world, NOBODY, world.env, tmp_path).said
    finally:
        world.lab.clear_faults()
    assert f"EC2 knows no instance {NOBODY}" in said
