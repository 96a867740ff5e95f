"""The lab's own codec, against the layout of the official sources."""

from __future__ import annotations

import json
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssm_ssh.lab.wire import message as am
from tests.channel.vectors import FILES, binary

MESSAGE_ID = "01234567-89ab-4def-8123-456789abcdef"


def test_the_layout() -> None:
    frame = am.encode(am.INPUT, b"ab", sequence=7, flags=1, payload_type=10, message_id=MESSAGE_ID)
    assert frame[:4] == b"\0\0\0\x74"
    assert frame[4:36] == b"input_stream_data".ljust(32)
    assert frame[36:40] == b"\0\0\0\x01"
    assert frame[48:56] == (7).to_bytes(8, "big")
    assert frame[56:64] == (1).to_bytes(8, "big")
    assert frame[64:80].hex() == "8123456789abcdef" + "0123456789ab4def"
    assert frame[80:112] == sha256(b"ab").digest()
    assert frame[112:116] == (10).to_bytes(4, "big")
    assert frame[116:] == b"\0\0\0\x02ab"


@given(st.binary(max_size=2000), st.integers(0, 2**63 - 1), st.integers(0, 2**32 - 1))
def test_what_is_encoded_is_decoded(payload: bytes, sequence: int, payload_type: int) -> None:
    frame = am.encode(am.OUTPUT, payload, sequence=sequence, payload_type=payload_type, message_id=MESSAGE_ID)
    message = am.decode(frame)
    assert message._replace(created=0) == (am.OUTPUT, 0, sequence, 0, MESSAGE_ID, payload_type, payload)
    assert (am.kind_of(frame), am.payload_type_of(frame)) == (am.OUTPUT, payload_type)
    assert am.acknowledged(am.decode(am.acknowledge(message)).payload) == sequence


@given(st.binary(max_size=300))
def test_nonsense_is_a_value_error(data: bytes) -> None:
    try:
        am.decode(data)
    except ValueError:
        pass
    am.kind_of(data)


@pytest.mark.parametrize(
    ("payload", "number"),
    [
        (b'{"AcknowledgedMessageSequenceNumber":5}', 5),
        (b'{"AcknowledgedMessageSequenceNumber": 5, "x": 1}', 5),
        (b'{"x":1,"AcknowledgedMessageSequenceNumber":12,"y":2}', 12),
    ],
)
def test_an_acknowledgement_is_read_however_it_is_spaced(payload: bytes, number: int) -> None:
    assert am.acknowledged(payload) == number


@pytest.mark.parametrize("payload", [b"[]", b"{}", b'{"AcknowledgedMessageSequenceNumber":"5"}'])
def test_an_acknowledgement_without_a_number_is_a_value_error(payload: bytes) -> None:
    with pytest.raises(ValueError, match="without a number"):
        am.acknowledged(payload)


def test_ids_are_uuids_of_version_4() -> None:
    one = am.new_id()
    assert [len(part) for part in one.split("-")] == [8, 4, 4, 4, 12]
    assert one[14] == "4"
    assert one[19] in "89ab"


@pytest.mark.parametrize("name", FILES)
def test_recorded_frames_of_the_official_programs(name: str) -> None:
    for row in binary(name):
        fields = row.fields
        message = am.decode(row.frame)
        assert message.kind.decode() == fields["message_type"]
        assert message.message_id == fields["message_id"]
        again = am.encode(
            message.kind,
            message.payload,
            sequence=message.sequence,
            flags=message.flags,
            payload_type=message.payload_type,
            message_id=message.message_id,
        )
        # All but the creation date.
        assert again[:40] + again[48:] == row.frame[:40] + row.frame[48:]


def test_the_agents_acknowledgements_are_the_official_ones() -> None:
    rows = {row.fields["message_id"]: row for row in binary("ssh")}
    acks = [row for row in rows.values() if (row.sender, row.fields["message_type"]) == ("agent", "acknowledge")]
    assert acks
    for row in acks:
        content = json.loads(am.decode(row.frame).payload)
        ours = am.decode(am.acknowledge(am.decode(rows[content["AcknowledgedMessageId"]].frame)))
        assert ours.payload == am.decode(row.frame).payload
        assert (ours.flags, ours.sequence, ours.payload_type) == (3, 0, 0)
