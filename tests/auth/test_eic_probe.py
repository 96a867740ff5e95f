"""What is concluded from logging in once more."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from ssm_ssh.auth import eic_probe, push_journal
from ssm_ssh.auth.eic_probe import ACCEPTED, REFUSED, UNKNOWN
from ssm_ssh.storage import json_store

INSTANCE = "i-0123456789abcdef0"
QUESTION = {
    "instance": INSTANCE,
    "host": INSTANCE,
    "port": 2222,
    "user": "deploy",
    "profile": "it's 100% mine",
    "region": "eu-central-1",
    "document": "AWS-StartSSHSession",
    "key_type": "rsa",
}


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_store, "state_folder", lambda: tmp_path / "state")


@pytest.mark.parametrize(
    ("outcomes", "usual", "ineffective"),
    [
        ({"deploy": ACCEPTED}, "ec2-user", False),
        ({"deploy": UNKNOWN}, "ec2-user", False),
        ({"deploy": REFUSED, "ec2-user": ACCEPTED}, "ec2-user", False),
        ({"deploy": REFUSED, "ec2-user": UNKNOWN}, "ec2-user", False),
        ({"deploy": REFUSED, "ec2-user": REFUSED}, "ec2-user", True),
        ({"deploy": REFUSED}, "deploy", True),
        ({"deploy": REFUSED}, "", False),
    ],
)
def test_only_the_usual_users_refusal_tells(outcomes: dict[str, str], usual: str, ineffective: bool) -> None:
    tried: list[str] = []

    def log_in(user: str) -> str:
        tried.append(user)
        return outcomes[user]

    eic_probe.probe(QUESTION, log_in, lambda: usual)
    assert tried == list(outcomes)
    assert (push_journal.ineffective(INSTANCE, time.time()) is not None) == ineffective
    eic_probe.probe(QUESTION, log_in, lambda: usual)
    assert tried == list(outcomes), "nobody tries again within ten minutes"


@pytest.mark.parametrize(
    ("outcomes", "logins", "days"),
    [
        ({"deploy": REFUSED, "app": ACCEPTED}, ("root", "app"), 0),
        ({"deploy": REFUSED, "app": REFUSED}, ("app",), 7),
        ({"deploy": REFUSED}, ("deploy", "app"), 7),
        ({"deploy": REFUSED, "ec2-user": REFUSED}, (), 1),
    ],
)
def test_a_user_with_earlier_logins_is_tried_first(
    outcomes: dict[str, str], logins: tuple[str, ...], days: int
) -> None:
    tried: list[str] = []

    def log_in(user: str) -> str:
        tried.append(user)
        return outcomes[user]

    now = time.time()
    eic_probe.probe(QUESTION, log_in, lambda: "ec2-user", logins)
    assert tried == list(outcomes)
    known = push_journal.ineffective(INSTANCE, now + 1)
    assert (known is not None) == bool(days)
    assert known is None or known.until - known.since == days * 86400


def test_an_accepted_login_clears_the_record() -> None:
    push_journal.learn(INSTANCE, time.time(), effective=False)
    eic_probe.probe(QUESTION, lambda _: ACCEPTED, lambda: "")
    assert push_journal.ineffective(INSTANCE, time.time()) is None


def test_the_command_runs_nothing_there_and_uses_one_method() -> None:
    argv = eic_probe.command(QUESTION, "deploy")
    assert "-N" in argv
    assert argv[-2:] == ["--", INSTANCE]
    (proxy,) = [word for word in argv if word.startswith("ProxyCommand=")]
    assert "--push eic" in proxy
    assert """'it'"'"'s 100%% mine'""" in proxy
    assert " --key-type rsa " in proxy
    assert proxy.endswith(f" {INSTANCE} 2222 deploy")
    assert [word.endswith('/id_rsa"') for word in argv if word.startswith("IdentityFile=")] == [True, False]


OFFERED = "echo 'debug1: Offering public key: /k ED25519 SHA256:x explicit' >&2"
TRIED = "echo 'debug1: Trying private key: /k' >&2"
UNREAD = """echo 'Load key "/k": Permission denied' >&2"""
DENIED = "echo 'u@h: Permission denied (publickey).' >&2"


@pytest.mark.parametrize(
    ("said", "outcome"),
    [
        ("echo 'Authenticated to h (via proxy) using \"publickey\".' >&2; exec sleep 60", ACCEPTED),
        (f"{OFFERED}; {DENIED}; exit 255", REFUSED),
        (f"{TRIED}; {DENIED}; exit 255", REFUSED),
        (f"{TRIED}; {UNREAD}; {DENIED}; exit 255", UNKNOWN),
        (f"{TRIED}; echo 'debug1: no such identity: /k: none' >&2; {DENIED}; exit 255", UNKNOWN),
        (f"{DENIED}; exit 255", UNKNOWN),  # our key could not be read, so nobody has refused it
        (f"{OFFERED}; echo 'debug1: Server accepts key: /k ED25519 SHA256:x' >&2; {DENIED}; exit 255", ACCEPTED),
        ("echo 'Connection closed by UNKNOWN port 65535' >&2; exit 255", UNKNOWN),
        ("exit 0", UNKNOWN),
    ],
)
def test_the_outcome_is_read_from_the_output_of_ssh(said: str, outcome: str) -> None:
    assert eic_probe.attempt(["/bin/sh", "-c", said]) == outcome
