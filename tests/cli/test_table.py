from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ssm_ssh.cli.display import columns, visible
from ssm_ssh.cli.table import Column, fit, lay_out, wrapped

COLUMNS = (Column("NAME"), Column("ID", whole=True), Column("TEXT"))
SPARE = (Column("NAME", least=12), Column("ID", whole=True), Column("AGENT", spare=2), Column("OTHER", spare=1))


def lines(*rows: tuple[str, ...], width: int | None = None, of: tuple[Column, ...] = COLUMNS) -> list[str]:
    layout = lay_out(of, rows, width)
    table = [tuple(column.head for column in of), *rows]
    return [
        "  ".join(fit(row[number], size, "...") for number, size in zip(*layout, strict=True)).rstrip() for row in table
    ]


def test_columns_are_as_wide_as_their_texts() -> None:
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


def test_columns_that_do_not_fit_are_left_out_in_their_order() -> None:
    row = ("n" * 30, "i-0123456789abcdef0", "3.3.1611.0", "x" * 8)
    heads = [lines(row, width=width, of=SPARE)[0].split() for width in (80, 50, 45, 40)]
    assert heads == [["NAME", "ID", "AGENT", "OTHER"], ["NAME", "ID", "OTHER"], ["NAME", "ID", "OTHER"], ["NAME", "ID"]]


def test_wide_characters_count_twice() -> None:
    assert lines(("\u6771\u4eac", "i-1", "x"), ("ab", "i-2", "y")) == [
        "NAME  ID   TEXT",
        "\u6771\u4eac  i-1  x",
        "ab    i-2  y",
    ]
    assert fit("\u6771\u4eac\u6771", 5, "\u2026") == "\u6771\u4eac\u2026"
    assert fit("\u6771\u4eac\u6771", 4, "\u2026") == "\u6771\u2026 "


def test_a_sentence_continues_between_its_words() -> None:
    assert wrapped("one two three", 8) == ["one two", "three"]
    assert wrapped("a-word-that-is-longer x", 8) == ["a-word-that-is-longer", "x"]
    assert wrapped("", 8) == [""]


ROW = st.tuples(*[st.text().map(visible)] * 3)


@given(st.lists(ROW, max_size=5), st.integers(1, 200))
def test_any_text_fits(rows: list[tuple[str, str, str]], width: int) -> None:
    shown = lines(*rows, width=width)
    assert len(shown) == len(rows) + 1
    ids = max([2, *(columns(row[1]) for row in rows)])
    assert all(columns(line) <= max(width, ids + 2 * 8 + 4) for line in shown)


@given(st.text().map(visible), st.integers(0, 40), st.sampled_from(["...", "\u2026"]))
def test_a_cell_takes_exactly_its_width(text: str, width: int, ellipsis: str) -> None:
    assert columns(fit(text, width, ellipsis)) == width
