"""smux frames: what the official programs sent, and any stream in any pieces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssm_ssh.errors import ProtocolError
from ssm_ssh.mux.frames import FIN, MOST_PAYLOAD, NOP, PSH, SYN, Decoder, Frame, encode, encode_data

FRAMES = st.lists(
    st.one_of(
        st.builds(Frame, st.sampled_from((SYN, FIN, NOP)), st.integers(0, (1 << 32) - 1), st.just(b"")),
        st.builds(Frame, st.just(PSH), st.integers(0, (1 << 32) - 1), st.binary(min_size=1, max_size=300)),
    ),
    max_size=20,
)


def joined(frames: list[Frame]) -> list[Frame]:
    """The frames with neighbouring parts of data of one stream as one."""
    out: list[Frame] = []
    for frame in frames:
        if out and frame.command == PSH == out[-1].command and frame.stream == out[-1].stream:
            out[-1] = Frame(PSH, frame.stream, out[-1].payload + frame.payload)
        else:
            out.append(frame)
    return out


def test_frames_are_those_of_the_official_programs() -> None:
    assert encode(SYN, 3).hex() == "0100000003000000"
    assert encode(FIN, 5).hex() == "0101000005000000"
    assert encode_data(3, b"one\n").hex() == "01020400030000006f6e650a"


def test_nothing_makes_no_frame() -> None:
    assert encode_data(3, b"") == b""
    assert Decoder().feed(b"") == []
    assert Decoder().feed(encode_data(3, b"x")[:2] + bytes(6)) == []  # a PSH frame without a payload says nothing


def test_many_bytes_make_several_frames() -> None:
    data = bytes(range(256)) * 300
    frames = encode_data(7, data)
    assert len(frames) == len(data) + 8 * 3
    assert joined(Decoder().feed(frames)) == [Frame(PSH, 7, data)]
    assert int.from_bytes(frames[2:4], "little") == MOST_PAYLOAD


@given(FRAMES, st.lists(st.integers(1, 400), min_size=1, max_size=10))
def test_a_stream_in_any_pieces_gives_the_same_frames(frames: list[Frame], sizes: list[int]) -> None:
    stream = b"".join(
        encode_data(frame.stream, frame.payload) if frame.command == PSH else encode(frame.command, frame.stream)
        for frame in frames
    )
    decoder, decoded, at, turn = Decoder(), list[Frame](), 0, 0
    while at < len(stream):
        size = sizes[turn % len(sizes)]
        decoded += decoder.feed(stream[at : at + size])
        assert len(decoder._partial) < 8
        at, turn = at + size, turn + 1
    assert joined(decoded) == joined(frames)


@pytest.mark.parametrize(
    "header",
    [
        pytest.param("0200000003000000", id="version 2"),
        pytest.param("0000000003000000", id="version 0"),
        pytest.param("0104000003000000", id="UPD, a command of version 2"),
        pytest.param("01ff000003000000", id="an unknown command"),
        pytest.param("0101010003000000", id="a FIN with a payload"),
    ],
)
def test_anything_else_is_refused(header: str) -> None:
    with pytest.raises(ProtocolError, match="smux"):
        Decoder().feed(bytes.fromhex(header))
