from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssm_ssh.cli.display import columns, visible


@pytest.mark.parametrize(
    "name",
    [
        "web-1",
        "caf\xe9",
        "\u6771\u4eac",
        "\u0414\u0430\u0442\u0430",
        "\u05e9\u05dc\u05d5\u05dd",
        "e\u0301",
        "\U0001f680",
    ],
)
def test_names_are_shown_as_they_are(name: str) -> None:
    assert visible(name) == name


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\nb\tc\r", "a b c"),
        ("\x1b[2Jx", "[2Jx"),
        ("\x9b0m", "0m"),
        ("a\u202ecba\u202c", "a?cba?"),
        ("a\u2066b\u2069", "a?b?"),
        ("\u200bx\u200f", "?x?"),
        ("\ue000\uf8ff", "??"),
        ("\ud800", "?"),
        ("\u0301x", "?x"),
        ("a \u0301", "a ?"),
        ("x" + "\u0301" * 5, "x" + "\u0301" * 3 + "??"),
        ("\u3164admin", "?admin"),
        ("\u2764\ufe0f", "\u2764"),
        ("a\u2028b\xa0c", "a b c"),
        ("\u0378", "?"),
    ],
)
def test_what_a_terminal_would_obey_or_hide_is_not_shown(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_a_long_text_is_cut() -> None:
    assert visible("x" * 1000) == "x" * 299 + "\u2026"


@given(st.text())
def test_nothing_but_visible_characters_comes_out(text: str) -> None:
    out = visible(text)
    assert not {unicodedata.category(c) for c in out} & {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
    assert len(out) <= 300
    assert out == out.strip()
    assert visible(out) == out
    assert columns(out) >= 0


def test_columns_are_those_of_a_terminal() -> None:
    assert [columns(text) for text in ("abc", "\u6771\u4eac", "e\u0301", "")] == [3, 4, 1, 0]
