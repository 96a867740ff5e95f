"""PURE: the escapes at the start of a line (`~.` and others), as ssh has them, out of what is typed.

The machine is a table: where in the line the last byte stood, and what kind of byte comes, say where the next stands
and what is done. Everything that is not an escape goes to the instance unchanged.
https://man.openbsd.org/ssh#ESCAPE_CHARACTERS
"""

from __future__ import annotations

import enum

from ssm_ssh.startup import NamedTuple


class At(enum.Enum):
    """Where the last byte stood."""

    START = "at the start of a line"
    ESCAPED = "behind a tilde at the start of a line"
    INSIDE = "inside a line"


class Key(enum.Enum):
    """The kinds of bytes that matter."""

    TILDE = "~"
    DOT = "."
    QUESTION = "?"
    SUSPEND = "Ctrl-Z"
    NEWLINE = "CR or LF"
    OTHER = "any other byte"


class Action(enum.Enum):
    """What the user asks for, besides bytes for the instance."""

    LEAVE = "leave"
    HELP = "help"
    SUSPEND = "suspend"


class Step(NamedTuple):
    """The next state, what is sent (the byte itself, and a tilde held back before it), and what is asked for."""

    at: At
    tilde: bool = False
    byte: bool = True
    action: Action | None = None


_BYTES = {ord("~"): Key.TILDE, ord("."): Key.DOT, ord("?"): Key.QUESTION, 0x1A: Key.SUSPEND}
_BYTES.update(dict.fromkeys(b"\r\n", Key.NEWLINE))

_INSIDE, _START = Step(At.INSIDE), Step(At.START)
_HELD = Step(At.ESCAPED, byte=False)
_BOTH = Step(At.INSIDE, tilde=True)

TABLE: dict[At, dict[Key, Step]] = {
    At.START: dict.fromkeys(Key, _INSIDE) | {Key.NEWLINE: _START, Key.TILDE: _HELD},
    At.INSIDE: dict.fromkeys(Key, _INSIDE) | {Key.NEWLINE: _START},
    At.ESCAPED: {
        Key.TILDE: _INSIDE,  # one of the two
        Key.DOT: Step(At.START, byte=False, action=Action.LEAVE),
        Key.QUESTION: Step(At.START, byte=False, action=Action.HELP),
        Key.SUSPEND: Step(At.START, byte=False, action=Action.SUSPEND),
        Key.NEWLINE: Step(At.START, tilde=True),
        Key.OTHER: _BOTH,
    },
}

HELP = (
    "Supported escapes, at the start of a line:",
    " ~.   leave the session, and end it",
    " ~^Z  suspend ssm-ssh",
    " ~?   this text",
    " ~~   send one ~",
)


class Escapes:
    """What has been typed so far, at the start of a line to begin with."""

    def __init__(self) -> None:
        self.at = At.START

    def feed(self, data: bytes) -> list[bytes | Action]:
        """Return what is to be sent and done, in order. Nothing of `data` behind LEAVE counts."""
        out: list[bytes | Action] = []
        sent = bytearray()
        position = 0
        while position < len(data):
            if self.at is At.INSIDE:  # a paste goes on from line to line, not from byte to byte
                end = _line_end(data, position)
                sent += data[position:end]
                position = end
                if data[end - 1] in b"\r\n":
                    self.at = At.START
                continue
            byte = data[position]
            position += 1
            step = TABLE[self.at][_BYTES.get(byte, Key.OTHER)]
            self.at = step.at
            if step.tilde:
                sent += b"~"
            if step.byte:
                sent.append(byte)
            if step.action is not None:
                if sent:
                    out.append(bytes(sent))
                    sent.clear()
                out.append(step.action)
                if step.action is Action.LEAVE:
                    return out
        if sent:
            out.append(bytes(sent))
        return out


def _line_end(data: bytes, start: int) -> int:
    """Return the index behind the first CR or LF from `start` on, or the end of `data`."""
    ends = [data.find(newline, start) for newline in (b"\r", b"\n")]
    return min((end + 1 for end in ends if end >= 0), default=len(data))
