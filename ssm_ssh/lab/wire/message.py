"""AgentMessages for both sides of the lab: a small codec, deliberately independent of the client's.

Layout: amazon-ssm-agent, agent/session/contracts/agentmessage.go. If client and lab shared one codec, a mistake in it
would cancel out and no test against the lab could see it.
"""

from __future__ import annotations

import json
import random
import struct
import time
from hashlib import sha256
from typing import NamedTuple

INPUT = b"input_stream_data"
OUTPUT = b"output_stream_data"
ACKNOWLEDGE = b"acknowledge"
CHANNEL_CLOSED = b"channel_closed"
START_PUBLICATION = b"start_publication"
PAUSE_PUBLICATION = b"pause_publication"
AGENT_SESSION_STATE = b"agent_session_state"
START_SESSION = b"interactive_shell"  # the job that starts a session of any kind
TASK_COMPLETE = b"agent_task_complete"
TASK_ACKNOWLEDGE = b"agent_task_acknowledge"

P_OUTPUT, P_SIZE = 1, 3
P_HANDSHAKE_REQUEST, P_HANDSHAKE_RESPONSE, P_HANDSHAKE_COMPLETE = 5, 6, 7
P_ENC_CHALLENGE_REQUEST, P_ENC_CHALLENGE_RESPONSE = 8, 9
P_FLAG = 10
P_STDERR, P_EXIT_CODE = 11, 12

DISCONNECT_TO_PORT, TERMINATE_SESSION, CONNECT_TO_PORT_ERROR = 1, 2, 3

_HEADER = struct.Struct(">I32sIQqQ16s32sII")
HEADER_SIZE = _HEADER.size  # 120: with PayloadLength, which HeaderLength (116) does not count
_HEADER_LENGTH = 116
_TYPE = slice(4, 36)
_PAYLOAD_TYPE = slice(112, 116)
_ACK = (
    '{"AcknowledgedMessageType":"%s","AcknowledgedMessageId":"%s",'
    '"AcknowledgedMessageSequenceNumber":%d,"IsSequentialMessage":true}'
)
_ACK_NUMBER = b'"AcknowledgedMessageSequenceNumber":'


class Message(NamedTuple):
    """One decoded AgentMessage; `created` in milliseconds since the epoch."""

    kind: bytes
    created: int
    sequence: int
    flags: int
    message_id: str
    payload_type: int
    payload: bytes


def _uuid_bytes() -> bytes:
    number = random.getrandbits(128) & ~(0xF << 76) | (4 << 76)
    return (number & ~(0x3 << 62) | (0x2 << 62)).to_bytes(16, "big")


def new_id() -> str:
    """Return a random UUID (version 4)."""
    return _spell(_uuid_bytes())


def _spell(raw: bytes) -> str:
    text = raw.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def encode(
    kind: bytes, payload: bytes, *, sequence: int = 0, flags: int = 0, payload_type: int = 0, message_id: str = ""
) -> bytes:
    """Return one message as bytes. An empty `message_id` draws a new one."""
    raw = bytes.fromhex(message_id.replace("-", "")) if message_id else _uuid_bytes()
    return (
        _HEADER.pack(
            _HEADER_LENGTH,
            kind.ljust(32),
            1,
            time.time_ns() // 1_000_000,
            sequence,
            flags,
            raw[8:] + raw[:8],
            sha256(payload).digest(),
            payload_type,
            len(payload),
        )
        + payload
    )


def encode_json(kind: bytes, values: object, *, flags: int = 0, message_id: str = "") -> bytes:
    """Return one message whose payload is JSON."""
    return encode(kind, json.dumps(values, separators=(",", ":")).encode(), flags=flags, message_id=message_id)


def acknowledge(message: Message) -> bytes:
    """Return the acknowledgement of `message`, as both official programs write it (flags 3, sequence number 0)."""
    text = _ACK % (message.kind.decode("latin-1"), message.message_id, message.sequence)
    return encode(ACKNOWLEDGE, text.encode(), flags=3)


def acknowledged(payload: bytes) -> int:
    """Return the sequence number that an acknowledgement names. Raises ValueError when it names none."""
    start = payload.find(_ACK_NUMBER)
    if start >= 0:
        end = payload.find(b",", start)
        digits = payload[start + len(_ACK_NUMBER) : end]
        if end > 0 and digits.isdigit():
            return int(digits)
    values = json.loads(payload)
    if isinstance(values, dict) and isinstance(number := values.get("AcknowledgedMessageSequenceNumber"), int):
        return number
    raise ValueError("an acknowledgement without a number")


def decode(frame: bytes) -> Message:
    """Return the message in `frame`. Raises ValueError, also for what the official agent calls invalid.

    As in the official agent, the payload is what follows the header; PayloadLength and PayloadDigest are not checked.
    """
    if len(frame) < HEADER_SIZE:
        raise ValueError("shorter than a header")
    length, kind, _, created, sequence, flags, raw, _, payload_type, _ = _HEADER.unpack_from(frame)
    kind = kind.rstrip(b" \0")
    if length == 0 or length + 4 > len(frame):
        raise ValueError("HeaderLength points outside")
    if not kind or not created:
        raise ValueError("MessageType or CreatedDate is missing")
    return Message(kind, created, sequence, flags, _spell(raw[8:] + raw[:8]), payload_type, frame[length + 4 :])


def kind_of(frame: bytes) -> bytes:
    """Return the message type in `frame` without decoding the rest (empty when it is too short to be a message)."""
    return frame[_TYPE].rstrip(b" \0") if len(frame) >= HEADER_SIZE else b""


def payload_type_of(frame: bytes) -> int:
    """Return the payload type in `frame`, which `kind_of` has found to be a message."""
    return int.from_bytes(frame[_PAYLOAD_TYPE], "big")
