"""Tables as they stand on a terminal: untrusted text made printable, columns cut to the width there is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ssm_ssh.text import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

_GAP = "  "
_CUT = "..."
# Narrower than this, a column says nothing.
_LEAST = 8


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], *, width: int | None, keep: frozenset[int]) -> list[str]:
    """Return the lines of a table of at most `width` characters (None: as wide as it is).

    Columns whose number is in `keep` are never cut: half an id is of no use. A terminal too narrow for the rest gets
    longer lines.
    """
    cells = [[printable(cell) for cell in row] for row in (heads, *rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(heads))]
    if width is not None:
        least = [max(_LEAST, len(head)) for head in heads]
        while sum(widths) + len(_GAP) * (len(widths) - 1) > width:
            able = [one for one in range(len(widths)) if one not in keep and widths[one] > least[one]]
            if not able:
                break
            widths[max(able, key=lambda one: widths[one])] -= 1
    return [_GAP.join(map(_fit, row, widths)).rstrip() for row in cells]


def _fit(text: str, width: int) -> str:
    return text.ljust(width) if len(text) <= width else text[: width - len(_CUT)] + _CUT
