from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.ssh.streams import ed25519
from tests.sshconfig.home import Home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    keys = home.path / "keys.ini"
    keys.write_text("[default]\naws_access_key_id = AKIDSTATUS\naws_secret_access_key = S3cret\n")
    home.env["AWS_SHARED_CREDENTIALS_FILE"] = str(keys)
    home.env["AWS_EC2_METADATA_DISABLED"] = "true"
    return home


def row(said: str, name: str) -> str:
    """Return the findings of the state or the check `name`, a line each."""
    rows = [re.split(r" {2,}", line, maxsplit=2) for line in said.splitlines()]
    return "\n".join(row[2] for row in rows if len(row) == 3 and name in row[:2])


def test_what_is_not_set_up_is_said_with_what_to_do(home: Home) -> None:
    assert "Run: ssm-ssh setup" in row(home.run("status", expect=1), "setup")
    assert home.contents() == {}


@pytest.mark.parametrize("way", [(), ("--inline",)], ids=["include", "inline"])
def test_what_is_set_up_is_said(home: Home, way: tuple[str, ...]) -> None:
    home.run("setup", *way)
    said = home.run("status", AWS_PROFILE="", AWS_REGION="eu-west-1")
    assert "uses it" in row(said, "ssh")
    assert "eu-west-1 (from AWS_REGION)" in row(said, "region")
    assert "problem" not in said
    assert "warning" not in said


def test_what_an_upgrade_would_change_is_said(home: Home) -> None:
    home.run("setup")
    home.place.managed.write_bytes(home.place.managed.read_bytes().replace(b"CountMax 40", b"CountMax 41"))
    assert "Run: ssm-ssh setup" in row(home.run("status", expect=1), "problem")
    home.run("setup")
    home.run("status")


@pytest.mark.parametrize("way", [(), ("--inline",)], ids=["include", "inline"])
def test_a_profile_without_a_rule_is_named(home: Home, way: tuple[str, ...]) -> None:
    (home.path / ".aws").mkdir()
    profiles = home.path / ".aws" / "config"
    profiles.write_text("[profile dev]\n")
    home.run("setup", *way)
    profiles.write_text("[profile dev]\n[profile Dev-2]\n")
    assert "the rules do not know profile 'Dev-2' yet. Run: ssm-ssh setup" in row(
        home.run("status", expect=1, COLUMNS="300"), "problem"
    )
    home.run("setup")
    profiles.write_text("[profile dev]\n")
    said = row(home.run("status", expect=1), "problem")
    assert "the rules are older than this ssm-ssh, its location or its settings" in said


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
    assert "~/.ssh/config:3: your agent is forwarded" in row(said, "warning")


def test_a_configuration_that_ssh_rejects_is_said(home: Home) -> None:
    home.run("setup")
    home.write(home.config.read_bytes() + b"NoSuchOption 1\n")
    assert "NoSuchOption" in row(home.run("status", expect=1), "problem") or "nosuchoption" in home.run(
        "status", expect=1
    )


ROWS = ("version", "setup", "ssh", "profile", "region")


def data(home: Home) -> Path:
    return home.path / ".local" / "share" / "ssm-ssh"


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("agent", "the key cannot be used: there is no ssh-agent"),
        ("agent:work", "the key cannot be used: there is no ssh-agent"),
        ("~/keys/gone.pub", "the key cannot be used: the public key"),
        ("keys/me.pub", "the path of the key, keys/me.pub, is not absolute"),
    ],
)
def test_a_key_that_cannot_be_used_is_a_problem_among_all_other_rows(home: Home, key: str, words: str) -> None:
    home.run("setup")
    before = home.contents()
    said = home.run("status", expect=1, SSM_SSH_KEY=key, SSH_AUTH_SOCK="", AWS_REGION="eu-west-1")
    assert words in row(said, "problem")
    assert all(row(said, name) for name in ROWS), said
    assert "uses it" in row(said, "ssh")
    assert home.contents() == before
    assert not (data(home) / "agent_key.pub").exists()


def test_a_folder_that_others_may_use_is_a_problem(home: Home) -> None:
    home.run("setup")
    data(home).chmod(0o770)
    said = home.run("status", expect=1)
    assert row(said, "problem").count("is open to other users. Run: chmod 700") == 1
    assert row(said, "region")


@pytest.mark.parametrize("name", ["known_hosts", "refused_hosts", "id_ed25519", "id_ed25519.pub"])
def test_a_file_that_cannot_be_used_is_a_problem(home: Home, name: str) -> None:
    home.run("setup")
    (data(home) / name).unlink(missing_ok=True)
    (data(home) / name).symlink_to("/dev/null")
    said = home.run("status", expect=1)
    assert f"{name} is a symbolic link" in row(said, "problem")


def test_host_keys_that_nobody_vouches_for_are_said(home: Home) -> None:
    home.run("setup")
    lines = {
        "known_hosts": [(number, "unverified, 2026-01-01, eu-west-1 default") for number in range(5)]
        + [(9, "console, 2026-01-01, eu-west-1 default")],
        "refused_hosts": [(8, "refused, 2026-01-01, eu-west-1 default")],
    }
    for name, entries in lines.items():
        text = "".join(f"i-{number:017x} {ed25519(number + 1).line} {comment}\n" for number, comment in entries)
        (data(home) / name).write_text(text)
        (data(home) / name).chmod(0o600)
    refused, unverified = row(home.run("status"), "warning").splitlines()
    first = f"i-{0:017x}"
    assert refused == f"host keys were refused of i-{8:017x}. Look at them: ssm-ssh host-keys show i-{8:017x}"
    assert f"unverified of {first}, i-{1:017x}, i-{2:017x} and 2 more. " in unverified
    assert unverified.endswith(f"ssm-ssh host-keys refresh {first}")
    assert f"i-{9:017x}" not in unverified


def test_to_look_makes_nothing(home: Home) -> None:
    home.run("status", expect=1)
    assert not data(home).exists()


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
    said = row(home.run("status", XDG_STATE_HOME=str(state.parent)), "note")
    assert f"entry {0:016x} of admin on i-0123456789abcdef0 should have expired at 2001-09-" in said
    assert ". To check and clean up: ssm-ssh key sweep i-0123456789abcdef0 admin" in said
    assert "ec2-user" not in said, "that one is still to be there"
    assert "2 more removals not confirmed yet. To list them: ssm-ssh key" in said


def test_connections_that_could_not_speak_are_shown(home: Home) -> None:
    import os
    import time

    state = home.path / "state" / "ssm-ssh"
    state.mkdir(parents=True, mode=0o700)
    entry = {"instance_id": "i-0123456789abcdef0", "at": time.time() - 60, "told": False}
    entries = [
        {**entry, "kind": "ended", "pid": 1, "sentence": "the agent is gone"},
        {**entry, "kind": "lost", "pid": os.getpid(), "sentence": ""},
    ]
    (state / "connections.json").write_text(json.dumps({"version": 1, "connections": entries}))
    (state / "connections.json").chmod(0o600)
    home.run("setup", XDG_STATE_HOME=str(state.parent))
    told = row(home.run("status", XDG_STATE_HOME=str(state.parent)), "note")
    assert "ended at" in told
    assert "the agent is gone" in told
    assert f"(process {os.getpid()}) is lost since" in told


def test_for_programs(home: Home) -> None:
    home.run("setup")
    findings = json.loads(home.run("status", "--json", expect=1, SSM_SSH_KEY="agent", SSH_AUTH_SOCK=""))
    assert all(set(finding) == {"check", "state", "evidence", "todo"} for finding in findings)
    problems = {finding["check"]: finding["evidence"] for finding in findings if finding["state"] == "problem"}
    assert problems["key"].startswith("the key cannot be used: there is no ssh-agent")
    assert set(problems) <= {"key", "rules"}
    assert {finding["check"] for finding in findings} >= {"version", "setup", "ssh", "profile", "region"}


def test_where_the_credentials_are_is_told_without_them(home: Home) -> None:
    home.run("setup")
    said = home.run("status")
    assert row(said, "credentials") == f"profile 'default' in {home.path / 'keys.ini'}"
    assert "S3cret" not in said
    assert row(home.run("status", AWS_ACCESS_KEY_ID="AKIDENV", AWS_SECRET_ACCESS_KEY="e"), "credentials") == (
        "the environment"
    )


def test_no_credentials_at_all_are_a_problem(home: Home) -> None:
    home.env["AWS_SHARED_CREDENTIALS_FILE"] = "/nowhere/credentials"
    home.run("setup")
    said = row(home.run("status", expect=1), "problem")
    assert said.startswith("none found in the environment, ")
    assert "Add [default] with aws_access_key_id and aws_secret_access_key to /nowhere/credentials" in said


def test_a_program_that_provides_credentials_is_not_run(home: Home) -> None:
    ran = home.path / "ran"
    config = home.path / "config.ini"
    config.write_text(f"[profile p]\ncredential_process = /usr/bin/touch {ran}\n")
    home.env["AWS_CONFIG_FILE"] = str(config)
    home.run("setup")
    said = home.run("status", AWS_PROFILE="p")
    assert row(said, "credentials") == "credential_process (profile 'p', credential_process)"
    assert not ran.exists()


def test_another_profile_with_credentials_makes_it_a_note(home: Home) -> None:
    config = home.path / "config.ini"
    config.write_text("[profile p]\nregion = eu-west-1\n")
    home.env["AWS_CONFIG_FILE"] = str(config)
    home.run("setup")
    said = home.run("status", AWS_PROFILE="p")
    assert "none found for profile 'p'" in row(said, "credentials")
    assert "in the host name: default" in row(said, "note")
