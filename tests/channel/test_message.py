from __future__ import annotations

import json
from hashlib import sha256
from random import Random
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssm_ssh.channel.message import (
    ACKNOWLEDGE,
    INPUT,
    OUTPUT,
    PAUSE_PUBLICATION,
    START_PUBLICATION,
    MessageError,
    acknowledged_number,
    decode,
    encode,
    encode_ack,
    encode_stream,
    random_id,
    uuid_text,
)
from tests.channel.vectors import FILES, Recorded, binary

ID = bytes(range(16))
RECORDED = [row for name in FILES for row in binary(name)]


def frame(payload: bytes = b"hello", message_type: str = OUTPUT) -> bytearray:
    return bytearray(
        encode(message_type, sequence=7, flags=0, message_id=ID, payload_type=1, payload=payload, created=9)
    )


def wire_id(text: str) -> bytes:
    identity = UUID(text).bytes
    return identity[8:] + identity[:8]


@pytest.mark.parametrize("row", RECORDED)
def test_encoding_gives_the_recorded_bytes(row: Recorded) -> None:
    fields = row.fields
    assert row.frame == encode(
        fields["message_type"],
        sequence=fields["sequence_number"],
        flags=fields["flags"],
        message_id=wire_id(fields["message_id"]),
        payload_type=fields["payload_type"],
        payload=row.frame[120:],
        created=fields["created_date"],
    )


@pytest.mark.parametrize("row", RECORDED)
def test_decoding_gives_the_recorded_fields(row: Recorded) -> None:
    message, fields = decode(row.frame), row.fields
    assert message.message_type == fields["message_type"]
    assert message.sequence == fields["sequence_number"]
    assert message.flags == fields["flags"]
    assert message.created == fields["created_date"]
    assert message.payload_type == fields["payload_type"]
    assert message.payload == row.frame[120:]
    assert uuid_text(message.message_id) == fields["message_id"]


@pytest.mark.parametrize("row", [row for row in RECORDED if row.sender == "client"])
def test_the_fast_encoders_give_the_recorded_bytes_of_the_client(row: Recorded) -> None:
    fields, payload = row.fields, row.frame[120:]
    message_id, created = wire_id(fields["message_id"]), fields["created_date"]
    if fields["message_type"] == INPUT:
        encoded = encode_stream(fields["sequence_number"], message_id, fields["payload_type"], payload, created)
    else:
        content = json.loads(payload)
        number = content["AcknowledgedMessageSequenceNumber"]
        encoded = encode_ack(number, wire_id(content["AcknowledgedMessageId"]), message_id, created)
    assert encoded == row.frame


@pytest.mark.parametrize("row", [row for row in RECORDED if row.fields["message_type"] == ACKNOWLEDGE])
def test_the_number_of_a_recorded_acknowledgement_is_found(row: Recorded) -> None:
    assert acknowledged_number(row.frame[120:]) == json.loads(row.frame[120:])["AcknowledgedMessageSequenceNumber"]


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{}",
        b'{"AcknowledgedMessageSequenceNumber": 3,"IsSequentialMessage":true}',
        b'{"AcknowledgedMessageSequenceNumber":-3,"IsSequentialMessage":true}',
        b'{"AcknowledgedMessageSequenceNumber":1_0,"a":1}',
        b'{"AcknowledgedMessageSequenceNumber":3}',
        b'{"AcknowledgedMessageSequenceNumber":,',
        b'{"AcknowledgedMessageSequenceNumber":' + b"9" * 5000 + b",",
    ],
)
def test_an_unusual_acknowledgement_is_left_to_the_json_parser(payload: bytes) -> None:
    assert acknowledged_number(payload) is None


def test_a_random_id_is_a_version_4_uuid() -> None:
    rng = Random(1)
    for bits in (0, (1 << 128) - 1, *(rng.getrandbits(128) for _ in range(50))):
        identity = UUID(uuid_text(random_id(bits)))
        assert identity.version == 4
        assert identity.variant == "specified in RFC 4122"
    assert random_id(5) != random_id(6)


@pytest.mark.parametrize("length", [0, 1, 119])
def test_a_frame_shorter_than_the_header_is_broken(length: int) -> None:
    with pytest.raises(MessageError, match="too short"):
        decode(bytes(length))


@pytest.mark.parametrize("header", [0, 4, 115, 122, 2**31, 2**32 - 1])
def test_a_header_length_out_of_bounds_is_broken(header: int) -> None:
    broken = frame()
    broken[0:4] = header.to_bytes(4, "big")
    with pytest.raises(MessageError, match="header length"):
        decode(bytes(broken))


def test_a_longer_header_is_honoured() -> None:
    usual = bytes(frame())
    longer = (120).to_bytes(4, "big") + usual[4:116] + b"NEW!" + usual[116:]
    assert decode(longer).payload == b"hello"


@pytest.mark.parametrize("length", [0, 4, 6, 2**32 - 1])
def test_a_payload_of_another_length_than_announced_is_broken(length: int) -> None:
    broken = frame()
    broken[116:120] = length.to_bytes(4, "big")
    with pytest.raises(MessageError, match="payload"):
        decode(bytes(broken))


def test_a_damaged_payload_is_broken() -> None:
    broken = frame()
    broken[-1] ^= 1
    with pytest.raises(MessageError, match="digest"):
        decode(bytes(broken))


def test_the_digest_of_an_empty_payload_is_not_checked() -> None:
    unusual = frame(b"")
    unusual[80:112] = bytes(32)
    assert decode(bytes(unusual)).payload == b""


@pytest.mark.parametrize("kind", [START_PUBLICATION, PAUSE_PUBLICATION])
@pytest.mark.parametrize(("start", "end"), [(0, 4), (80, 112), (116, 120)])
def test_nothing_of_a_publication_message_is_checked(kind: str, start: int, end: int) -> None:
    odd = frame(b"x", kind)
    odd[start:end] = b"\xff" * (end - start)
    assert decode(bytes(odd)).message_type == kind


@pytest.mark.parametrize("padding", [b"\0", b" "])
def test_a_message_type_may_be_padded_with_spaces_or_nul(padding: bytes) -> None:
    padded = frame()
    padded[4:36] = OUTPUT.encode().ljust(32, padding)
    assert decode(bytes(padded)).message_type == OUTPUT


def test_a_message_type_that_is_no_ascii_is_some_other_type() -> None:
    odd = frame()
    odd[4:36] = b"\xff" * 32
    assert decode(bytes(odd)).message_type not in (INPUT, OUTPUT, ACKNOWLEDGE)


def test_numbers_are_signed() -> None:
    negative = frame()
    negative[48:56] = b"\xff" * 8
    assert decode(bytes(negative)).sequence == -1


@given(st.binary(max_size=2000), st.integers(-(2**63), 2**63 - 1), st.integers(0, 2**64 - 1), st.integers(0, 2**32 - 1))
def test_what_is_encoded_decodes_to_the_same(payload: bytes, sequence: int, flags: int, payload_type: int) -> None:
    data = encode(
        "some_other_type",
        sequence=sequence,
        flags=flags,
        message_id=ID,
        payload_type=payload_type,
        payload=payload,
        created=5,
    )
    assert decode(data) == ("some_other_type", sequence, payload_type, payload, ID, flags, 5)
    assert data[80:112] == sha256(payload).digest()


@given(st.binary(max_size=400))
def test_arbitrary_bytes_decode_or_are_broken(data: bytes) -> None:
    try:
        decode(data)
    except MessageError:
        pass
