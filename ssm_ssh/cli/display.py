"""PURE: which characters a UTF-8 terminal is sent, and how many columns a text takes there."""

from __future__ import annotations

import unicodedata

# A name of this length fills a screen. Longer ones are cut before any work is done on them.
_LONGEST = 300
# Marks on one letter. More of them cover the lines above and below; no script stacks more.
_MOST_MARKS = 3
_ELLIPSIS = "\u2026"
# Letters and symbols by category that show nothing: fillers and a blank Braille cell.
_INVISIBLE = frozenset("\u115f\u1160\u2800\u3164\uffa0")
# Marks that show nothing: the grapheme joiner, inherent Khmer vowels, and what chooses between two glyphs.
_SELECTORS = frozenset(
    {0x034F, 0x17B4, 0x17B5, *range(0x180B, 0x1810), *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)}
)


def visible(text: object, limit: int = _LONGEST) -> str:
    """Return `text` as one line for a UTF-8 terminal: letters, marks on letters, digits, punctuation and symbols.

    White space and control characters become a single space. Format characters (among them all that change the
    direction of writing), private-use and unassigned ones, surrogates and marks on nothing become `?`.
    """
    out: list[str] = []
    marks = _MOST_MARKS
    for c in str(text)[: 4 * limit]:
        category = unicodedata.category(c)
        if category[0] == "M":
            if ord(c) in _SELECTORS:
                continue
            out.append(c if marks < _MOST_MARKS else "?")
            marks += 1
            continue
        if c.isspace() or category in ("Cc", "Zs", "Zl", "Zp"):
            out.append(" ")
        elif category[0] == "C" or c in _INVISIBLE:
            out.append("?")
        else:
            out.append(c)
        # Only letters, digits and symbols carry marks.
        marks = 0 if out[-1] not in (" ", "?") else _MOST_MARKS
    line = " ".join("".join(out).split())
    return line if len(line) <= limit else line[: limit - 1] + _ELLIPSIS


def columns(text: str) -> int:
    """Return how many columns `text` takes on a terminal. Only text beyond ASCII costs the import of rich."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)
