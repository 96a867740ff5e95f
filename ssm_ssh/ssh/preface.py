"""What a server says before its SSH banner, kept apart from the SSH stream.

Until the banner has come nothing has been passed on to the client, so that a refusal (sshd's MaxStartups, a closed
port) can still be retried, or be said in an SSH packet of our own.
"""

from __future__ import annotations

# RFC 4253, 4.2: a server MAY send other lines before its version string. OpenSSH's client accepts 1024 lines of up
# to 8192 bytes; what is longer than this is passed on, for the client to judge.
LONGEST = 8192


class Preface:
    """Holds a server's first bytes back until its SSH banner is among them and `release` was called."""

    released: bool
    """Whether `release` was called."""

    def __init__(self) -> None:
        self._held = b""
        self.released = False
        self._open = False

    @property
    def passed(self) -> bool:
        """True once bytes have been handed on."""
        return self._open

    @property
    def banner_seen(self) -> bool:
        """True when the server has begun to speak SSH."""
        return self._open or len(self._held) > LONGEST or self._has_banner()

    @property
    def said(self) -> str:
        """What the server said instead of a banner."""
        return self._held.decode("ascii", "replace")

    def release(self) -> bytes:
        """Allow the stream to flow; returns what may be passed on now."""
        self.released = True
        return self.feed(b"")

    def feed(self, data: bytes) -> bytes:
        """Take server bytes; returns those that may be passed on now."""
        if self._open:
            return data
        self._held += data
        if not self.released or not self.banner_seen:
            return b""
        self._open = True
        held, self._held = self._held, b""
        return held

    def _has_banner(self) -> bool:
        return self._held.startswith(b"SSH-") or b"\nSSH-" in self._held
