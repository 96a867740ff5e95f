from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssm_ssh.cli.table import table
from ssm_ssh.text import printable

HEADS = ("NAME", "ID", "TEXT")


def lines(*rows: tuple[str, str, str], width: int | None = None) -> list[str]:
    return table(HEADS, rows, width=width, keep=frozenset({1}))


def test_columns_are_as_wide_as_they_need_be() -> None:
    assert lines(("web", "i-1", "a b"), ("longer-name", "i-22", "")) == [
        "NAME         ID    TEXT",
        "web          i-1   a b",
        "longer-name  i-22",
    ]


def test_the_widest_are_cut_first_and_an_id_never() -> None:
    assert lines(("n" * 30, "i-0123456789abcdef0", "t" * 20), width=45) == [
        "NAME         ID                   TEXT",
        "nnnnnnnn...  i-0123456789abcdef0  tttttttt...",
    ]


def test_too_narrow_is_too_narrow() -> None:
    assert lines(("n" * 30, "i-0123456789abcdef0", "t" * 20), width=5)[1] == "nnnnn...  i-0123456789abcdef0  ttttt..."


@pytest.mark.parametrize("name", ["a\nb", "\x1b[2Jx", "\u202eabc", "x\ty", "\x9b0m"])
def test_what_a_terminal_would_obey_is_not_shown(name: str) -> None:
    assert all(line.isprintable() and line.isascii() for line in lines((name, name, name)))
    assert len(lines((name, name, name))) == 2


@given(st.lists(st.tuples(st.text(), st.text(), st.text()), max_size=5), st.integers(1, 200))
def test_any_text_fits(rows: list[tuple[str, str, str]], width: int) -> None:
    found = lines(*rows, width=width)
    assert len(found) == len(rows) + 1
    ids = max([2, *(len(printable(row[1])) for row in rows)])
    assert all(len(line) <= max(width, ids + 2 * 8 + 4) for line in found)
