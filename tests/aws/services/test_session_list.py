"""DescribeSessions, page by page."""

from __future__ import annotations

from typing import Any, cast

import pytest

from ssm_ssh.aws.api.client import Api
from ssm_ssh.aws.services.session_list import caller_arn, list_sessions
from ssm_ssh.errors import ProtocolError


class FakeApi:
    """Answers with prepared pages, and notes what it is asked."""

    def __init__(self, *answers: dict[str, Any]) -> None:
        self.answers = list(answers)
        self.asked: list[dict[str, Any]] = []

    def call(self, _: str, operation: str, payload: dict[str, Any], **more: object) -> dict[str, Any]:
        self.asked.append({"operation": operation, **payload})
        return self.answers.pop(0)


def api(*answers: dict[str, Any]) -> tuple[FakeApi, Api]:
    fake = FakeApi(*answers)
    return fake, cast("Api", fake)


def test_all_pages_are_read_and_each_session_is_returned_once() -> None:
    first = {"SessionId": "a-1", "StartDate": 10, "Target": "i-1", "Status": "Connected", "Reason": "r"}
    fake, calls = api(
        {"Sessions": [first], "NextToken": "next"},
        {"Sessions": [{"SessionId": "a-2", "StartDate": 20.5}, first, {"SessionId": 7}]},
    )
    sessions = list_sessions(calls, owner="arn:me", target="i-1")
    assert [(session.session_id, session.started) for session in sessions] == [("a-2", 20.5), ("a-1", 10.0)]
    assert sessions[1].reason == "r"
    assert fake.asked[0]["Filters"] == [{"key": "Owner", "value": "arn:me"}, {"key": "Target", "value": "i-1"}]
    assert fake.asked[0]["State"] == "Active"
    assert fake.asked[1]["NextToken"] == "next"


def test_members_of_another_type_count_as_missing() -> None:
    _, calls = api({"Sessions": [{"SessionId": "a-1", "StartDate": "soon", "EndDate": True, "Reason": ["x"]}]})
    (session,) = list_sessions(calls, history=True)
    assert (session.started, session.ended, session.reason) == (0.0, 0.0, "")


def test_an_answer_without_a_list_is_an_error() -> None:
    with pytest.raises(ProtocolError, match="Sessions"):
        list_sessions(api({})[1])


def test_the_caller_has_an_arn() -> None:
    assert caller_arn(api({"GetCallerIdentityResult": {"Arn": "arn:me"}})[1]) == "arn:me"
    with pytest.raises(ProtocolError, match="ARN"):
        caller_arn(api({"GetCallerIdentityResult": {}})[1])
