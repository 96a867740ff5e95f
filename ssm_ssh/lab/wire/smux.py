"""smux v1 frames for the lab's agent, deliberately independent of the client's codec.

After github.com/xtaci/smux, frame.go: version, command, length (LE16), stream id (LE32), payload.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

SYN, FIN, PSH, NOP = range(4)
_VERSION = 1
_HEADER = struct.Struct("<BBHI")
HEADER_SIZE = _HEADER.size


class InvalidProtocol(Exception):
    """A header that is not smux v1: the official session ends with "invalid protocol"."""


def pack(command: int, stream: int, payload: bytes = b"") -> bytes:
    """Return one frame."""
    return _HEADER.pack(_VERSION, command, len(payload), stream) + payload


def unpack(buffer: bytearray) -> tuple[int, int, bytes] | None:
    """Take one whole frame off the front of `buffer`: command, stream, payload. None: there is none yet.

    Raises InvalidProtocol. As in the official library, the length of other commands than PSH is ignored.
    """
    if len(buffer) < HEADER_SIZE:
        return None
    version, command, length, stream = _HEADER.unpack_from(buffer)
    if version != _VERSION or command > NOP:
        raise InvalidProtocol
    if command != PSH:
        length = 0
    end = HEADER_SIZE + length
    if len(buffer) < end:
        return None
    payload = bytes(buffer[HEADER_SIZE:end])
    del buffer[:end]
    return command, stream, payload


def frames(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Return the frames of a complete stream."""
    buffer = bytearray(data)
    while (frame := unpack(buffer)) is not None:
        yield frame
