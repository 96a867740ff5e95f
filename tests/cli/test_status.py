from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.sshconfig.home import Home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def row(said: str, name: str) -> str:
    return "\n".join(line[len(name) :].strip() for line in said.split("\n") if line.startswith(f"{name} "))


def test_what_is_not_set_up_is_said_with_what_to_do(home: Home) -> None:
    assert "run: ssm-ssh setup" in row(home.run("status", expect=1), "setup")
    assert home.contents() == {}


@pytest.mark.parametrize("way", [(), ("--inline",)], ids=["include", "inline"])
def test_what_is_set_up_is_said(home: Home, way: tuple[str, ...]) -> None:
    home.run("setup", *way)
    said = home.run("status", AWS_PROFILE="", AWS_REGION="eu-west-1")
    assert "uses it" in row(said, "ssh")
    assert "eu-west-1 (from AWS_REGION)" in row(said, "region")
    assert "problem" not in said
    assert "danger" not in said


def test_what_an_upgrade_would_change_is_said(home: Home) -> None:
    home.run("setup")
    home.place.managed.write_bytes(home.place.managed.read_bytes().replace(b"CountMax 40", b"CountMax 41"))
    assert "run: ssm-ssh setup" in row(home.run("status", expect=1), "problem")
    home.run("setup")
    home.run("status")


def test_a_rule_that_has_come_first_is_said(home: Home) -> None:
    home.run("setup")
    home.write(b"Host *\n  ProxyCommand other\n" + home.config.read_bytes())
    said = home.run("status", expect=1)
    assert "not set up" in said, "behind a Host line the Include is that section's alone"
    home.run("setup")
    home.write(b"ProxyCommand other\n" + home.config.read_bytes())
    said = home.run("status", expect=1)
    assert "does not use it" in row(said, "ssh")
    assert "is not the first" in row(said, "problem")
    assert "would run for an instance: other" in row(said, "problem")


def test_what_is_dangerous_is_said(home: Home) -> None:
    home.write("Host *\n  ForwardAgent yes\n")
    home.run("setup")
    said = home.run("status")
    assert "~/.ssh/config:3: your agent is forwarded" in row(said, "danger")


def test_a_configuration_that_ssh_rejects_is_said(home: Home) -> None:
    home.run("setup")
    home.write(home.config.read_bytes() + b"NoSuchOption 1\n")
    assert "NoSuchOption" in row(home.run("status", expect=1), "problem") or "nosuchoption" in home.run(
        "status", expect=1
    )


def test_a_removal_that_nobody_has_confirmed_is_said(home: Home) -> None:
    state = home.path / "state" / "ssm-ssh"
    state.mkdir(parents=True, mode=0o700)
    placed = [("admin", 1e9), ("ec2-user", 4e9), *((f"u{number}", 1e9) for number in range(6))]
    entries = {
        f"{number:016x}": {"instance": "i-0123456789abcdef0", "user": user, "expires": expires}
        for number, (user, expires) in enumerate(placed)
    }
    (state / "push.json").write_text(json.dumps({"version": 1, "eic": {}, "probes": {}, "entries": entries}))
    (state / "push.json").chmod(0o600)
    home.run("setup", XDG_STATE_HOME=str(state.parent))
    said = row(home.run("status", XDG_STATE_HOME=str(state.parent)), "mind")
    assert "run: ssm-ssh key sweep i-0123456789abcdef0 admin" in said
    assert "ec2-user" not in said, "that one is still to be there"
    assert "2 more removals are not confirmed; run: ssm-ssh key" in said
