"""The functions that every string from outside passes before a terminal, a log or an SSH packet."""

from __future__ import annotations

LIMIT = 300


def printable(text: object, limit: int = LIMIT) -> str:
    """Return `text` as one line of printable ASCII (0x20-0x7e), at most `limit` characters.

    Everything else becomes a single space (white space, control characters) or `?` (what ASCII cannot show).
    ssh prints the text of an SSH_MSG_DISCONNECT raw, so a carriage return in it would forge a second line, and
    byte 0x9b is a terminal's escape introducer.
    """
    out = "".join(
        c if " " <= c <= "~" else " " if c.isspace() or ord(c) < 32 or 127 <= ord(c) < 160 else "?"
        for c in str(text)[: 4 * limit]
    )
    out = " ".join(out.split())
    return out if len(out) <= limit else out[: limit - 3] + "..."


def surprise(error: BaseException) -> str:
    """Return type and text of an error that nobody foresaw (not printable yet).

    Never its repr: that of a UnicodeError holds all of the text in question, a request with its token, say.
    """
    return f"{type(error).__name__}: {error}"
