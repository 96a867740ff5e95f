"""The document in docs/ is the script, and does what the script does."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from ssm_ssh.hostkeys.instance_files import read
from ssm_ssh.remote.document import document
from ssm_ssh.remote.script import host_keys_request, request
from ssm_ssh.ssh.hostkey import Shown
from tests.remote.machine import ID, KEY, Machine
from tests.ssh.streams import ed25519

HOST_KEY = ed25519(1)
FILE = Path(__file__).parents[2] / "docs" / "push-document.json"


def test_the_file_is_up_to_date() -> None:
    """Made by: print(ssm_ssh.remote.document.document(), end="")."""
    assert FILE.read_text() == document()


def test_its_only_reference_is_its_parameter() -> None:
    assert re.findall(r"\{\{[^}]*\}\}", document()) == ["{{ Data }}"]
    assert len(document()) < 64 * 1024


def test_it_lets_a_key_in(machine: Machine, shell: str) -> None:
    content = json.loads(document())
    data = request("push", machine.user, KEY, ID)
    assert re.fullmatch(content["parameters"]["Data"]["allowedPattern"], data)
    (step,) = content["mainSteps"]
    text = "\n".join(step["inputs"]["runCommand"]).replace("{{ Data }}", data)
    assert machine.run(shell, text=text).status == 0
    assert KEY in machine.keys.read_text()


def test_it_tells_the_host_keys(machine: Machine, shell: str, tmp_path: Path) -> None:
    mark = "0123456789abcdef" * 2
    (tmp_path / "ssh_host_a_key.pub").write_text(f"{HOST_KEY.line} root@there\n")
    (tmp_path / "ssh_host_a_key").write_text("secret")
    text = machine.program(host_keys_request(mark), shell).replace("/etc/ssh/ssh_host_", f"{tmp_path}/ssh_host_")
    done = machine.run(shell, text=text)
    assert (done.status, done.stderr) == (0, "")
    assert done.stdout.endswith(f"ssm-ssh-{mark} done\n")
    assert read(done.stdout, f"ssm-ssh-{mark}") == Shown(frozenset({HOST_KEY}))
    assert "secret" not in done.stdout
    assert machine.processes() == []


@pytest.mark.parametrize("mark", ["", "x", "0" * 31, "0" * 33, "0" * 31 + "G", "0" * 32 + " more"])
def test_a_mark_that_is_none_is_refused(machine: Machine, shell: str, mark: str) -> None:
    done = machine.run(shell, text=machine.program(host_keys_request(mark), shell))
    assert done.status == 1
    assert done.stdout.startswith("ssm-ssh error data ")


@pytest.mark.parametrize("hostile", ["'; touch /X; '", "$(id)", "a b", "", "YQ==\n", "{{ssm:/x}}", "YQ==='"])
def test_systems_manager_passes_no_other_parameter(hostile: str) -> None:
    assert not re.search(json.loads(document())["parameters"]["Data"]["allowedPattern"], hostile.replace("\n", "\n."))
