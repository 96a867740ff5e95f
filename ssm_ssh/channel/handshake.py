"""The handshake at the start of a session: the agent's requests in, the client's answer out, all JSON.

The agent lists actions; the client answers each with a status, and the agent cancels the session unless all of them
succeeded (amazon-ssm-agent, agent/session/datachannel/datachannel.go; plugin, src/datachannel/streaming.go).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from ssm_ssh.channel.limits import ACTION_NAME, ACTIONS, JSON_PAYLOAD
from ssm_ssh.errors import ProtocolError
from ssm_ssh.text import printable

if TYPE_CHECKING:
    from ssm_ssh.errors import SsmSshError

SUCCESS = 1
FAILED = 2
UNSUPPORTED = 3


class Answer(NamedTuple):
    """The client's side of the handshake: the HandshakeResponse, and why it says no (None: it says yes)."""

    response: bytes
    agent_version: str
    refused: SsmSshError | None


def json_object(payload: bytes) -> dict[str, object]:
    """A payload as the JSON object that it must be; raises ProtocolError for anything else, at any depth or size."""
    try:
        value = json.loads(payload) if len(payload) <= JSON_PAYLOAD else None
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise ProtocolError("A message of the data channel does not hold the JSON object it should")
    return value


def answer(request: bytes, client_version: str) -> Answer:
    """The answer to a HandshakeRequest's payload; raises ProtocolError if that is no handshake request at all.

    SessionType Port succeeds. KMSEncryption fails: SSH is encrypted from end to end by itself, and whoever controls
    the instance could otherwise have any key used. An action that is unknown is unsupported.
    """
    asked = json_object(request)
    actions = asked.get("RequestedClientActions") or []
    if not isinstance(actions, list) or len(actions) > ACTIONS:
        raise ProtocolError("The agent's handshake request has no usable list of actions")
    refused: SsmSshError | None = None
    processed = []
    for action in actions:
        if not isinstance(action, dict):
            raise ProtocolError("The agent's handshake request has an action that is no object")
        name = printable(action.get("ActionType", ""), ACTION_NAME)
        status, error = _judge(name, action.get("ActionParameters"))
        if error is not None and refused is None:
            refused = error
        processed.append(
            {
                "ActionType": name,
                "ActionStatus": status,
                "ActionResult": None,
                "Error": error.message if error is not None else "",
            }
        )
    errors = [entry["Error"] for entry in processed if entry["Error"]]
    response = {"ClientVersion": client_version, "ProcessedClientActions": processed, "Errors": errors or None}
    return Answer(_compact(response), printable(asked.get("AgentVersion", ""), 32), refused)


def customer_message(complete: bytes) -> str:
    """The text of a HandshakeComplete's payload as one printable line, empty where there is none."""
    try:
        text = json_object(complete).get("CustomerMessage")
    except ProtocolError:
        return ""
    return printable(text) if isinstance(text, str) else ""


def closing_reason(closed: bytes) -> str:
    """The reason in a channel_closed payload as one printable line, empty where there is none."""
    try:
        text = json_object(closed).get("Output")
    except ProtocolError:
        return ""
    return printable(text) if isinstance(text, str) else ""


def open_request(token: str, request_id: str, client_id: str, client_version: str) -> str:
    """The text frame that opens the channel: the session's TokenValue and who we are."""
    return _compact(
        {
            "MessageSchemaVersion": "1.0",
            "RequestId": request_id,
            "TokenValue": token,
            "ClientId": client_id,
            "ClientVersion": client_version,
        }
    ).decode()


def _judge(name: str, parameters: object) -> tuple[int, SsmSshError | None]:
    if name == "SessionType":
        kind = parameters.get("SessionType") if isinstance(parameters, dict) else None
        if kind == "Port":
            return SUCCESS, None
        return FAILED, ProtocolError(
            f"The session is of type {printable(kind, ACTION_NAME)}, not Port",
            "The session document must be AWS-StartSSHSession, or one of the same type",
        )
    if name == "KMSEncryption":
        return FAILED, ProtocolError(
            "The agent asks for KMS encryption of the session, which is not supported",
            "SSH encrypts from end to end without it; see the KMS setting in the account's Session Manager preferences",
        )
    return UNSUPPORTED, ProtocolError(f"The agent asks for an unsupported action: {name}")


def _compact(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
