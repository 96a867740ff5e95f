"""What README shows works: its policy is enough for all that it promises, and its commands are understood."""

from __future__ import annotations

import importlib
import json
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ssm_ssh.cli import setup
from ssm_ssh.cli.main import COMMANDS
from ssm_ssh.lab import Lab, LabInstance, LabOptions

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
PAGES = {path.name: path.read_text() for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))}

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


def policy() -> dict[str, Any]:
    blocks = [block for block in re.findall(r"```json\n(.*?)```", README, re.DOTALL) if '"Statement"' in block]
    assert len(blocks) == 1
    return json.loads(blocks[0])


def without(action: str) -> dict[str, Any]:
    whole = policy()
    for statement in whole["Statement"]:
        actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        statement["Action"] = [one for one in actions if one != action]
    return whole


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    options = LabOptions(
        policies={
            "readme": policy(),
            "no-names": without("ec2:DescribeInstances"),
        },
        pacing=False,
    )
    with tempfile.TemporaryDirectory(prefix="readme-") as base, Lab(options, base=Path(base)) as lab:
        yield lab


def run(lab: Lab, identity: str, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, env=lab.env_for(identity), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120
    )


def instances(lab: Lab) -> list[LabInstance]:
    return [*lab.instances]


def test_the_policy_is_enough_for_ssh_to_instances_and_to_managed_nodes(lab: Lab) -> None:
    assert {one.instance_id.partition("-")[0] for one in lab.instances} == {"i", "mi"}
    for one in instances(lab):
        done = run(lab, "readme", "ssh", f"{one.users[0]}@{one.instance_id}", "echo in")
        assert (done.returncode, done.stdout) == (0, "in\n"), done.stderr
    assert "AccessDeniedException" not in {call["error"] for call in lab.calls()}


@pytest.mark.parametrize("command", ["list", "sync"])
def test_the_policy_is_enough_for_names(lab: Lab, command: str) -> None:
    words = ["list"] if command == "list" else ["sync", "--dry-run"]
    if command == "sync":
        run(lab, "readme", sys.executable, "-m", "ssm_ssh", "setup")
    done = run(lab, "readme", sys.executable, "-m", "ssm_ssh", *words)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    for one in instances(lab):
        assert one.name in done.stdout


def test_what_the_policy_is_not_enough_for_is_denied(lab: Lab) -> None:
    """The lab does not wave everything through."""
    web = next(one for one in instances(lab) if not one.instance_id.startswith("mi-"))
    assert "no names" in run(lab, "no-names", sys.executable, "-m", "ssm_ssh", "list").stderr
    done = run(lab, "readme", "ssh", f"root@{web.instance_id}", "true")
    assert done.returncode == 255
    assert "ec2-instance-connect:SendSSHPublicKey" in done.stderr


def shown_commands() -> list[tuple[str, str]]:
    """Return (page, command) for each ssm-ssh command that a page shows, in a block or between backquotes."""
    found = []
    for page, text in PAGES.items():
        pieces = [
            line.partition("#")[0]
            for block in re.findall(r"```\w*\n(.*?)```", text, re.DOTALL)
            for line in block.replace("\\\n", " ").splitlines()
        ]
        pieces += re.findall(r"`([^`\n]+(?:\n[^`\n]+)?)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
        for piece in pieces:
            command = " ".join(piece.split()).removeprefix("$ ")
            if re.match(r"ssm-ssh (?!proxy\b)[a-z-]", command):
                found.append((page, command))
    return sorted(set(found))


@pytest.mark.parametrize(("page", "command"), shown_commands())
def test_every_command_that_is_shown_is_understood(page: str, command: str) -> None:
    name, *words = shlex.split(re.sub(r"\[(\w+)\]", r"\1", command).replace("…", "0123456789abcdef0"))[1:]
    if name.startswith("-"):
        assert (name, words) == ("--help", [])
        return
    assert name in COMMANDS
    if name == "lab" and "--" in words:  # what is behind it is a program's
        words = words[: words.index("--")]
    module = importlib.import_module(f"ssm_ssh.cli.{name.replace('-', '')}")
    parser = module._parser()
    parse = parser.parse_intermixed_args if hasattr(module, "_ACTIONS") else parser.parse_args
    options = parse(words)
    if name == "key" and options.words:
        assert options.words[0] in module._ACTIONS


def test_the_search_that_is_shown_is_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = re.search(r"setup (--search '[^']+')", README)
    assert shown is not None
    (tmp_path / "config").write_text("[profile P]\n[profile Q]\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    words = shlex.split(shown[1].replace("REGION,REGION", "eu-west-1,us-east-1"))
    assert setup._places(setup._parser().parse_args(words).search) == ["P:eu-west-1,us-east-1", "Q"]
