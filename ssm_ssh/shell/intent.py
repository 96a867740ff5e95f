"""PURE: whether what was typed last was meant to end the shell. Session Manager does not tell how a shell ended."""

from __future__ import annotations

# Bytes of the last line that count.
_LONGEST = 80
_WORDS = ("exit", "logout", "quit", "bye", "reboot", "poweroff", "halt", "shutdown", "exec")
_END_OF_FILE = 4


class LastLine:
    """The end of what was typed."""

    def __init__(self) -> None:
        self._tail = b""

    def feed(self, data: bytes) -> None:
        """Take note of what was typed."""
        self._tail = (self._tail + data)[-_LONGEST:]

    @property
    def leaves(self) -> bool:
        """Whether the last line typed is Ctrl-D, or a command that ends a shell or the instance."""
        tail = self._tail.rstrip(b"\r\n")
        if tail.endswith(bytes([_END_OF_FILE])):
            return True
        if tail == self._tail:  # the line has not been sent off
            return False
        line = tail.replace(b"\r", b"\n").rpartition(b"\n")[2].decode("ascii", "replace")
        words = line.replace(";", " ").replace("&", " ").split()
        return any(word in _WORDS for word in words)
