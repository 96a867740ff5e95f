"""The session API of Systems Manager: start, resume, terminate, and whether an agent is connected.

https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_StartSession.html
"""

from __future__ import annotations

from ssm_ssh import names
from ssm_ssh.errors import AwsError, ProtocolError, SessionGone, UsageError
from ssm_ssh.startup import TYPE_CHECKING
from ssm_ssh.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from ssm_ssh.aws.api.client import Api

# The limit of StartSession's model.
_MAX_REASON = 256


class StartedSession:
    """A started or resumed session. Token and URL open its data channel, so the repr shows the id alone."""

    __slots__ = ("id", "stream_url", "token")

    def __init__(self, session_id: str, token: str, stream_url: str) -> None:
        self.id = session_id
        self.token = token
        self.stream_url = stream_url

    def __repr__(self) -> str:
        return f"StartedSession({self.id!r})"


def start_payload(
    target: str, document: str, parameters: Mapping[str, Sequence[str]], reason: str = ""
) -> dict[str, Any]:
    """Return StartSession's input. Raises UsageError for what cannot be a document's name.

    `target`: an instance id, or `ecs:CLUSTER_TASK_RUNTIME`; `document`: "" for the account's shell session;
    `parameters`: those of the document.
    """
    if document and not names.is_document(document):
        raise UsageError(f"'{document[:80]}' is not the name of a session document", names.DOCUMENT_HINT)
    payload: dict[str, Any] = {"Target": target}
    if document:
        payload["DocumentName"] = document
    if parameters:
        payload["Parameters"] = {name: list(values) for name, values in parameters.items()}
    if shown := printable(reason, _MAX_REASON):
        payload["Reason"] = shown
    return payload


def start_session(
    api: Api,
    target: str,
    document: str,
    parameters: Mapping[str, Sequence[str]],
    *,
    reason: str = "",
    deadline: float | None = None,
    reached: Callable[[bool], None] | None = None,
) -> StartedSession:
    """Start a session with `target`; the first 256 characters of `reason` show in the audit trail.

    `deadline` is in time.monotonic()'s seconds, `reached` is that of Api.call. Raises what Api.call raises, and
    UsageError. The call is repeated after a lost answer: the session that may have been started without our knowing has
    no data channel, does nothing on the instance, and Systems Manager ends it when it idles out.
    """
    payload = start_payload(target, document, parameters, reason)
    answer = api.call("ssm", "StartSession", payload, target=target, deadline=deadline, reached=reached)
    session_id = _text(answer, "SessionId")
    token, url = _text(answer, "TokenValue"), _text(answer, "StreamUrl")
    if not session_id or not token or not url:
        raise ProtocolError("StartSession's answer lacks SessionId, TokenValue or StreamUrl", "Check the endpoint URL")
    return StartedSession(session_id, token, url)


def resume_session(api: Api, session_id: str, *, deadline: float | None = None) -> StartedSession:
    """Return `session_id` with the new token that opens its data channel again. Repeating it yields another token.

    Raises SessionGone when the session has timed out or was terminated, else what Api.call raises.
    """
    answer = api.call("ssm", "ResumeSession", {"SessionId": session_id}, target=session_id, deadline=deadline)
    token, url = _text(answer, "TokenValue"), _text(answer, "StreamUrl")
    if not token or not url:
        raise SessionGone("the session has ended and cannot be resumed", "Connect again", operation="ResumeSession")
    if _text(answer, "SessionId") not in ("", session_id):
        raise ProtocolError("ResumeSession answered with another session", "Check the endpoint URL")
    return StartedSession(_text(answer, "SessionId") or session_id, token, url)


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


def connection_status(api: Api, target: str, *, deadline: float | None = None) -> bool:
    """Return whether the agent of `target` is connected to Systems Manager. Raises what Api.call raises.

    https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetConnectionStatus.html
    """
    answer = api.call("ssm", "GetConnectionStatus", {"Target": target}, target=target, deadline=deadline)
    return _text(answer, "Status") == "connected"


def _text(answer: dict[str, Any], name: str) -> str:
    value = answer.get(name)
    return value if isinstance(value, str) else ""
