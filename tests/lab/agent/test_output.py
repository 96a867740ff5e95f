"""What the agent makes of output: whole characters, and damage where it is not UTF-8."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssm_ssh.lab.agent.output import Characters


@given(st.text(st.characters(codec="utf-8", exclude_characters="\ufffd")), st.lists(st.integers(1, 7)))
def test_text_passes_whole_in_whatever_pieces_it_comes(text: str, sizes: list[int]) -> None:
    characters = Characters()
    data = text.encode()
    passed = b""
    for size in [*sizes, len(data)]:
        piece = characters.feed(data[:size])
        data = data[size:]
        piece.decode()  # no character is torn apart
        passed += piece
    assert passed == text.encode()


@given(st.binary())
def test_at_most_three_bytes_are_held_back(data: bytes) -> None:
    passed = Characters().feed(data)
    assert "\ufffd".encode() in data or (data.startswith(passed) and len(data) - len(passed) <= 3)


@pytest.mark.parametrize(
    ("data", "passed"),
    [
        (b"abc\xff", b"abc"),  # what may be the beginning of a character is held, and lost at the end
        (b"\xff\n", b""),
        (b"\xffabc", b"\xffabc"),  # not within the last three bytes: passed as it is
        ("\ufffdabc".encode(), b"\xefabc"),  # taken for an invalid byte, though three bytes long
        ("\ufffd".encode(), b""),
        (b"\xed\xa0\x80abc", b"\xed\xa0\x80abc"),  # a surrogate is three invalid bytes
        (b"\xc3", b""),
    ],
)
def test_what_is_not_utf8_is_damaged_or_held(data: bytes, passed: bytes) -> None:
    assert Characters().feed(data) == passed


def test_a_prefix_comes_behind_what_is_held() -> None:
    characters = Characters()
    assert characters.feed(b"a\xc3") == b"a"
    characters.insert(b"O:")
    assert characters.feed(b"bc") == b"\xc3O:bc"
