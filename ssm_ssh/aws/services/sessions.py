"""The session API of Systems Manager: start, resume, terminate.

https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_StartSession.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ssm_ssh import names
from ssm_ssh.errors import AwsError, ProtocolError, SessionGone, UsageError
from ssm_ssh.text import printable

if TYPE_CHECKING:
    from ssm_ssh.aws.api.client import Api
    from ssm_ssh.target import Target

SSH_DOCUMENT = "AWS-StartSSHSession"
# The limit of StartSession's model.
_MAX_REASON = 256


class Session:
    """A started or resumed session. Token and URL open its data channel, so the repr shows the id alone."""

    __slots__ = ("session_id", "stream_url", "token")

    def __init__(self, session_id: str, token: str, stream_url: str) -> None:
        self.session_id = session_id
        self.token = token
        self.stream_url = stream_url

    def __repr__(self) -> str:
        return f"Session({self.session_id!r})"


def start_payload(target: Target, document: str = SSH_DOCUMENT, reason: str = "") -> dict[str, Any]:
    """Return StartSession's input. Raises UsageError for what cannot be a document's name."""
    if not names.is_document(document):
        raise UsageError(f"'{document[:80]}' is not the name of a session document", names.DOCUMENT_HINT)
    payload: dict[str, Any] = {
        "Target": target.instance_id,
        "DocumentName": document,
        "Parameters": {"portNumber": [str(target.port)]},
    }
    if said := printable(reason, _MAX_REASON):
        payload["Reason"] = said
    return payload


def start_session(
    api: Api, target: Target, document: str = SSH_DOCUMENT, *, reason: str = "", deadline: float | None = None
) -> Session:
    """Start a session to `target`'s port; `reason` (at most 256 characters) shows in the audit trail.

    `deadline` is in time.monotonic()'s seconds. Raises what Api.call raises, and UsageError. The call is repeated
    after a lost answer: the session that may have been started without our knowing has no data channel, does nothing
    on the instance, and Systems Manager ends it when it idles out.
    """
    answer = api.call(
        "ssm",
        "StartSession",
        start_payload(target, document, reason),
        target=target.instance_id,
        deadline=deadline,
    )
    session_id = _text(answer, "SessionId")
    token, url = _text(answer, "TokenValue"), _text(answer, "StreamUrl")
    if not session_id or not token or not url:
        raise ProtocolError("StartSession's answer lacks SessionId, TokenValue or StreamUrl", "Check the endpoint URL")
    return Session(session_id, token, url)


def resume_session(api: Api, session_id: str, *, deadline: float | None = None) -> Session:
    """Return `session_id` with the new token that opens its data channel again. Repeating it yields another token.

    Raises SessionGone when the session has timed out or was terminated, else what Api.call raises.
    """
    answer = api.call("ssm", "ResumeSession", {"SessionId": session_id}, target=session_id, deadline=deadline)
    token, url = _text(answer, "TokenValue"), _text(answer, "StreamUrl")
    if not token or not url:
        raise SessionGone("the session has ended and cannot be resumed", "Connect again", operation="ResumeSession")
    if _text(answer, "SessionId") not in ("", session_id):
        raise ProtocolError("ResumeSession answered with another session", "Check the endpoint URL")
    return Session(_text(answer, "SessionId") or session_id, token, url)


def terminate_session(api: Api, session_id: str, *, deadline: float | None = None) -> None:
    """End `session_id`; that it is gone already counts as done, so repeating it is harmless.

    Raises what Api.call raises.
    """
    try:
        api.call("ssm", "TerminateSession", {"SessionId": session_id}, target=session_id, deadline=deadline)
    except AwsError as error:
        gone = error.code.startswith("DoesNotExist") or "not in a valid state" in error.message
        if not gone:
            raise


def _text(answer: dict[str, Any], name: str) -> str:
    value = answer.get(name)
    return value if isinstance(value, str) else ""
