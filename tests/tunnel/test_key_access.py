"""What a connection knows of the key that it has pushed."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from ssm_ssh.auth import identity, push, push_journal
from ssm_ssh.auth.singleflight import Pushed
from ssm_ssh.aws.api.client import Api
from ssm_ssh.aws.config.settings import load
from ssm_ssh.log import Log
from ssm_ssh.settings.options import ConnectionOptions
from ssm_ssh.storage import json_store
from ssm_ssh.target import Target
from ssm_ssh.tunnel import key_access
from ssm_ssh.tunnel.destination import SshDestination
from ssm_ssh.tunnel.key_access import KeyAccess
from ssm_ssh.tunnel.login_outcome import LoginOutcome

DESTINATION = SshDestination(Target("i-0123456789abcdef0"), 22, "ec2-user")


class Times:
    """time, as the connection sees it."""

    def __init__(self) -> None:
        self.passed = 0.0

    def monotonic(self) -> float:
        return 1000.0 + self.passed

    def time(self) -> float:
        return 1_800_000_000.0 + self.passed


@pytest.fixture
def times(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Times:
    found = Times()
    monkeypatch.setattr(key_access, "time", found)
    monkeypatch.setattr(json_store, "state_folder", lambda: tmp_path / "state")
    return found


def pushed(monkeypatch: pytest.MonkeyPatch, way: str, until: float) -> KeyAccess:
    monkeypatch.setattr(push, "authorize", lambda *_, **__: Pushed(way, until))
    settings = load(env={"AWS_REGION": "eu-central-1"})
    access = KeyAccess(DESTINATION, ConnectionOptions(), settings, lambda: Api(settings), Log(None))
    access._key = identity.UserKey("ssh-ed25519 AAAA", ours=True)
    access.push()
    return access


def test_a_notice_about_a_lasting_state_is_given_once_a_day(monkeypatch: pytest.MonkeyPatch, times: Times) -> None:
    def told(notice: str, lasting: str) -> str:
        now = times.time()
        monkeypatch.setattr(push, "authorize", lambda *_, **__: Pushed("send-command", now, notice, lasting))
        return access.push()

    access = pushed(monkeypatch, "send-command", times.time())
    assert told("no EIC. i-1 reports: the home is open", "no EIC") == "no EIC. i-1 reports: the home is open"
    assert told("no EIC. i-1 reports: the home is open", "no EIC") == "i-1 reports: the home is open"
    assert told("no EIC", "no EIC") == ""
    assert told("denied, as the settings allow", "") == "denied, as the settings allow"
    assert told("no EIC", "no EIC") == "no EIC", "the state was another meanwhile"
    times.passed += 86400
    assert told("no EIC", "no EIC") == "no EIC"


@pytest.mark.parametrize(
    ("lifetime", "passed", "accepted"), [(60, 0, True), (60, 47, True), (60, 49, False), (5, 1, True), (5, 6, False)]
)
def test_a_key_is_pushed_again_only_where_that_helps(
    monkeypatch: pytest.MonkeyPatch, times: Times, lifetime: float, passed: float, accepted: bool
) -> None:
    """One that was pushed just now and is short-lived would be as short-lived again, and again."""
    access = pushed(monkeypatch, "send-command", times.time() + lifetime)
    times.passed = passed
    assert access.still_accepted() == accepted


@pytest.mark.parametrize(
    ("way", "length", "known"), [("eic", 400, False), ("eic", 44, True), ("send-command", 400, True)]
)
def test_a_login_by_instance_connect_shows_that_it_works_there(
    monkeypatch: pytest.MonkeyPatch, times: Times, way: str, length: int, known: bool
) -> None:
    push_journal.learn(DESTINATION.instance_id, times.time(), effective=False)
    login = LoginOutcome()
    for count in (60, 44, 68, 44, 140, length):
        (login.sent if count in (60, 68, 140) else login.heard)(count, 1.0)
    monkeypatch.setenv("SSM_SSH_PROBE", "1")
    monkeypatch.setattr("ssm_ssh.locate.login_hint.record_login", lambda target, user: None)
    pushed(monkeypatch, way, time.time()).login_ended(login)
    assert (push_journal.ineffective(DESTINATION.instance_id, times.time()) is not None) == known
