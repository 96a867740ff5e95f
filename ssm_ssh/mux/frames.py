"""The frames of smux v1: an encoder, and a decoder that takes the byte stream in any pieces.

A frame is a header of eight bytes (version, command, length as 16 bits, stream id as 32 bits, both little-endian), and
a payload where the command is PSH (github.com/xtaci/smux v1, frame.go and session.go). Version 2 adds windows; Session
Manager's agent does not speak it.
"""

from __future__ import annotations

from struct import Struct

from ssm_ssh.errors import ProtocolError
from ssm_ssh.startup import NamedTuple

SYN, FIN, PSH, NOP = 0, 1, 2, 3
"""Commands: open a stream, end it in both directions, carry bytes, do nothing."""

MOST_PAYLOAD = 32768
"""Bytes of payload that we put into a frame, as the official programs do. A received frame may hold 65,535."""

_VERSION = 1
_HEADER = Struct("<BBHI")


class Frame(NamedTuple):
    """One received frame, or the part of a PSH frame that has arrived."""

    command: int
    stream: int
    payload: bytes = b""


def encode(command: int, stream: int) -> bytes:
    """Return a frame without a payload."""
    return _HEADER.pack(_VERSION, command, 0, stream)


def encode_data(stream: int, data: bytes) -> bytes:
    """Return `data` as one or more PSH frames, b"" for nothing."""
    pack = _HEADER.pack
    if 0 < len(data) <= MOST_PAYLOAD:
        return pack(_VERSION, PSH, len(data), stream) + data
    pieces: list[bytes] = []
    for start in range(0, len(data), MOST_PAYLOAD):
        piece = data[start : start + MOST_PAYLOAD]
        pieces += (pack(_VERSION, PSH, len(piece), stream), piece)
    return b"".join(pieces)


class Decoder:
    """Cuts what arrives into frames. It keeps seven bytes at most: the payload is passed on as it comes."""

    __slots__ = ("_left", "_partial", "_stream")

    def __init__(self) -> None:
        self._partial = b""
        self._stream = 0
        self._left = 0

    def feed(self, data: bytes) -> list[Frame]:
        """Return the frames in `data`, in order, without empty payloads. Raises ProtocolError if it is not smux v1."""
        frames: list[Frame] = []
        if self._partial:
            data, self._partial = self._partial + data, b""
        at, end = 0, len(data)
        while at < end:
            if self._left:
                payload = data[at : at + self._left]
                self._left -= len(payload)
                at += len(payload)
                frames.append(Frame(PSH, self._stream, payload))
                continue
            if end - at < _HEADER.size:
                self._partial = data[at:]
                break
            version, command, length, stream = _HEADER.unpack_from(data, at)
            at += _HEADER.size
            if version != _VERSION or command > NOP:
                raise ProtocolError(f"The agent sent frame {command} of smux version {version}, which is not smux v1")
            if command == PSH:
                self._stream, self._left = stream, length
            elif length:
                raise ProtocolError(f"The agent sent frame {command} of smux with a payload of {length} bytes")
            else:
                frames.append(Frame(command, stream))
        return frames
