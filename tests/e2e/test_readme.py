"""What the documentation shows works: its policy is enough for all that it promises, and its search is stored."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ssm_ssh.lab import Lab, LabInstance, LabOptions
from tests import docs
from tests.e2e.policies import documented, without
from tests.test_docs import commands_to_run

ROOT = Path(__file__).parents[2]
HOW_TO, LAB_PAGE = ((ROOT / "docs" / name).read_text(encoding="utf-8") for name in ("how-to.md", "lab.md"))
POLICY = documented("A policy to start from")

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    options = LabOptions(
        policies={
            "readme": POLICY,
            "no-names": without(POLICY, "ec2:DescribeInstances"),
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


def test_the_search_that_is_shown_is_stored(lab: Lab, tmp_path: Path) -> None:
    shown = re.search(r"setup (--search '[^']+')", HOW_TO)
    assert shown is not None
    (tmp_path / "config").write_text("[profile prod]\n[profile dev]\n")
    env = {**lab.env_for("readme"), "AWS_CONFIG_FILE": str(tmp_path / "config"), "XDG_CONFIG_HOME": str(tmp_path)}
    command = [sys.executable, "-m", "ssm_ssh", "setup", *shlex.split(shown[1])]
    done = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert 'search = ["prod:eu-west-1,us-east-1", "dev"]' in (tmp_path / "ssm-ssh" / "config.toml").read_text()


# These need a browser, a lab of their own or a terminal, and have tests of their own.
NOT_RUN_HERE = {"login", "lab", "shell", "--help", "--version", "COMMAND"}
# These end with 1 where there is nothing to accept, or something to complain of.
MAY_FAIL = {"host-keys accept", "status"}


def runnable_commands(instance: LabInstance, region: str) -> list[list[str]]:
    """Return the shown commands as words, with the lab's instance, region and profiles in place of the shown ones."""
    commands = []
    for shown in sorted(commands_to_run()):
        actual = shown
        for pattern, replacement in (
            (r"\bi-(0123456789abcdef0|0fedcba9876543210|…|\.\.\.)", instance.instance_id),
            (r"\b(eu-west-1,us-east-1|eu-west-1|eu-central-1)\b", region),
            (r"\b(prod|PROFILE|P)\b(?!=)", "admin"),
            (r"\bdev\b", "temporary"),
            (r"\bREGION|\bR\b", region),
        ):
            actual = re.sub(pattern, replacement, actual)
        words = shlex.split(actual)[1:]
        if words[0] == "forward" and not {"-f", "--list", "--stop", "--"} & set(words):
            words += ["--", "true"]  # or it would last for ever
        if words[0] == "forward":  # the ports that are shown may be in use here
            words = [re.sub(r"^5432$", "0:localhost:5432", re.sub(r"^\d+:", "0:", word)) for word in words]
            words = [word.replace("db.internal", "localhost") for word in words]
        if words[0] not in NOT_RUN_HERE and not (words[0] == "proxy" and "--dry-run" not in words):
            commands.append(words)
    return commands


def test_every_command_that_is_shown_runs(lab: Lab) -> None:
    """Each is complete enough to run: only its words for accounts, regions and instances are replaced."""
    web = next(one for one in instances(lab) if not one.instance_id.startswith("mi-"))
    assert run(lab, "admin", "ssh", web.destination, "true").returncode == 0
    assert run(lab, "admin", sys.executable, "-m", "ssm_ssh", "setup").returncode == 0
    commands = runnable_commands(web, lab.region)
    assert {words[0] for words in commands} >= {
        "setup",
        "status",
        "list",
        "sync",
        "config",
        "key",
        "host-keys",
        "proxy",
    }
    # `sync` makes the aliases that others use. What is taken back comes last.
    for words in sorted(commands, key=lambda words: ("--remove" in words, words[0] != "sync", "--stop" in words)):
        done = run(lab, "admin", sys.executable, "-m", "ssm_ssh", *words)
        allowed = {0, 1} if " ".join(words).startswith(tuple(MAY_FAIL)) else {0}
        assert done.returncode in allowed, (words, done.stdout[-500:], done.stderr)
        assert "unexpected error" not in done.stderr, words
    assert run(lab, "admin", sys.executable, "-m", "ssm_ssh", "forward", "--stop", "all").returncode == 0


def test_the_files_that_are_documented_are_those_that_are_kept(lab: Lab) -> None:
    web = instances(lab)[0]
    assert run(lab, "admin", "ssh", web.destination, "true").returncode == 0
    home = Path(lab.env_for("admin")["HOME"])
    folders = {folder: home / folder.removeprefix("~/") for folder in (docs.CONFIG, docs.DATA, docs.STATE)}
    kept = {
        f"{folder}/{file.name.removesuffix('.pub') if file.name != 'agent_key.pub' else file.name}"
        for folder, path in folders.items()
        for file in (path.iterdir() if path.exists() else ())
        if file.is_file() and file.suffix not in {".lock", ".turns"}
    }
    assert {f"{docs.DATA}/known_hosts", f"{docs.STATE}/ssm-ssh.log"} <= kept
    assert kept <= {f"{one.folder}/{one.name}" for one in docs.FILES}


def test_the_profiles_that_are_documented_are_those_of_the_lab(lab: Lab) -> None:
    table = LAB_PAGE.partition("## Profiles")[2].partition("## ")[0]
    documented = {
        name for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE) for name in re.findall(r"`([\w-]+)`", row)
    }
    config = Path(lab.env_for("admin")["AWS_CONFIG_FILE"]).read_text()
    existing = set(re.findall(r"^\[profile ([\w-]+)\]", config, re.MULTILINE))
    assert documented == existing - {"readme", "no-names"}
