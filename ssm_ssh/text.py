"""PURE: functions that every outside string passes before it reaches a terminal, a log or an SSH packet."""

from __future__ import annotations

LIMIT = 300


def printable(text: object, limit: int = LIMIT) -> str:
    """Return `text` as one line of printable ASCII (0x20-0x7e), at most `limit` characters.

    White space and control characters become a single space, characters outside ASCII become `?`. ssh prints the
    text of an SSH_MSG_DISCONNECT raw: a carriage return in it would forge a second line, and byte 0x9b introduces
    an escape sequence on a terminal.
    """
    out = "".join(
        c if " " <= c <= "~" else " " if c.isspace() or ord(c) < 32 or 127 <= ord(c) < 160 else "?"
        for c in str(text)[: 4 * limit]
    )
    out = " ".join(out.split())
    return out if len(out) <= limit else out[: limit - 3] + "..."


def describe_unexpected(error: BaseException) -> str:
    """Return type and text of an unforeseen error; the result may hold unprintable characters.

    This is never the repr: the repr of a UnicodeError holds the whole text, such as a request with its token.
    """
    return f"{type(error).__name__}: {error}"
