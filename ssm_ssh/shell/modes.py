"""PURE: which modes of the terminal a program there has switched on, and how to switch them off again.

A program that ends by itself leaves the terminal as it was. One that is cut off in the middle (vim in a session that
an administrator ended) leaves the other screen, mouse reports or a hidden cursor behind. What was set and not reset is
known from the output: https://invisible-island.net/xterm/ctlseqs/ctlseqs.html, "DECSET".
"""

from __future__ import annotations

import re

# What is switched off if it is on: cursor keys of applications, mouse reports (X10 to SGR), focus reports, the other
# screen (three forms), bracketed paste. 7 (wrapping) and 25 (the cursor) are usually on, and are switched on again.
_OFF = (1, 9, 1000, 1001, 1002, 1003, 1004, 1005, 1006, 1015, 2004, 47, 1047, 1049)
_ON = (7, 25)
_MODE = re.compile(rb"\x1b(?:\[\?([0-9;]{1,40})([hl])|([=>])|\[!p|c)")
# Bytes of an unfinished sequence that the next output may finish.
_LONGEST = 48
# Colours and the character set: they cost nothing where they are usual already.
_PLAIN = b"\x1b[0m\x1b(B"


class Modes:
    """What the output so far has left switched."""

    def __init__(self) -> None:
        self._set: dict[int, bool] = {}
        self._keypad = False
        self._rest = b""
        self._used = False

    def feed(self, data: bytes) -> None:
        """Take note of output."""
        if not self._rest and b"\x1b" not in data:
            return
        self._used = True
        data = self._rest + data
        end = 0
        for match in _MODE.finditer(data):
            end = match.end()
            numbers, switch, keypad = match.groups()
            if numbers is not None:
                for number in numbers.split(b";"):
                    if number and len(number) <= 4:
                        self._set[int(number)] = switch == b"h"
            elif keypad is not None:
                self._keypad = keypad == b"="
            else:  # a reset, soft or full
                self._set.clear()
                self._keypad = False
        start = data.rfind(b"\x1b", end)
        self._rest = data[start:] if start >= 0 and len(data) - start <= _LONGEST else b""

    def undo(self) -> bytes:
        """Return what brings the terminal back, empty if no escape sequence was ever sent."""
        if not self._used:
            return b""
        off = [number for number in _OFF if self._set.get(number)]
        on = [number for number in _ON if self._set.get(number) is False]
        out = b"".join(b"\x1b[?%dl" % number for number in off) + b"".join(b"\x1b[?%dh" % number for number in on)
        if self._keypad:
            out += b"\x1b>"
        return out + _PLAIN if out else b""
