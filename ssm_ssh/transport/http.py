"""The head of an HTTP/1.1 response: status line and headers.

https://www.rfc-editor.org/rfc/rfc9112#section-2
"""

from __future__ import annotations

from ssm_ssh.errors import ProtocolError
from ssm_ssh.startup import NamedTuple

# Bytes. AWS and common proxies send a few hundred; squid's longest denial has a 2 KiB header block. 16 KiB is what
# Apache and nginx accept in total, so nothing real is refused, and a hostile peer cannot fill the memory.
MAX_HEAD = 16 * 1024

_VERSIONS = (b"HTTP/1.0", b"HTTP/1.1")


class Head(NamedTuple):
    """Status code, reason phrase (unprintable characters included) and headers in order, names in lower case."""

    status: int
    reason: str
    headers: list[tuple[str, str]]

    def get_all(self, name: str) -> list[str]:
        """Return the values of all headers called `name` (lower case)."""
        return [value for key, value in self.headers if key == name]


def head_length(data: bytes | bytearray, searched: int = 0) -> int:
    """Return the length of the head at the start of `data`, its empty line included, or 0 while it is incomplete.

    `searched` is the number of bytes that an earlier call has searched already. Raises ProtocolError when the head is
    longer than MAX_HEAD bytes or cannot become an HTTP response.
    """
    end = _find_end(data, max(0, searched - 3))
    if 0 < end <= MAX_HEAD:
        return end
    if not data.startswith(b"HTTP/"[: len(data)]):
        raise ProtocolError("the answer is not HTTP")
    if end or len(data) >= MAX_HEAD:
        raise ProtocolError(f"the header block of the answer is longer than {MAX_HEAD} bytes")
    return 0


def _find_end(data: bytes | bytearray, start: int) -> int:
    """Return the end of the first empty line that follows a line, 0 if there is none in the first MAX_HEAD bytes."""
    stop = MAX_HEAD + 4
    at = data.find(b"\n", start, stop)
    while at >= 0:
        for line_end in (b"\n", b"\r\n"):
            if data.startswith(line_end, at + 1, stop):
                return at + 1 + len(line_end)
        at = data.find(b"\n", at + 1, stop)
    return 0


def parse_head(data: bytes | bytearray) -> Head:
    """Parse `data`, a complete head with its empty line. Raises ProtocolError if it is malformed."""
    lines = bytes(data).replace(b"\r\n", b"\n").rstrip(b"\n").split(b"\n")
    version, _, rest = lines[0].partition(b" ")
    status, _, reason = rest.partition(b" ")
    if version not in _VERSIONS or len(status) != 3 or not status.isdigit() or not b"100" <= status < b"600":
        raise ProtocolError("the answer is not HTTP")
    if b"\r" in reason:
        raise ProtocolError("the status line of the answer is malformed")
    headers = []
    for line in lines[1:]:
        name, colon, value = line.partition(b":")
        if not colon or not name or name != name.strip():
            raise ProtocolError("a header of the answer is malformed")
        headers.append((name.decode("latin-1").lower(), value.strip().decode("latin-1")))
    return Head(int(status), reason.decode("latin-1"), headers)
