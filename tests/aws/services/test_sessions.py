from __future__ import annotations

from typing import TYPE_CHECKING

import botocore.session
import pytest
from botocore.validate import ParamValidator
from hypothesis import given
from hypothesis import strategies as st

from ssm_ssh.aws.services.sessions import (
    StartedSession,
    resume_session,
    start_payload,
    start_session,
    terminate_session,
)
from ssm_ssh.errors import AwsError, ProtocolError, SessionGone, TargetNotConnected, UsageError

if TYPE_CHECKING:
    from conftest import Calls, FakeAws

INSTANCE, SSH, PORT = "i-0123456789abcdef0", "AWS-StartSSHSession", {"portNumber": ["22"]}
MODEL = botocore.session.Session().get_service_model("ssm")
STARTED = {"SessionId": "me-0123", "TokenValue": "TOKEN", "StreamUrl": "wss://gate/v1"}


def valid(operation: str, payload: dict[str, object]) -> bool:
    return not ParamValidator().validate(payload, MODEL.operation_model(operation).input_shape).has_errors()


def test_start(calls: Calls, aws: FakeAws, answer: object) -> None:
    aws.answers = [answer(200, STARTED)]
    session = start_session(calls.api, INSTANCE, SSH, PORT, reason="ssh by me")
    assert (session.id, session.token, session.stream_url) == ("me-0123", "TOKEN", "wss://gate/v1")
    assert aws.requests[0].operation == "StartSession"
    assert aws.requests[0].payload == {
        "Target": "i-0123456789abcdef0",
        "DocumentName": "AWS-StartSSHSession",
        "Parameters": {"portNumber": ["22"]},
        "Reason": "ssh by me",
    }
    assert valid("StartSession", aws.requests[0].payload)


@given(
    reason=st.text(max_size=400),
    document=st.from_regex(r"[a-zA-Z0-9_\-.:/]{3,128}", fullmatch=True),
    port=st.integers(1, 65535),
)
def test_payloads_fit_the_model(reason: str, document: str, port: int) -> None:
    payload = start_payload("mi-0123456789abcdef0", document, {"portNumber": [str(port)]}, reason)
    assert valid("StartSession", payload)
    assert payload["Parameters"] == {"portNumber": [str(port)]}
    assert 1 <= len(payload.get("Reason", "x")) <= 256
    assert all(" " <= character <= "~" for character in payload.get("Reason", ""))


def test_any_document_with_any_parameters(calls: Calls, aws: FakeAws, answer: object) -> None:
    aws.answers = [answer(200, STARTED)]
    forward = {"host": ["db.internal"], "portNumber": ["5432"], "localPortNumber": ["0"]}
    start_session(calls.api, "ecs:one_two_three", "AWS-StartPortForwardingSessionToRemoteHost", forward)
    assert aws.requests[0].payload == {
        "Target": "ecs:one_two_three",
        "DocumentName": "AWS-StartPortForwardingSessionToRemoteHost",
        "Parameters": forward,
    }
    assert valid("StartSession", aws.requests[0].payload)


def test_a_shell_session_needs_neither_document_nor_parameters() -> None:
    payload = start_payload(INSTANCE, "", {})
    assert payload == {"Target": INSTANCE}
    assert valid("StartSession", payload)


@pytest.mark.parametrize("document", ["ab", "a b c", "x" * 129, "doc\n", "d\u00f6c"])
def test_what_is_no_document(document: str) -> None:
    with pytest.raises(UsageError):
        start_payload(INSTANCE, document, PORT)


@pytest.mark.parametrize("missing", ["SessionId", "TokenValue", "StreamUrl"])
@pytest.mark.parametrize("value", [None, "", 7, []])
def test_an_answer_that_lacks_something(
    calls: Calls, aws: FakeAws, answer: object, *, missing: str, value: object
) -> None:
    aws.answers = [answer(200, {**STARTED, missing: value})]
    with pytest.raises(ProtocolError, match="lacks"):
        start_session(calls.api, INSTANCE, SSH, PORT)


def test_a_refusal_names_the_instance(calls: Calls, aws: FakeAws, refuse: object) -> None:
    aws.answers = [refuse("TargetNotConnected", "i-0123456789abcdef0 is not connected.")]
    with pytest.raises(
        TargetNotConnected, match=r"^i-0123456789abcdef0 is not connected to Systems Manager in eu-central-1"
    ):
        start_session(calls.api, INSTANCE, SSH, PORT)


def test_resume(calls: Calls, aws: FakeAws, answer: object) -> None:
    aws.answers = [answer(200, STARTED)]
    session = resume_session(calls.api, "me-0123")
    assert (session.id, session.token) == ("me-0123", "TOKEN")
    assert aws.requests[0].operation == "ResumeSession"
    assert valid("ResumeSession", aws.requests[0].payload)


def test_resume_of_what_is_gone(calls: Calls, aws: FakeAws, answer: object, refuse: object) -> None:
    aws.answers = [refuse("DoesNotExistException", "Session does not exist"), answer(200, {"SessionId": "me-0123"})]
    for _ in range(2):
        with pytest.raises(SessionGone):
            resume_session(calls.api, "me-0123")


def test_terminate(calls: Calls, aws: FakeAws, answer: object, refuse: object) -> None:
    aws.answers = [answer(200, {"SessionId": "me-0123"}), refuse("DoesNotExistException"), refuse("InvalidArgs")]
    aws.answers.insert(1, refuse("ValidationException", "Session me-0123 is not in a valid state"))
    for _ in range(3):
        terminate_session(calls.api, "me-0123")
    with pytest.raises(AwsError):
        terminate_session(calls.api, "me-0123")
    assert valid("TerminateSession", aws.requests[0].payload)


def test_repr_shows_the_id_alone() -> None:
    assert repr(StartedSession("id", "CANARY", "CANARY")) == "StartedSession('id')"
