"""PURE: a list to choose from on a terminal: what is typed narrows it, arrows move, Enter chooses."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

PICKED, CANCELLED = "picked", "cancelled"
"""How a choice ends."""

_UP, _DOWN, _CLEAR, _BACKSPACE = "up", "down", "clear", "backspace"
# Keys as terminals send them, and those of readline.
_KEYS = {
    **dict.fromkeys((b"\x1b[A", b"\x1bOA", b"\x10"), _UP),
    **dict.fromkeys((b"\x1b[B", b"\x1bOB", b"\x0e", b"\t"), _DOWN),
    **dict.fromkeys((b"\x7f", b"\x08"), _BACKSPACE),
    b"\x15": _CLEAR,
    **dict.fromkeys((b"\r", b"\n"), PICKED),
    **dict.fromkeys((b"\x03", b"\x04", b"\x1b"), CANCELLED),
}
# One key: a sequence (an unknown one is passed over as a whole), or a byte.
_KEY = re.compile(rb"\x1b\[[0-9;?]*[@-~]|\x1bO.|[\x00-\xff]", re.DOTALL)
_LONGEST_QUERY = 80
_PROMPT = "instance> "


class PickerList:
    """The list, what was typed, and which line is marked."""

    def __init__(self, lines: Sequence[str]) -> None:
        """`lines`: one printable line for each choice."""
        self._lines = lines
        self._query = ""
        self._marked = 0

    @property
    def matching(self) -> list[int]:
        """The choices, by their numbers, that contain every word typed; case does not matter."""
        words = self._query.lower().split()
        return [number for number, line in enumerate(self._lines) if all(word in line.lower() for word in words)]

    @property
    def choice(self) -> int | None:
        """The number of the marked choice; None where nothing matches."""
        matching = self.matching
        return matching[self._marked] if matching else None

    def feed(self, data: bytes) -> str:
        """Take keys; returns PICKED, CANCELLED, or "" while the choice goes on."""
        for match in _KEY.finditer(data):
            key = match[0]
            what = _KEYS.get(key, "")
            if what == CANCELLED or (what == PICKED and self.choice is not None):
                return what
            if what == _UP:
                self._marked = max(0, self._marked - 1)
            elif what == _DOWN:
                self._marked = min(max(0, len(self.matching) - 1), self._marked + 1)
            elif what == _CLEAR:
                self._type("")
            elif what == _BACKSPACE:
                self._type(self._query[:-1])
            elif not what and len(key) == 1 and b" " <= key <= b"~" and len(self._query) < _LONGEST_QUERY:
                self._type(self._query + key.decode("ascii"))
        return ""

    def _type(self, query: str) -> None:
        self._query, self._marked = query, 0

    def screen(self, columns: int, rows: int) -> list[str]:
        """Return what to show on at most `rows` lines of `columns` characters: the prompt, and a part of the list."""
        matching = self.matching
        shown = max(1, rows - 2)
        first = max(0, min(self._marked - shown // 2, len(matching) - shown))
        window = matching[first : first + shown]
        lines = [
            f"{'>' if first + place == self._marked else ' '} {self._lines[number]}"
            for place, number in enumerate(window)
        ]
        count = f"  {len(matching)} of {len(self._lines)} (type to narrow, arrows, Enter, Ctrl-C)"
        return [line[: columns - 1] for line in (f"{_PROMPT}{self._query}", *lines, count)][:rows]
