"""The AgentMessage codec: decodes and encodes binary WebSocket frames of the data channel.

A frame is a header of big-endian fields and a payload. Two things are unusual: MessageId holds the two 8-byte halves of
a UUID in swapped order, and HeaderLength is the offset of PayloadLength, which a receiver must respect
(amazon-ssm-agent, agent/session/contracts/agentmessage.go; session-manager-plugin, src/message/messageparser.go).
"""

from __future__ import annotations

from hashlib import sha256
from struct import Struct

from ssm_ssh.errors import ProtocolError
from ssm_ssh.startup import NamedTuple

INPUT = "input_stream_data"
OUTPUT = "output_stream_data"
ACKNOWLEDGE = "acknowledge"
CHANNEL_CLOSED = "channel_closed"
START_PUBLICATION = "start_publication"
PAUSE_PUBLICATION = "pause_publication"

STREAM = 1
ERROR = 2
SIZE = 3
HANDSHAKE_REQUEST = 5
HANDSHAKE_RESPONSE = 6
HANDSHAKE_COMPLETE = 7
ENC_CHALLENGE_REQUEST = 8
ENC_CHALLENGE_RESPONSE = 9
FLAG = 10
STDERR = 11
EXIT_CODE = 12

DISCONNECT_TO_PORT = (1).to_bytes(4, "big")
TERMINATE_SESSION = (2).to_bytes(4, "big")
CONNECT_TO_PORT_ERROR = (3).to_bytes(4, "big")

HEADER = 116
"""HeaderLength of all current messages: the offset of PayloadLength."""

_FIELDS = Struct(">I32sIQqQ16s32sII")
_LENGTH = Struct(">I")
_SEQUENCE = b'"AcknowledgedMessageSequenceNumber":'
_SHORT = _FIELDS.size

# The first 40 bytes (HeaderLength, MessageType, SchemaVersion) are constant for each message type.
_PREFIX = {name: Struct(">I32sI").pack(HEADER, name.encode().ljust(32), 1) for name in (INPUT, OUTPUT, ACKNOWLEDGE)}
_BODY = Struct(">40sQqQ16s32sII")
_NAMES = {
    name.encode().ljust(32): name
    for name in (INPUT, OUTPUT, ACKNOWLEDGE, CHANNEL_CLOSED, START_PUBLICATION, PAUSE_PUBLICATION)
}
_UNCHECKED = frozenset((START_PUBLICATION, PAUSE_PUBLICATION))

_INPUT_PREFIX = _PREFIX[INPUT]
_ACK_PREFIX = _PREFIX[ACKNOWLEDGE]
_pack = _BODY.pack

# RFC 9562, 5.4: version 4 and the variant, where they are once the halves are swapped.
_UUID_KEEP = ((1 << 128) - 1) ^ (0xC0 << 120) ^ (0xF0 << 8)
_UUID_SET = (0x80 << 120) | (0x40 << 8)


class MessageError(ProtocolError):
    """A frame is truncated, has inconsistent lengths or a wrong digest. Drop it without acknowledging it."""


class Message(NamedTuple):
    """A decoded frame. `message_id` is the 16 bytes as on the wire (halves swapped)."""

    message_type: str
    sequence: int
    payload_type: int
    payload: bytes
    message_id: bytes
    flags: int = 0
    created: int = 0


def decode(frame: bytes) -> Message:
    """Decode a received frame. Raises MessageError for a frame that must be dropped.

    The length and the SHA-256 digest of the payload are checked, but not the digest of an empty
    payload: the plugin does not either. start_publication and pause_publication are not checked at all: they are only
    advice from the gateway.
    """
    if len(frame) < _SHORT:
        raise MessageError(f"A frame of {len(frame)} bytes is too short for an AgentMessage")
    fields = _FIELDS.unpack_from(frame)
    header, raw_type, _, created, sequence, flags, message_id, digest, payload_type, length = fields
    name = _NAMES.get(raw_type) or raw_type.rstrip(b" \0").decode("ascii", "replace")
    if header != HEADER:
        if name in _UNCHECKED:
            return Message(name, sequence, payload_type, b"", message_id, flags, created)
        if header < HEADER or header + 4 > len(frame):
            raise MessageError(f"A frame has the impossible header length {header}")
        (length,) = _LENGTH.unpack_from(frame, header)
    payload = frame[header + 4 :]
    if name not in _UNCHECKED:
        if length != len(payload):
            raise MessageError(f"A frame announces {length} bytes of payload and has {len(payload)}")
        if payload and sha256(payload).digest() != digest:
            raise MessageError("A frame's payload does not match its digest")
    return Message(name, sequence, payload_type, payload, message_id, flags, created)


def encode(
    message_type: str,
    *,
    sequence: int,
    flags: int,
    message_id: bytes,
    payload_type: int,
    payload: bytes,
    created: int,
) -> bytes:
    """Encode a frame of any type. `created` is in milliseconds since the epoch, `message_id` as on the wire."""
    prefix = _PREFIX.get(message_type) or Struct(">I32sI").pack(HEADER, message_type.encode().ljust(32), 1)
    digest = sha256(payload).digest()
    return _pack(prefix, created, sequence, flags, message_id, digest, payload_type, len(payload)) + payload


def encode_stream(
    sequence: int, message_id: bytes, payload_type: int, payload: bytes | bytearray, created: int
) -> bytes:
    """Encode an input_stream_data frame, client to agent. Its flags are 0, as in all frames that the plugin sends."""
    digest = sha256(payload).digest()
    return _pack(_INPUT_PREFIX, created, sequence, 0, message_id, digest, payload_type, len(payload)) + payload


def encode_ack(sequence: int, acknowledged_id: bytes, message_id: bytes, created: int) -> bytes:
    """Encode the acknowledgement of the output_stream_data message `sequence`, byte for byte like the plugin."""
    payload = (
        '{"AcknowledgedMessageType":"output_stream_data","AcknowledgedMessageId":"'
        f'{uuid_text(acknowledged_id)}","AcknowledgedMessageSequenceNumber":{sequence},"IsSequentialMessage":true}}'
    ).encode()
    # An acknowledgement is a stream of its own: number 0, with both flags (SYN, FIN) set.
    return _pack(_ACK_PREFIX, created, 0, 3, message_id, sha256(payload).digest(), 0, len(payload)) + payload


def acknowledged_number(payload: bytes) -> int | None:
    """Return the sequence number in an acknowledge payload without parsing its JSON, or None if that fails."""
    start = payload.find(_SEQUENCE)
    if start < 0:
        return None
    start += len(_SEQUENCE)
    end = payload.find(b",", start, start + 20)
    digits = payload[start:end] if end > 0 else b""
    return int(digits) if digits.isdigit() else None


def uuid_text(message_id: bytes) -> str:
    """Return the usual text of a UUID whose halves are swapped on the wire."""
    h = message_id.hex()
    return f"{h[16:24]}-{h[24:28]}-{h[28:]}-{h[:4]}-{h[4:16]}"


def random_id(bits: int) -> bytes:
    """Return a version 4 UUID in wire order, made of 128 random bits."""
    return (bits & _UUID_KEEP | _UUID_SET).to_bytes(16, "big")
