"""Ansible through the tunnel, with the ssh arguments that it brings along (ControlPersist among them)."""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path

import pytest

from tests.e2e.world import Done, World

pytestmark = pytest.mark.e2e

PLAYBOOK = """
- hosts: all
  gather_facts: false
  tasks:
    - ping:
    - command: id -un
      register: who
    - assert:
        that: who.stdout == ansible_user
    - copy:
        src: "{{ source }}"
        dest: "{{ folder }}/ü copy"
        mode: "0640"
    - fetch:
        src: "{{ folder }}/ü copy"
        dest: "{{ back }}/{{ inventory_hostname }}"
        flat: true
"""


def ansible(world: World, folder: Path, program: str, *words: str, expect: int = 0) -> Done:
    """Run one of Ansible's programs on the instances `web` and `db`."""
    hosts: dict[str, dict[str, object]] = {
        "web": {
            "ansible_host": world.web.instance_id,
            "ansible_user": world.web.users[0],
        },
        "db": {
            "ansible_host": world.db.instance_id,
            "ansible_user": world.db.users[0],
            "ansible_port": 2222,
        },
    }
    for one in hosts.values():
        one["ansible_python_interpreter"] = "auto_silent"
    inventory = folder / "inventory.json"
    inventory.write_text(json.dumps({"all": {"hosts": hosts}}))
    env = {
        **world.env,
        "ANSIBLE_SSH_CONTROL_PATH_DIR": str(world.control_folder()),
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_LOCALHOST_WARNING": "0",
    }
    command = str(Path(sys.executable).with_name(program))
    return world.run(command, "-i", str(inventory), *words, env=env, cwd=folder, expect=expect, limit=120)


def test_ping_command_and_copy_over_one_session_each(world: World, there: Path, tmp_path: Path) -> None:
    source, back = tmp_path / "source", tmp_path / "back"
    back.mkdir()
    source.write_bytes(random.Random(8).randbytes(300_000))
    playbook = tmp_path / "playbook.yml"
    playbook.write_text(PLAYBOOK)
    before = [len(world.sessions(one)) for one in (world.web, world.db)]
    with world.folder_on(world.db) as on_db:
        folders = {"web": str(there), "db": str(on_db)}
        values = {
            "source": str(source),
            "back": str(back),
            "folders": folders,
            "folder": "{{ folders[inventory_hostname] }}",
        }
        done = ansible(world, tmp_path, "ansible-playbook", "-e", json.dumps(values), str(playbook))
        for name, folder in folders.items():
            assert (Path(folder) / "ü copy").read_bytes() == source.read_bytes()
            assert (back / name).read_bytes() == source.read_bytes()
    assert done.text.count("failed=0") == 2
    assert [len(world.sessions(one)) for one in (world.web, world.db)] == [count + 1 for count in before]


def test_a_command_that_fails_is_told_from_a_host_that_cannot_be_reached(world: World, tmp_path: Path) -> None:
    done = ansible(world, tmp_path, "ansible", "web", "-m", "command", "-a", "sh -c 'exit 3'", expect=2)
    assert "web | FAILED | rc=3" in done.text
