"""The program that ends the sessions of killed processes."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from ssm_ssh.aws.api.client import Api
from ssm_ssh.aws.config.settings import load
from ssm_ssh.errors import AccessDenied, AwsError, NetworkError, SsmSshError
from ssm_ssh.session import reaper, records
from ssm_ssh.storage import process_mark

INSTANCE = "i-0123456789abcdef0"


class Aws:
    """Answers TerminateSession."""

    def __init__(self) -> None:
        self.ended: list[str] = []
        self.error: SsmSshError | None = None

    def call(self, _: str, operation: str, payload: dict[str, str], **more: object) -> dict[str, str]:
        assert operation == "TerminateSession"
        if self.error is not None:
            raise self.error
        self.ended.append(payload["SessionId"])
        return {}


@pytest.fixture(autouse=True)
def aws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Aws:
    for name, value in {
        "XDG_STATE_HOME": str(tmp_path),
        "AWS_CONFIG_FILE": str(tmp_path / "config"),
        "AWS_ACCESS_KEY_ID": "AKID",
        "AWS_SECRET_ACCESS_KEY": "SECRET",
    }.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "config").write_text("[profile prod]\naws_access_key_id=OTHER\naws_secret_access_key=SECRET\n")
    aws = Aws()
    monkeypatch.setattr(Api, "call", lambda _, *arguments, **more: aws.call(*arguments, **more))
    return aws


def record(session_id: str, profile: str | None = None) -> str:
    chosen = load(profile=profile, region="eu-west-1")
    return records.opened(session_id, INSTANCE, "", chosen, time.time())


@pytest.fixture
def killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_mark, "_is_running", lambda pid: False)


@pytest.mark.usefixtures("killed")
def test_all_sessions_of_killed_processes_are_ended(aws: Aws, tmp_path: Path) -> None:
    record("a-1")
    record("b-2", profile="prod")
    reaper.main([])
    assert sorted(aws.ended) == ["a-1", "b-2"]
    assert records.read_all() == []
    assert "session a-1 terminated" in (tmp_path / "ssm-ssh" / "ssm-ssh.log").read_text()


def test_the_session_of_a_running_process_is_ended_only_by_its_name(aws: Aws) -> None:
    """A guard knows that its process has ended, also where marks tell nothing."""
    name = record("a-1")
    record("b-2")
    reaper.main([])
    assert aws.ended == []
    reaper.main([name])
    assert aws.ended == ["a-1"]
    assert [left.session_id for left in records.read_all()] == ["b-2"]


@pytest.mark.usefixtures("killed")
def test_a_guard_whose_record_is_gone_does_nothing(aws: Aws) -> None:
    name = record("a-1")
    records.closed(name)
    record("b-2")
    reaper.main([name])
    assert aws.ended == []


@pytest.mark.usefixtures("killed")
def test_other_credentials_of_the_environment_end_nothing(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    record("a-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "ANOTHER")
    reaper.main([])
    assert aws.ended == []
    assert records.left_behind(time.time()) == []  # not again at once
    assert records.left_behind(time.time() + 700) != []


@pytest.mark.usefixtures("killed")
@pytest.mark.parametrize(
    ("error", "left"),
    [
        (NetworkError("no route"), 1),
        (AccessDenied("denied", code="AccessDenied"), 0),
        (AwsError("there is none", code="DoesNotExistException"), 0),
    ],
)
def test_what_may_pass_is_tried_again_later(aws: Aws, error: SsmSshError, left: int) -> None:
    record("a-1")
    aws.error = error
    reaper.main([])
    assert len(records.read_all()) == left
    assert records.left_behind(time.time()) == []


@pytest.mark.usefixtures("killed")
def test_a_profile_that_is_gone_may_come_back(aws: Aws, tmp_path: Path) -> None:
    record("a-1", profile="prod")
    (tmp_path / "config").write_text("")
    reaper.main([])
    assert aws.ended == []
    assert len(records.read_all()) == 1


@pytest.mark.usefixtures("killed")
def test_a_record_that_cannot_be_understood_goes(tmp_path: Path) -> None:
    name = record("a-1")
    (tmp_path / "ssm-ssh" / "sessions" / name).write_bytes(b"damaged")
    reaper.main([])
    assert not records.exists(name)
