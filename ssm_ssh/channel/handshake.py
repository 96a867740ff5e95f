"""The handshake at the start of a session: the agent's request in, the client's response out, both JSON.

The agent lists actions. The client answers each with a status, and the agent cancels the session unless all of them
succeeded (amazon-ssm-agent, agent/session/datachannel/datachannel.go; plugin, src/datachannel/streaming.go). Port and
non-interactive sessions always have a handshake; shells and interactive commands have none unless the account asks
for KMS encryption.
"""

from __future__ import annotations

import json

from ssm_ssh.channel import message
from ssm_ssh.channel.limits import ACTION_NAME, ACTIONS, EXIT_CODE_DIGITS, JSON_PAYLOAD
from ssm_ssh.errors import AgentTooOld, ProtocolError
from ssm_ssh.startup import TYPE_CHECKING
from ssm_ssh.text import printable

if TYPE_CHECKING:
    from collections.abc import Collection

    from ssm_ssh.channel.events import KeyRequest
    from ssm_ssh.errors import SsmSshError

PORT = "Port"
SHELL = "Standard_Stream"
INTERACTIVE = "InteractiveCommands"
NONINTERACTIVE = "NonInteractiveCommands"

KMS = "KMSEncryption"

SUCCESS = 1
FAILED = 2
UNSUPPORTED = 3

_HINTS = {PORT: "The session document must be AWS-StartSSHSession, or one of the same type"}


class Reply:
    """The client's side of the handshake: the HandshakeResponse, what the agent asked for, and why it is refused."""

    __slots__ = ("agent_version", "properties", "refused", "response", "session_type")

    def __init__(
        self,
        response: bytes,
        agent_version: str,
        session_type: str,
        properties: dict[str, object],
        refused: SsmSshError | None,
    ) -> None:
        """`refused` is None where the response accepts everything; `properties` are those of the session type."""
        self.response = response
        self.agent_version = agent_version
        self.session_type = session_type
        self.properties = properties
        self.refused = refused


def json_object(payload: bytes) -> dict[str, object]:
    """Return a payload that must be a JSON object. Raises ProtocolError for anything else, at any depth or size."""
    try:
        value = json.loads(payload) if len(payload) <= JSON_PAYLOAD else None
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise ProtocolError("A message of the data channel does not hold the JSON object it should")
    return value


def requested_key(request: bytes) -> KeyRequest | None:
    """Return the data key that a HandshakeRequest's payload asks for, None for none. Raises ProtocolError."""
    actions = json_object(request).get("RequestedClientActions")
    for action in actions if isinstance(actions, list) else ():
        if isinstance(action, dict) and action.get("ActionType") == KMS:
            from ssm_ssh.channel.encryption import key_request  # most sessions are not encrypted by KMS

            return key_request(action.get("ActionParameters"))
    return None


def answer(
    request: bytes,
    client_version: str,
    allowed: Collection[str] = (PORT,),
    key: dict[str, object] | SsmSshError | None = None,
    *,
    least_agent: str = "",
) -> Reply:
    """Return the reply to a HandshakeRequest's payload. Raises ProtocolError if it is no handshake request at all.

    `allowed`: the session types that succeed. `key`: the result of KMSEncryption, or why it fails; None where it is
    not supported. `least_agent`: older agents are refused, before they begin. An unknown action is unsupported.
    """
    fields = json_object(request)
    actions = fields.get("RequestedClientActions") or []
    if not isinstance(actions, list) or len(actions) > ACTIONS:
        raise ProtocolError("The agent's handshake request has no usable list of actions")
    refused: SsmSshError | None = None
    session_type, properties = "", dict[str, object]()
    processed = []
    version = printable(fields.get("AgentVersion", ""), 32)
    for action in actions:
        if not isinstance(action, dict):
            raise ProtocolError("The agent's handshake request has an action that is no object")
        name = printable(action.get("ActionType", ""), ACTION_NAME)
        parameters = action.get("ActionParameters")
        status, error = _judge(name, parameters, allowed, key)
        if name == "SessionType" and error is None and not at_least(version, least_agent):
            status, error = FAILED, AgentTooOld(f"SSM Agent {version or 'of an unknown version'} is too old")
        if name == "SessionType" and isinstance(parameters, dict) and error is None:
            session_type, properties = parameters["SessionType"], _object(parameters.get("Properties"))
        if error is not None and refused is None:
            refused = error
        processed.append(
            {
                "ActionType": name,
                "ActionStatus": status,
                "ActionResult": key if name == KMS and error is None else None,
                "Error": error.message if error is not None else "",
            }
        )
    errors = [entry["Error"] for entry in processed if entry["Error"]]
    response = {"ClientVersion": client_version, "ProcessedClientActions": processed, "Errors": errors or None}
    return Reply(_compact(response), version, session_type, properties, refused)


def at_least(version: str, least: str) -> bool:
    """Return whether an agent's version is `least` or newer; a part that is no number counts as 0."""
    parts, wanted = ([int(part) if part.isdigit() else 0 for part in text.split(".")] for text in (version, least))
    length = max(len(parts), len(wanted))
    return parts + [0] * (length - len(parts)) >= wanted + [0] * (length - len(wanted))


def customer_message(complete: bytes) -> str:
    """Return the text of a HandshakeComplete's payload as one printable line, "" if there is none."""
    try:
        text = json_object(complete).get("CustomerMessage")
    except ProtocolError:
        return ""
    return printable(text) if isinstance(text, str) else ""


def closing_reason(closed: bytes) -> str:
    """Return the reason in a channel_closed payload as one printable line, "" if there is none."""
    try:
        text = json_object(closed).get("Output")
    except ProtocolError:
        return ""
    return printable(text) if isinstance(text, str) else ""


def acknowledged_number(payload: bytes) -> int | None:
    """Return the sequence number that an acknowledge payload names, however its JSON is written, None for none."""
    number = message.acknowledged_number(payload)
    if number is not None:
        return number
    try:
        value = json_object(payload).get("AcknowledgedMessageSequenceNumber")
    except ProtocolError:
        return None
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def exit_code(payload: bytes) -> int | None:
    """Return the exit code of a command, None if the payload holds none. -1: a signal ended it (amazon-ssm-agent).

    Agents send `EXIT_CODE: 3`; the bare number is accepted too.
    """
    number = payload.removeprefix(b"EXIT_CODE:").strip()
    digits = number.removeprefix(b"-")
    return int(number) if digits.isdigit() and len(digits) <= EXIT_CODE_DIGITS else None


def size_payload(columns: int, rows: int) -> bytes:
    """Return the payload that tells a pty on the instance how large the terminal is."""
    return _compact({"cols": columns, "rows": rows})


def open_request(token: str, request_id: str, client_id: str, client_version: str) -> str:
    """Return the text frame that opens the channel: the session's TokenValue and the client's identity."""
    return _compact(
        {
            "MessageSchemaVersion": "1.0",
            "RequestId": request_id,
            "TokenValue": token,
            "ClientId": client_id,
            "ClientVersion": client_version,
        }
    ).decode()


def _judge(
    name: str, parameters: object, allowed: Collection[str], key: dict[str, object] | SsmSshError | None
) -> tuple[int, SsmSshError | None]:
    if name == "SessionType":
        kind = parameters.get("SessionType") if isinstance(parameters, dict) else None
        if isinstance(kind, str) and kind in allowed:
            return SUCCESS, None
        wanted = " or ".join(allowed)
        hint = _HINTS.get(wanted, f"Use a session document of type {wanted}")
        return FAILED, ProtocolError(f"The session is of type {printable(kind, ACTION_NAME)}, not {wanted}", hint)
    if name == KMS:
        if isinstance(key, dict):
            return SUCCESS, None
        return FAILED, key or ProtocolError(
            "The agent asks for KMS encryption of the session, which is not supported",
            "SSH encrypts from end to end without it; see the KMS setting in the account's Session Manager preferences",
        )
    return UNSUPPORTED, ProtocolError(f"The agent asks for an unsupported action: {name}")


def _object(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def _compact(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
