from __future__ import annotations

import importlib.machinery
import sys
import types
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.frames import Frame as TheirFrame
from websockets.frames import Opcode
from websockets.protocol import OPEN
from websockets.server import ServerProtocol
from websockets.uri import parse_uri

from ssm_ssh.transport import frames
from ssm_ssh.transport.frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Frame,
    Parser,
    Violation,
    close_payload,
    encode,
    mask_by_integers,
    mask_in_c,
    parse_close,
)
from tests.linear import FACTOR, growth

LIMIT = 70_000
SIZES = st.sampled_from([0, 1, 125, 126, 127, 1140, 65535, 65536]) | st.integers(0, 300)


def from_server(opcode: int, payload: bytes, *, final: bool = True) -> bytes:
    """A frame as `websockets` sends it for a server."""
    return TheirFrame(Opcode(opcode), payload, final).serialize(mask=False)


@given(sizes=st.lists(SIZES, max_size=6), opcode=st.sampled_from([BINARY, PING]))
def test_websockets_reads_what_is_encoded(sizes: list[int], opcode: int) -> None:
    payloads = [bytes([index + 65]) * (min(size, 125) if opcode == PING else size) for index, size in enumerate(sizes)]
    server = ServerProtocol(state=OPEN, max_size=LIMIT)
    server.receive_data(encode(opcode, payloads))
    assert server.parser_exc is None
    assert [(frame.opcode, frame.data) for frame in server.events_received()] == [(opcode, one) for one in payloads]


def test_each_frame_has_a_mask_of_its_own() -> None:
    stream = encode(BINARY, [bytes(8)] * 1000)
    masks = {stream[start + 2 : start + 6] for start in range(0, len(stream), 14)}
    assert len(masks) > 990


@given(
    sent=st.lists(st.tuples(st.sampled_from([BINARY, TEXT, PING, PONG, CLOSE]), SIZES, st.booleans()), max_size=8),
    cuts=st.lists(st.integers(0, 400_000), max_size=10),
)
def test_what_websockets_sends_is_parsed_however_it_is_cut(sent: list[tuple[int, int, bool]], cuts: list[int]) -> None:
    expected = [
        Frame(opcode, final or opcode >= CLOSE, bytes([index]) * (min(size, 125) if opcode >= CLOSE else size))
        for index, (opcode, size, final) in enumerate(sent)
    ]
    stream = b"".join(from_server(one.opcode, one.payload, final=one.final) for one in expected)
    places = sorted({0, len(stream), *(min(cut, len(stream)) for cut in cuts)})
    parser = Parser(LIMIT)
    parsed = [frame for start, end in pairwise(places) for frame in parser.feed(stream[start:end])]
    assert parser.violation is None
    assert parsed == expected


@given(st.lists(st.binary(max_size=60), max_size=8))
def test_of_any_bytes_websockets_takes_the_same_frames_or_fewer(pieces: list[bytes]) -> None:
    theirs = ClientProtocol(parse_uri("ws://example/"), state=OPEN, max_size=LIMIT)
    parser = Parser(LIMIT)
    ours: list[Frame] = []
    for piece in pieces:
        ours += parser.feed(piece)
        theirs.receive_data(piece)
    # Fewer: fragments, text and close frames are judged by the parser there, and by who puts messages together here.
    arrived = [(one.opcode, one.fin, one.data) for one in theirs.events_received() if isinstance(one, TheirFrame)]
    assert arrived == ours[: len(arrived)]


@pytest.mark.parametrize(
    ("start", "code"),
    [
        pytest.param(b"\x82\x7f" + LIMIT.to_bytes(7, "big") + b"\xff", 1009, id="too large"),
        pytest.param(b"\x82\x7f" + b"\xff" * 8, 1009, id="length with the highest bit"),
        pytest.param(b"\x82\x80", 1002, id="masked"),
        pytest.param(b"\xc2\x00", 1002, id="reserved bit"),
        pytest.param(b"\x83\x00", 1002, id="unknown opcode"),
        pytest.param(b"\x09\x00", 1002, id="fragmented ping"),
        pytest.param(b"\x89\x7e\x00\x7e", 1002, id="long ping"),
    ],
)
def test_a_broken_rule_is_found_in_the_head_and_ends_the_parsing(start: bytes, code: int) -> None:
    parser = Parser(LIMIT)
    assert parser.feed(from_server(BINARY, b"good") + start) == [Frame(BINARY, True, b"good")]
    assert parser.violation is not None
    assert parser.violation.code == code
    assert parser.feed(from_server(BINARY, b"more")) == []


def test_a_frame_in_the_smallest_pieces_costs_no_more_than_its_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    parser = Parser(LIMIT)
    copied = 0

    def count(data: bytearray) -> bytes:
        nonlocal copied
        copied += len(data)
        return bytes.__new__(bytes, data)

    monkeypatch.setattr(frames, "bytes", count, raising=False)
    stream = from_server(BINARY, b"x" * LIMIT)
    parsed = [frame for byte in stream for frame in parser.feed(byte.to_bytes(1, "big"))]
    assert parsed == [Frame(BINARY, True, b"x" * LIMIT)]
    assert copied < 2 * LIMIT


@pytest.mark.parametrize(
    ("payload", "parsed"),
    [
        (b"", (1005, "")),
        (b"\x03\xe8", (1000, "")),
        (b"\x03\xe8Bye", (1000, "Bye")),
        (b"\x13\x87\x1b[31mred", (4999, "[31mred")),
    ],
)
def test_a_close_frame_has_a_code_and_a_printable_reason(payload: bytes, parsed: tuple[int, str]) -> None:
    assert parse_close(payload) == parsed


@pytest.mark.parametrize("payload", [b"\x03", b"\x03\xed", b"\x00\x00", b"\x13\x88", b"\x03\xe8\xff"])
def test_a_close_frame_that_cannot_be_breaks_a_rule(payload: bytes) -> None:
    assert isinstance(parse_close(payload), Violation)


@given(data=st.binary(max_size=300), mask=st.binary(min_size=4, max_size=4))
def test_both_ways_of_masking_agree(data: bytes, mask: bytes) -> None:
    in_c = mask_in_c() or mask_by_integers
    expected = bytes(byte ^ mask[index % 4] for index, byte in enumerate(data))
    assert mask_by_integers(data, mask) == in_c(data, mask) == expected


def test_without_the_extension_module_masking_is_done_in_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.machinery.PathFinder, "find_spec", lambda *_: None)
    assert mask_in_c() is None


@pytest.mark.parametrize(("size", "head"), [(125, 2), (126, 4), (65535, 4), (65536, 10)])
def test_the_length_takes_as_few_bytes_as_it_can(size: int, head: int) -> None:
    encoded = encode(BINARY, [bytes(size)])
    assert len(encoded) == head + 4 + size
    assert len(encode(BINARY, [bytes(size)] * 2)) == 2 * len(encoded)


def test_a_frame_is_incomplete_until_its_last_byte() -> None:
    parser = Parser(LIMIT)
    assert not parser.incomplete
    for byte in from_server(BINARY, b"xy")[:-1]:
        parser.feed(bytes((byte,)))
        assert parser.incomplete
    assert parser.feed(b"y") == [Frame(BINARY, True, b"xy")]
    assert not parser.incomplete


@pytest.mark.parametrize("code", [1000, 1002, 1009, 4999])
def test_a_close_payload_is_parsed_to_the_same_code(code: int) -> None:
    assert parse_close(close_payload(code)) == (code, "")


@pytest.mark.parametrize("attributes", [{}, {"apply_mask": 1}, {"apply_mask": lambda data, mask: data}])
def test_an_extension_module_that_does_not_work_is_not_used(
    attributes: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    module = types.ModuleType("speedups")
    vars(module).update(attributes)
    monkeypatch.setattr(importlib.machinery.ExtensionFileLoader, "create_module", lambda *_: module)
    monkeypatch.setattr(importlib.machinery.ExtensionFileLoader, "exec_module", lambda *_: None)
    assert mask_in_c() is None


@pytest.mark.parametrize("suffix", [importlib.machinery.EXTENSION_SUFFIXES[0], ".py"])
def test_an_extension_module_that_cannot_be_loaded_is_not_used(
    suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = tmp_path / "websockets" / f"speedups{suffix}"
    module.parent.mkdir()
    (module.parent / "__init__.py").touch()
    module.write_text("apply_mask = 1\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert mask_in_c() is None


def test_continuations_are_frames_too() -> None:
    assert Parser(LIMIT).feed(from_server(CONTINUATION, b"x")) == [Frame(CONTINUATION, True, b"x")]


def test_a_frame_in_single_bytes_costs_in_proportion_to_its_length() -> None:
    def drip(size: int) -> None:
        parser = Parser(1 << 20)
        data = bytes((0x82, 127)) + size.to_bytes(8, "big") + bytes(size)
        assert [frame for byte in data for frame in parser.feed(bytes((byte,)))]

    assert growth(drip, 30_000) < 2 * FACTOR


def test_small_frames_at_once_cost_in_proportion_to_their_number() -> None:
    def burst(size: int) -> None:
        parser = Parser(1 << 20)
        assert len(parser.feed(bytes((0x82, 1, 0)) * size + bytes((0x82,)))) == size

    assert growth(burst, 20_000) < 2 * FACTOR
