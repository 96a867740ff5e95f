"""What starts the sessions of a command, and what it records of the account that reached the instance."""

from __future__ import annotations

import json
import threading
import time
import uuid
from pathlib import Path
from typing import Any

import pytest

from ssm_ssh.aws.api.client import Api
from ssm_ssh.aws.config.settings import load
from ssm_ssh.channel.handshake import SHELL
from ssm_ssh.errors import SsmSshError, TargetMissing, TargetNotConnected
from ssm_ssh.locate import history
from ssm_ssh.log import Log
from ssm_ssh.session import starter as module
from ssm_ssh.session import starting
from ssm_ssh.session.starter import SessionStarter, channel_maker
from ssm_ssh.storage import json_store

INSTANCE = "i-0123456789abcdef0"


@pytest.mark.parametrize(
    ("env", "profile", "remembered"),
    [
        ({}, None, [("default", "eu-central-1")]),
        ({"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1/"}, None, []),
        ({"AWS_WEB_IDENTITY_TOKEN_FILE": "/token"}, None, []),
        ({"AWS_ACCESS_KEY_ID": "AKID"}, None, []),
        ({"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1/"}, "dev", [("dev", "eu-central-1")]),
    ],
)
def test_what_the_environment_brings_is_not_remembered_as_a_profile(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    env: dict[str, str],
    profile: str | None,
    remembered: list[tuple[str, str]],
) -> None:
    monkeypatch.setattr(json_store, "state_folder", lambda: tmp_path / "state")
    (tmp_path / "config").write_text("[profile dev]\n")
    whole = {**env, "AWS_CONFIG_FILE": str(tmp_path / "config"), "AWS_REGION": "eu-central-1"}
    settings = load(profile=profile, env=whole)
    SessionStarter(settings, INSTANCE, "", {}, Log(None), purpose="shell")._remember()
    assert [(known.profile, known.region) for known in history.recall_all()] == remembered


def test_the_audit_trail_shows_who_asks_for_what_and_from_where(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "alice")
    monkeypatch.setattr("socket.gethostname", lambda: "laptop\n")
    assert module._caller("shell i-0") == "shell i-0 by alice on laptop (ssm-ssh)"


def test_a_user_without_a_name_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("ssm_ssh.locate.login_hint.local_user", lambda: "")
    monkeypatch.setattr("socket.gethostname", lambda: "laptop")
    assert module._caller("shell i-0") == "shell i-0 by unknown on laptop (ssm-ssh)"


class Ec2:
    """AWS with one instance, which stays stopped."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def call(self, _: str, operation: str, payload: dict[str, Any], **more: object) -> dict[str, Any]:
        self.asked.append(operation)
        if operation == "DescribeInstances":
            instance = {"instanceId": INSTANCE, "instanceState": {"name": "stopped"}}
            return {"reservationSet": [{"instancesSet": [instance]}]}
        return {}


@pytest.fixture
def stopped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Ec2:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    ec2 = Ec2()
    monkeypatch.setattr(Api, "call", lambda _, *arguments, **more: ec2.call(*arguments, **more))
    return ec2


def off(start: str) -> SessionStarter:
    settings = load(env={"AWS_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "S"})
    return SessionStarter(settings, INSTANCE, "", {}, Log(None), purpose="shell", start=start)


def test_without_the_setting_ec2_is_not_asked(stopped: Ec2) -> None:
    error = TargetNotConnected("not connected")
    with pytest.raises(TargetNotConnected) as failure:
        off("").bring_up(error)
    assert failure.value is error
    assert stopped.asked == []


def test_an_instance_that_is_off_is_named_so_with_what_starts_it(stopped: Ec2) -> None:
    with pytest.raises(TargetMissing, match=f"{INSTANCE} is stopped in eu-central-1") as failure:
        off("never").bring_up(TargetNotConnected("not connected"))
    assert f"aws ec2 start-instances --instance-ids {INSTANCE} --region eu-central-1" in failure.value.hint
    assert stopped.asked == ["DescribeInstances"]


def test_a_user_who_has_gone_starts_nothing_more(stopped: Ec2) -> None:
    starter = off("always")
    starter.cancel()
    with pytest.raises(SsmSshError, match="not waited for"):
        starter.bring_up(TargetNotConnected("not connected"))
    assert "StartInstances" not in stopped.asked


def test_a_user_who_goes_later_ends_the_wait(stopped: Ec2) -> None:
    starter = off("always")
    threading.Timer(0.2, starter.cancel).start()
    with pytest.raises(SsmSshError, match="not waited for"):
        starter.bring_up(TargetNotConnected("not connected"))
    assert starting.since(INSTANCE, time.time()) is not None
    assert "StartInstances" in stopped.asked


def test_the_channels_of_a_command_are_those_of_one_client() -> None:
    make = channel_maker((SHELL,))
    first, second = (json.loads(make().open_message("token")) for _ in range(2))
    assert first["ClientId"] == second["ClientId"]
    assert str(uuid.UUID(first["ClientId"], version=4)) == first["ClientId"]
    assert first["ClientVersion"] == module.CLIENT_VERSION


class Started:
    """A starter whose sessions are numbers; each start ends when it is let go."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.go = threading.Event()
        self.count = 0
        self.starter = off("")
        self.error: SsmSshError | None = None
        monkeypatch.setattr(self.starter, "_start_session", self._start)

    def _start(self) -> int:
        self.count += 1
        number = self.count
        self.starter._reached(False)
        self.go.wait(60)
        if self.error is not None:
            raise self.error
        return number


def test_a_session_that_was_begun_is_the_first_that_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    started = Started(monkeypatch)
    started.starter.begin()
    assert started.count == 1
    started.go.set()
    assert [started.starter.start(), started.starter.start()] == [1, 2]


def test_what_fails_ahead_fails_where_the_session_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    started = Started(monkeypatch)
    started.error = SsmSshError("denied")
    started.go.set()
    started.starter.begin()
    for _ in range(2):
        with pytest.raises(SsmSshError, match="denied"):
            started.starter.start()


def test_a_start_that_takes_long_is_not_waited_for_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    started = Started(monkeypatch)
    monkeypatch.setattr(started.starter, "_reached", lambda _: None)
    started.starter.begin()
    started.go.set()
    assert started.starter.start() == 1
