from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssm_ssh.errors import ProtocolError
from ssm_ssh.transport.http import MAX_HEAD, head_length, parse_head
from tests.linear import FACTOR, growth

HEAD = b"HTTP/1.1 403 Not Today\r\nX-One: 1\r\nx-one:  two \r\nContent-Length: 0\r\n\r\n"


def test_a_head_is_complete_with_its_empty_line() -> None:
    for size in range(len(HEAD)):
        assert head_length(HEAD[:size]) == 0
    assert head_length(HEAD + b"body") == len(HEAD)


def test_bare_line_feeds_end_lines_too() -> None:
    data = b"HTTP/1.0 200 OK\nA: b\n\nrest"
    assert head_length(data) == len(data) - 4
    assert parse_head(data[:-4]).headers == [("a", "b")]


def test_status_reason_and_headers_are_read() -> None:
    head = parse_head(HEAD)
    assert (head.status, head.reason) == (403, "Not Today")
    assert head.get_all("x-one") == ["1", "two"]
    assert head.get_all("none") == []


@pytest.mark.parametrize("line", [b"HTTP/1.1 200", b"HTTP/1.1 200 "])
def test_the_reason_may_be_missing(line: bytes) -> None:
    assert parse_head(line + b"\r\n\r\n").reason == ""


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-OpenSSH_9.9\r\n\r\n",
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 99 Low\r\n\r\n",
        b"HTTP/1.1 2000 High\r\n\r\n",
        b"HTTP/1.1 +20 Sign\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n folded: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nspace : x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n: x\r\n\r\n",
    ],
)
def test_a_malformed_head_is_a_protocol_error(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        parse_head(data)


def test_what_is_no_http_is_seen_at_the_first_bytes() -> None:
    with pytest.raises(ProtocolError, match="not HTTP"):
        head_length(b"SSH")


def test_a_head_of_the_greatest_length_is_taken_and_a_longer_one_refused() -> None:
    start = b"HTTP/1.1 200 OK\r\nX: "
    longest = start + b"x" * (MAX_HEAD - len(start) - 4) + b"\r\n\r\n"
    assert head_length(longest + b"more") == MAX_HEAD
    with pytest.raises(ProtocolError, match="longer"):
        head_length(longest[:-4] + b"x\r\n\r\n")
    with pytest.raises(ProtocolError, match="longer"):
        head_length(longest[:-4] + b"xxxx")


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_a_head_incomplete_or_a_protocol_error(data: bytes) -> None:
    try:
        length = head_length(b"HTTP/1.1 " + data)
        if length:
            parse_head((b"HTTP/1.1 " + data)[:length])
    except ProtocolError:
        pass


@given(st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b"x", b"a: b"]), max_size=30))
def test_a_head_ends_at_the_same_place_however_it_comes(pieces: list[bytes]) -> None:
    data, searched, length = b"HTTP/1.1 200 OK", 0, 0
    for piece in pieces:
        data += piece
        length = head_length(data, searched)
        assert length == head_length(data)
        if length:
            break
        searched = len(data)


def test_a_head_in_single_bytes_costs_in_proportion_to_its_length() -> None:
    def drip(size: int) -> None:
        data, searched = bytearray(b"HTTP/1.1 200 OK\r\n"), 0
        for _ in range(size):
            data += b"x"
            assert not head_length(data, searched)
            searched = len(data)

    assert growth(drip, MAX_HEAD // 5) < 2 * FACTOR


ALPHABET = st.sampled_from(
    [b"\n", b"\r", b"\r\n", b" ", b"HTTP/1.1", b"HTTP/1.0", b"200", b"99", b"600", b"a", b":", b"\0"]
)


@given(st.lists(ALPHABET, max_size=12).map(b"".join), st.integers(0, 12))
def test_the_end_of_a_head_is_that_of_the_grammar(data: bytes, searched: int) -> None:
    data = b"HTTP/" + data
    end = re.search(rb"\r?\n\r?\n", data)
    assert head_length(data) == (end.end() if end else 0)
    if not end or end.end() > searched:  # an earlier call with `searched` bytes has found none
        assert head_length(data, min(searched, len(data))) == (end.end() if end else 0)


@given(st.lists(ALPHABET, max_size=6).map(b"".join))
def test_a_status_line_is_that_of_the_grammar(line: bytes) -> None:
    line = line.replace(b"\n", b"")
    match = re.fullmatch(rb"HTTP/1\.[01] ([1-5][0-9]{2})(?: ([^\r\n]*))?", line)
    if match:
        head = parse_head(line + b"\n\n")
        assert (head.status, head.reason) == (int(match[1]), (match[2] or b"").decode("latin-1"))
    elif not line.endswith(b"\r"):  # a carriage return there belongs to the line's end
        with pytest.raises(ProtocolError):
            parse_head(line + b"\n\n")
