from __future__ import annotations

import os
import pwd
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ssm_ssh.aws.api.client import Api
from ssm_ssh.aws.config.settings import load
from ssm_ssh.locate import history, login_hint
from ssm_ssh.locate.history import KnownInstance
from ssm_ssh.locate.login_hint import LoginHint, local_user, record_login
from ssm_ssh.target import Target
from tests.fleet import Fleet, Instance, an_id, running

WEB = an_id(1)
ME = Target(WEB), "me"


@pytest.fixture
def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fleet]:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with running() as fleet:
        fleet.places["AKPROD", "eu-west-1"] = [Instance(WEB, "web", "Ubuntu"), Instance(an_id(2), "x", "Windows")]
        yield fleet


@pytest.fixture
def connect(fleet: Fleet, tmp_path: Path) -> Callable[[], Api]:
    env = fleet.environment(tmp_path, {"prod": "eu-west-1"})
    return lambda: Api(load(profile="prod", env=env), sleep=lambda _: None)


def test_the_usual_user_is_named_where_nobody_was(fleet: Fleet, connect: Callable[[], Api]) -> None:
    said = LoginHint(*ME, connect, "me").advice()
    assert said == f"ssh logs in as me, your name here; the usual user is ubuntu: ssh ubuntu@{WEB}"
    assert len(fleet.calls) == 1


def test_what_is_known_is_not_asked_for(fleet: Fleet, connect: Callable[[], Api]) -> None:
    history.remember([KnownInstance(WEB, "prod", "eu-west-1", "ec2-user")])
    assert "ssh ec2-user@" in LoginHint(*ME, connect, "me").advice()
    record_login(*ME)
    assert LoginHint(*ME, connect, "me").advice() == ""
    assert history.recall(WEB) == KnownInstance(WEB, "prod", "eu-west-1", "ec2-user", ("me",))
    assert fleet.calls == []


def test_whoever_names_a_user_gets_no_advice(fleet: Fleet, connect: Callable[[], Api]) -> None:
    assert LoginHint(*ME, connect, "somebody").advice() == ""
    assert LoginHint(*ME, connect, "").advice() == ""
    assert fleet.calls == []
    assert LoginHint(Target(WEB), "ubuntu", connect, "ubuntu").advice() == ""


def test_whoever_was_refused_gets_advice(fleet: Fleet, connect: Callable[[], Api]) -> None:
    said = LoginHint(*ME, connect, "somebody", refused=True).advice()
    assert said == f"ssh logs in as me, which was refused before; the usual user is ubuntu: ssh ubuntu@{WEB}"
    assert LoginHint(Target(WEB), "ubuntu", connect, "somebody", refused=True).advice() == ""
    record_login(*ME)
    assert LoginHint(*ME, connect, "somebody", refused=True).advice() == ""


def test_where_nothing_is_known_nothing_is_said(fleet: Fleet, connect: Callable[[], Api]) -> None:
    assert LoginHint(Target(an_id(2)), "me", connect, "me").advice() == ""
    assert LoginHint(Target(an_id(3)), "me", connect, "me").advice() == ""
    fleet.answers["DescribeInstanceInformation"] = fleet.answers["GetConnectionStatus"] = lambda _: (
        400,
        "AccessDenied",
    )
    assert LoginHint(*ME, connect, "me").advice() == ""


def test_nobody_waits_long_for_advice(
    fleet: Fleet, connect: Callable[[], Api], monkeypatch: pytest.MonkeyPatch
) -> None:
    later = threading.Event()
    fleet.answers["DescribeInstanceInformation"] = lambda _: later.wait(60) and None
    monkeypatch.setattr(login_hint, "_PATIENCE", 0.1)
    try:
        assert LoginHint(*ME, connect, "me").advice() == ""
    finally:
        later.set()


def test_a_folder_that_cannot_be_used_is_no_matter(fleet: Fleet, tmp_path: Path) -> None:
    (tmp_path / "ssm-ssh").mkdir(mode=0o755)
    (tmp_path / "ssm-ssh").chmod(0o755)
    record_login(*ME)


def test_the_local_user_is_the_one_that_ssh_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USER", "other")
    monkeypatch.setenv("LOGNAME", "other")
    assert local_user() == pwd.getpwuid(os.getuid()).pw_name
    monkeypatch.setattr(os, "getuid", lambda: 4_000_000_000)
    assert local_user() == ""
