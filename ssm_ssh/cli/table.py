"""PURE: tables: which columns fit, how wide each becomes, and where a text is cut or continued."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ssm_ssh.cli.display import columns as columns_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

GAP = "  "
# A continued text needs this many columns to be readable.
_LEAST_WRAPPED = 24


class Column(NamedTuple):
    """A column of a table.

    `least`: how narrow it may become; `whole`: it is never cut, since half an id is of no use; `wrap`: its text
    continues on the next line instead of being cut (the last column only); `spare`: on a narrow terminal the columns
    with the highest number are left out first, those with 0 never.
    """

    head: str
    least: int = 8
    whole: bool = False
    wrap: bool = False
    spare: int = 0


class Cell(NamedTuple):
    """A text in a table, and the style in which a terminal shows it."""

    text: str
    style: str = ""


class Layout(NamedTuple):
    """The columns that are shown, by number, and their widths in terminal columns."""

    shown: list[int]
    widths: list[int]


def lay_out(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int | None) -> Layout:
    """Return the layout of a table on a terminal of `width` columns; None: as wide as the texts are.

    Where even the narrowest table is too wide, the lines become longer than `width`.
    """
    natural = [max(columns_of(text) for text in (column.head, *cells)) for column, cells in _by_column(columns, rows)]
    shown = list(range(len(columns)))
    if width is None:
        return Layout(shown, natural)
    least = [_least(column, natural[number]) for number, column in enumerate(columns)]
    while _total(least, shown) > width and any(columns[number].spare for number in shown):
        shown.remove(max(shown, key=lambda number: columns[number].spare))
    widths = list(natural)
    while _total(widths, shown) > width:
        able = [number for number in shown if widths[number] > least[number]]
        if not able:
            break
        widths[max(able, key=lambda number: widths[number])] -= 1
    return Layout(shown, [widths[number] for number in shown])


def _by_column(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> Iterator[tuple[Column, list[str]]]:
    for number, column in enumerate(columns):
        yield column, [row[number] for row in rows]


def _least(column: Column, natural: int) -> int:
    if column.whole:
        return natural
    return min(natural, max(_LEAST_WRAPPED if column.wrap else 0, column.least, columns_of(column.head)))


def _total(widths: Sequence[int], shown: Sequence[int]) -> int:
    return sum(widths[number] for number in shown) + len(GAP) * (len(shown) - 1)


def fit(text: str, width: int, ellipsis: str) -> str:
    """Return `text` in exactly `width` terminal columns: padded, or cut with `ellipsis` at its end."""
    missing = width - columns_of(text)
    if missing >= 0:
        return text + " " * missing
    room = width - len(ellipsis)
    # At least one column a character, so that no more than `room` of them fit.
    text = text[: max(0, room)]
    while text and columns_of(text) > room:
        text = text[:-1]
    return fit(text + ellipsis[: max(0, width)], width, "")


def wrapped(text: str, width: int) -> list[str]:
    """Return `text` in lines of at most `width` terminal columns, broken between words; a longer word is kept whole."""
    lines: list[str] = []
    for word in text.split(" "):
        if lines and columns_of(lines[-1]) + 1 + columns_of(word) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines
