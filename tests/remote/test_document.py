"""The document in docs/ is the script, and does what the script does."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from ssm_ssh.remote.document import document
from ssm_ssh.remote.script import request
from tests.remote.machine import ID, KEY, Machine

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


@pytest.mark.parametrize("hostile", ["'; touch /X; '", "$(id)", "a b", "", "YQ==\n", "{{ssm:/x}}", "YQ==='"])
def test_systems_manager_passes_no_other_parameter(hostile: str) -> None:
    assert not re.search(json.loads(document())["parameters"]["Data"]["allowedPattern"], hostile.replace("\n", "\n."))
