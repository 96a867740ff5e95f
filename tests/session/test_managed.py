"""A session from StartSession to TerminateSession, with an API and a gateway that do as they are told."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from ssm_ssh.aws.config.settings import load
from ssm_ssh.errors import NetworkError, SessionGone
from ssm_ssh.log import Log
from ssm_ssh.session import gateway as gateway_module
from ssm_ssh.session import guard, managed, records
from ssm_ssh.session.managed import ManagedSession

STARTED = {"SessionId": "me-0123", "TokenValue": "FIRST", "StreamUrl": "wss://gate/v1"}
RESUMED = {"SessionId": "me-0123", "TokenValue": "SECOND", "StreamUrl": "wss://gate/v1"}


class FakeApi:
    """Answers from a list, and keeps what it was asked."""

    settings: Any = load(region="eu-central-1", env={})

    def __init__(self, *answers: dict[str, str]) -> None:
        self.answers = list(answers)
        self.called: list[tuple[str, dict[str, Any]]] = []
        self.deadlines: list[float] = []

    def call(
        self, _: str, operation: str, payload: dict[str, Any], *, target: str, deadline: float, **more: object
    ) -> dict[str, str]:
        self.called.append((operation, payload))
        self.deadlines.append(deadline - time.monotonic())
        return self.answers.pop(0)


class FakeGateway:
    """Opens a data channel, or fails."""

    def __init__(self) -> None:
        self.tokens: list[str] = []
        self.error: Exception | None = None

    def enter(self, started: Any, channel: object, until: float) -> str:  # noqa: ANN401
        self.tokens.append(started.token)
        assert started.id == "me-0123"
        if self.error is not None:
            raise self.error
        return "socket"


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path / "ssm-ssh" / "sessions"


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch) -> FakeGateway:
    fake = FakeGateway()
    monkeypatch.setattr(gateway_module, "Gateway", lambda *_: fake)
    return fake


def start(api: FakeApi, gateway: FakeGateway, **more: Any) -> ManagedSession:  # noqa: ANN401
    forward = {"portNumber": ["5432"], "host": ["db"]}
    return managed.start(api, gateway, "i-0123456789abcdef0", "Any-Document", forward, log=Log(None), **more)  # type: ignore[arg-type]


def test_a_session_of_any_document_is_the_result_of_starting_it(gateway: FakeGateway) -> None:
    api, opened = FakeApi(STARTED), []
    session = start(api, gateway, reason="because", on_connected=lambda: opened.append(1))
    assert session.id == "me-0123"
    assert api.called == [
        (
            "StartSession",
            {
                "Target": "i-0123456789abcdef0",
                "DocumentName": "Any-Document",
                "Parameters": {"portNumber": ["5432"], "host": ["db"]},
                "Reason": "because",
            },
        )
    ]
    assert opened == []
    assert session.connect(None) == "socket"  # type: ignore[arg-type, comparison-overlap]
    assert (gateway.tokens, opened) == (["FIRST"], [1])


def test_what_cannot_be_opened_is_not_reported_as_connected(gateway: FakeGateway) -> None:
    opened: list[int] = []
    session = start(FakeApi(STARTED), gateway, on_connected=lambda: opened.append(1))
    gateway.error = NetworkError("gone")
    with pytest.raises(NetworkError):
        session.connect(None)  # type: ignore[arg-type]
    assert opened == []


def test_a_resume_takes_a_new_token_and_keeps_the_id(gateway: FakeGateway) -> None:
    api = FakeApi(STARTED, RESUMED)
    session = start(api, gateway)
    session.resume(None)  # type: ignore[arg-type]
    assert gateway.tokens == ["SECOND"]
    assert session.id == "me-0123"
    assert api.called[1] == ("ResumeSession", {"SessionId": "me-0123"})


def test_a_session_that_has_ended_cannot_be_resumed(gateway: FakeGateway) -> None:
    session = start(FakeApi(STARTED, {"SessionId": "me-0123"}), gateway)
    with pytest.raises(SessionGone):
        session.resume(None)  # type: ignore[arg-type]
    assert gateway.tokens == []


def test_terminating_takes_no_longer_than_allowed(gateway: FakeGateway) -> None:
    api = FakeApi(STARTED, {})
    start(api, gateway).terminate(2.0)
    assert api.called[1] == ("TerminateSession", {"SessionId": "me-0123"})
    assert 1.0 < api.deadlines[1] <= 2.0


def test_repr_shows_no_token(gateway: FakeGateway) -> None:
    assert repr(start(FakeApi(STARTED), gateway)) == "ManagedSession('me-0123')"


def test_a_session_is_recorded_until_it_is_terminated(gateway: FakeGateway, state: Path) -> None:
    session = start(FakeApi(STARTED, {}), gateway, purpose="forward 5432")
    (record,) = records.read_all()
    assert (record.session_id, record.instance_id, record.purpose) == ("me-0123", "i-0123456789abcdef0", "forward 5432")
    assert not record.left_behind
    session.terminate(2.0)
    assert records.read_all() == []
    session.forget()


def test_a_session_that_could_not_be_terminated_stays_recorded(gateway: FakeGateway) -> None:
    session = start(FakeApi(STARTED), gateway)
    with pytest.raises(IndexError):  # no answer is left
        session.terminate(2.0)
    assert [record.session_id for record in records.read_all()] == ["me-0123"]


def test_a_state_folder_that_cannot_be_used_keeps_no_session_from_starting(gateway: FakeGateway, state: Path) -> None:
    state.parent.mkdir(mode=0o700)
    state.write_text("no folder")
    session = start(FakeApi(STARTED, {}), gateway)
    session.guard()
    session.terminate(2.0)


def test_a_guarded_session_has_a_guard_until_its_end(gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []

    class Guard:
        def __init__(self, name: str, env: object, log: object) -> None:
            events.append(f"guards {name == record.name}")

        def release(self) -> None:
            events.append(f"released, {len(records.read_all())} recorded")

    monkeypatch.setattr(guard, "Guard", Guard)
    monkeypatch.setattr(guard, "end_left_behind", lambda env, log: events.append("looked"))
    session = start(FakeApi(STARTED, {}), gateway)
    (record,) = records.read_all()
    session.guard()
    session.terminate(2.0)
    assert events == ["guards True", "looked", "released, 0 recorded"]
