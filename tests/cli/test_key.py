"""`ssm-ssh key` as its user meets it."""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path

import pytest

from ssm_ssh.auth import keypair, push, push_journal
from ssm_ssh.auth.key_type import RSA
from ssm_ssh.aws.api.client import Api
from ssm_ssh.cli import main
from ssm_ssh.errors import KeyRefused
from ssm_ssh.target import Target

INSTANCE = "i-0123456789abcdef0"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    return tmp_path


def run(*words: str) -> int:
    return main.main(["key", *words])


@pytest.fixture
def swept(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, str]]:
    """Instance, user and region of every sweep."""
    seen: list[tuple[str, str, str]] = []

    def sweep(api: Api, target: Target, user: str, policy: push.PushPolicy) -> None:
        seen.append((target.instance_id, user, api.settings.region))

    monkeypatch.setattr(push, "sweep", sweep)
    return seen


@pytest.mark.parametrize(
    "words",
    [
        ("sweep", INSTANCE, "admin", "--region", "eu-west-1"),
        ("sweep", "--region", "eu-west-1", INSTANCE, "admin"),
        ("--region", "eu-west-1", "sweep", INSTANCE, "admin"),
        ("sweep", INSTANCE, "--region", "eu-west-1", "admin"),
    ],
)
def test_options_may_stand_anywhere(words: tuple[str, ...], swept: list[tuple[str, str, str]]) -> None:
    assert run(*words) == 0
    assert swept == [(INSTANCE, "admin", "eu-west-1")]


@pytest.mark.parametrize("words", [("sweep",), ("nonsense",), ("renew", "x"), ("sweep", INSTANCE, "u", "x"), ("--x",)])
def test_wrong_calls_are_said_in_one_line(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*words) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert len(said.err.splitlines()) == 1
    assert "?." not in said.err


@pytest.mark.parametrize(
    ("said", "code", "line"),
    [
        (
            f"{INSTANCE} did not take the key: there is no user 'ec2-user'",
            "no-user",
            "there is no user 'ec2-user'. Name the user: ssm-ssh key sweep i-0123456789abcdef0 USER",
        ),
        (f"{INSTANCE} did not take the key: the file is locked", "lock", "the file is locked. Try again"),
        (f"{INSTANCE} did not take the key; its shell said: no", "unknown", "its shell said: no"),
    ],
)
def test_a_sweep_that_fails_is_told_as_one(
    said: str, code: str, line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def sweep(*_: object) -> None:
        raise KeyRefused(said, "Try again" if code == "lock" else "Name the user: ssh USER@..." * bool(line), code=code)

    monkeypatch.setattr(push, "sweep", sweep)
    assert run("sweep", INSTANCE) == 1
    told = capsys.readouterr().err
    assert told.startswith(f"ssm-ssh: entries of ec2-user on {INSTANCE} were not swept: {line}")
    assert "did not take the key" not in told


def test_an_entry_whose_command_was_not_heard_of(
    swept: list[tuple[str, str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    push_journal.expected(push_journal.Entry("0" * 16, INSTANCE, "admin", time.time() + 100, heard=False))
    assert run() == 0
    assert re.search(
        rf"perhaps in place +{'0' * 16} +admin +{INSTANCE} +until .+ at the latest", capsys.readouterr().out
    )
    assert run("sweep", INSTANCE, "admin") == 0
    assert "may still run: sweep again in some minutes" in capsys.readouterr().out
    push_journal.gone(INSTANCE)
    assert run() == 0
    assert "perhaps" not in capsys.readouterr().out


def test_help_names_the_user_that_is_meant(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run("sweep", "--help")
    assert "USER is ec2-user" in capsys.readouterr().out


def pairs(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [line for line in capsys.readouterr().out.splitlines() if "SHA256:" in line]


def test_the_fate_of_each_pair_is_shown(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    now = time.time()
    keypair.renew(now=now)
    assert run() == 0
    assert "in use until" in capsys.readouterr().out
    assert run("renew") == 0
    in_15_minutes = [time.strftime("%H:%M", time.localtime(at + 15 * 60)) for at in (now, time.time())]
    said = capsys.readouterr().out
    assert said in [f"Made a new key pair; it will be used from {minute}\n" for minute in in_15_minutes]
    assert run() == 0
    current, resting = pairs(capsys)
    assert "in use until" in current
    assert "in use from" in resting
    assert current.partition("in use until ")[2].split("\n")[0] == resting.partition("in use from ")[2].split("\n")[0]
    for path in home.rglob("id_ed25519*"):
        age = now - keypair.GRACE - 60 * (not path.name.startswith("id_ed25519_2"))
        os.utime(path, (age, age))
    assert run() == 0
    retired, current = pairs(capsys)
    assert "in use until" not in retired
    assert "for connections that are just starting" in retired
    assert "in use until" in current


def test_a_pair_follows_one_of_its_own_type(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    now = time.time()
    keypair.public_key(now=now - 7200)
    keypair.public_key(RSA, now=now - 3600)
    assert run("renew") == 0
    capsys.readouterr()
    assert run() == 0
    shown = pairs(capsys)
    assert sorted(line.split()[0:2] for line in shown) == [
        ["current", "ssh-ed25519"],
        ["current", "ssh-rsa"],
        ["resting", "ssh-ed25519"],
        ["resting", "ssh-rsa"],
    ]
    for path in home.rglob("id_ed25519*"):
        age = now - keypair.GRACE - 60 * (not path.name.startswith("id_ed25519_2"))
        os.utime(path, (age, age))
    assert run() == 0
    retired = next(line for line in pairs(capsys) if line.startswith("retired"))
    until = time.strftime("%H:%M", time.localtime(now + keypair.GRACE))
    assert f"kept until {time.strftime('%Y-%m-%d', time.localtime(now + keypair.GRACE))} {until}" in retired


@pytest.mark.parametrize("pairs", [1, 2])
def test_pairs_that_have_served_for_too_long(
    home: Path, pairs: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(pairs):
        run("renew")
    for path in home.rglob("id_ed25519*"):
        os.utime(path, (1e9, 1e9 + path.name.startswith("id_ed25519_2")))
    capsys.readouterr()
    assert run() == 0
    said = capsys.readouterr().out
    assert re.search(r"current, .+  SHA256:.+  replaced soon after the next connection", said)
    assert "in use until" not in said


def test_a_renewal_that_comes_too_soon_is_no_wrong_call(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("renew") == 0
    assert run("renew") == 0
    assert run("renew") == 1
    assert "Try again in 45 minutes" in capsys.readouterr().err


def test_a_key_of_the_users_that_cannot_be_used_hides_nothing(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run("renew")
    capsys.readouterr()
    monkeypatch.setenv("SSM_SSH_KEY", str(home / "gone.pub"))
    assert run() == 1
    said = capsys.readouterr().out
    path = home / "gone.pub"
    assert said.startswith(
        f"Problem: the key of the settings, {path} (from SSM_SSH_KEY), cannot be used: the public key"
    )
    assert f"the public key {path} cannot be read" in said
    assert re.search(r"^current  ssh-ed25519  SHA256:", said, re.MULTILINE)


def test_a_removal_that_is_not_confirmed_is_told_without_alarm(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(push_journal, "entries", lambda: [push_journal.Entry("0" * 16, INSTANCE, "admin", 1e9)])
    assert run() == 0
    said = capsys.readouterr().out
    row = rf"removal not confirmed +{'0' * 16} +admin +{INSTANCE} +should have expired at 2001-09-"
    assert re.search(row, said)
    assert f"; to check and clean up: ssm-ssh key sweep {INSTANCE} admin\n" in said


def test_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    push_journal.expected(push_journal.Entry("0" * 16, INSTANCE, "admin", time.time() + 100, heard=False))
    run("renew")
    capsys.readouterr()
    assert run("show", "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    (pair,), (entry,) = shown["pairs"], shown["entries"]
    assert pair["state"] == "current"
    assert pair["public_key"].startswith("ssh-ed25519 ")
    assert (entry["instance_id"], entry["user"], entry["state"]) == (INSTANCE, "admin", "perhaps in place")
