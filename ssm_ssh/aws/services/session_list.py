"""The sessions that Systems Manager knows: open ones, and for thirty days those that have ended.

https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_DescribeSessions.html
"""

from __future__ import annotations

from ssm_ssh.aws.services.paging import items, pages
from ssm_ssh.errors import ProtocolError
from ssm_ssh.startup import TYPE_CHECKING, NamedTuple
from ssm_ssh.values import object_member, text_member

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from ssm_ssh.aws.api.client import Api

_DESCRIBE = "DescribeSessions"
# The largest page of DescribeSessions.
_PAGE_SIZE = 200


class ListedSession(NamedTuple):
    """A session as AWS lists it. A text is empty, and a time 0, where AWS did not report it.

    Times are in seconds since the epoch by AWS's clock. `owner` is an ARN, `state` AWS's word: Connected, Terminated,
    ... `max_minutes`: the maximum duration as AWS writes it.
    """

    session_id: str
    target: str
    state: str
    owner: str
    document: str
    reason: str
    started: float
    ended: float
    details: str
    max_minutes: str


def list_sessions(
    api: Api, *, history: bool = False, owner: str = "", target: str = "", session_id: str = ""
) -> list[ListedSession]:
    """Return the open sessions of the region, or with `history` those that have ended, the newest first.

    `owner` (an ARN), `target` and `session_id` are filters. Raises what Api.call raises, and ProtocolError.
    """
    wanted = {"Owner": owner, "Target": target, "SessionId": session_id}
    payload: dict[str, Any] = {"State": "History" if history else "Active", "MaxResults": _PAGE_SIZE}
    if filters := [{"key": key, "value": value} for key, value in wanted.items() if value]:
        payload["Filters"] = filters
    listed = [
        _session(values)
        for answer in pages(api, "ssm", _DESCRIBE, payload, "NextToken")
        for values in items(answer, "Sessions", _DESCRIBE)
    ]
    # While sessions come and go between two pages, one session may be on both.
    sessions = {session.session_id: session for session in listed if session.session_id}
    return sorted(sessions.values(), key=lambda session: -session.started)


def caller_arn(api: Api) -> str:
    """Return the ARN by which AWS names the caller as the owner of sessions. Raises what Api.call raises.

    https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html
    """
    answer = api.call("sts", "GetCallerIdentity", {})
    arn = text_member(object_member(answer, "GetCallerIdentityResult") or answer, "Arn")
    if not arn:
        raise ProtocolError("GetCallerIdentity's answer has no ARN", "Check the endpoint URL")
    return arn


def _session(values: Mapping[str, Any]) -> ListedSession:
    return ListedSession(
        session_id=text_member(values, "SessionId"),
        target=text_member(values, "Target"),
        state=text_member(values, "Status"),
        owner=text_member(values, "Owner"),
        document=text_member(values, "DocumentName"),
        reason=text_member(values, "Reason"),
        started=_seconds(values.get("StartDate")),
        ended=_seconds(values.get("EndDate")),
        details=text_member(values, "Details"),
        max_minutes=text_member(values, "MaxSessionDuration"),
    )


def _seconds(value: object) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else 0.0
