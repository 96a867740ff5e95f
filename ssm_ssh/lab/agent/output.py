"""What a program writes, as the agent passes it on: cut into messages, no character torn apart.

After amazon-ssm-agent, agent/session/shell/shell.go (processStdoutData).
"""

from __future__ import annotations

# The longest character of UTF-8. An invalid byte among the last three may be the beginning of one.
_LONGEST = 4
_REPLACEMENT = "\ufffd".encode()


class Characters:
    """Passes whole characters on, and holds back what may be the beginning of one.

    What is invalid further in front passes as it is. A true U+FFFD is taken for an invalid byte, and only its first
    byte passes. What is held at the end is lost.
    """

    def __init__(self) -> None:
        self._held = b""

    def insert(self, prefix: bytes) -> None:
        """Put `prefix` behind what is held, in front of what comes next."""
        self._held += prefix

    def feed(self, data: bytes) -> bytes:
        """Return what passes of the held bytes and `data`; it may be nothing."""
        data = self._held + data
        passed = bytearray()
        at = 0
        while at < len(data):
            size = _character(data, at)
            if size and data[at : at + size] != _REPLACEMENT:
                passed += data[at : at + size]
                at += size
                continue
            if len(data) - at < _LONGEST:
                break
            passed.append(data[at])
            at += size or 1
        self._held = data[at:]
        return bytes(passed)


def _character(data: bytes, at: int) -> int:
    """Return the length of the character at `at`, 0 where there is none."""
    first = data[at]
    if first < 0x80:
        return 1
    size = 2 if first < 0xE0 else 3 if first < 0xF0 else 4
    try:
        data[at : at + size].decode()
    except UnicodeDecodeError:
        return 0
    return size
