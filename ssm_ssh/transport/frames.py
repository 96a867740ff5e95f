"""WebSocket frames of a client: bytes in, frames out, without I/O.

https://www.rfc-editor.org/rfc/rfc6455#section-5

`websockets` has such a core too. This one implements only what a client without extensions needs: it takes a third
of the time for each message and saves 70 ms of imports.
"""

from __future__ import annotations

import os

from ssm_ssh.startup import TYPE_CHECKING, NamedTuple
from ssm_ssh.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10

_FINAL = 0x80
_RESERVED = 0x70
_MASKED = 0x80
_FINAL_BINARY = _FINAL | BINARY
# Section 5.5: bytes of a control frame's payload.
_LONGEST_CONTROL = 125
# Section 7.4 and IANA's registry: the codes that a close frame may carry, apart from 3000 to 4999.
_CLOSE_CODES = frozenset((1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014))
_NO_CODE = 1005
PROTOCOL_ERROR, TOO_LARGE = 1002, 1009


class Frame(NamedTuple):
    """A frame that arrived."""

    opcode: int
    final: bool
    payload: bytes


class Violation(NamedTuple):
    """A rule that the server broke: in words, and as the code of the close frame to answer with."""

    reason: str
    code: int


class Parser:
    """Parses the bytes of a server into frames. It stops at the first broken rule, which `violation` then holds."""

    def __init__(self, limit: int) -> None:
        """`limit`: bytes of the longest payload to accept, which bounds the memory used."""
        self.violation: Violation | None = None
        self._limit = limit
        self._rest = bytearray()
        self._needed = 0

    @property
    def incomplete(self) -> bool:
        """Whether a frame has begun but not ended."""
        return bool(self._rest)

    def feed(self, data: bytes) -> list[Frame]:
        """Return the frames that `data` completes."""
        if self.violation:
            return []
        if self._rest:
            self._rest += data
            if len(self._rest) < self._needed:
                return []
            data = bytes(self._rest)
            self._rest.clear()
        frames: list[Frame] = []
        position, end = 0, len(data)
        while not self.violation:
            length = 0
            start = position + 2
            if start <= end:
                length = data[position + 1]
                if length == 126:
                    start += 2
                    length = int.from_bytes(data[start - 2 : start], "big") if start <= end else 0
                elif length == 127:
                    start += 8
                    length = int.from_bytes(data[start - 8 : start], "big") if start <= end else 0
                # Check the announced length before waiting for the bytes.
                first = data[position]
                if first != _FINAL_BINARY or length > self._limit or data[position + 1] & _MASKED:
                    self.violation = self._check(first, data[position + 1], length)
            stop = start + length
            if stop > end:
                break
            if not self.violation:
                first = data[position]
                frames.append(Frame(first & 0x0F, first >= _FINAL, data[start:stop]))
                position = stop
        self._rest += data[position:]
        self._needed = stop - position
        return frames

    def _check(self, first: int, second: int, length: int) -> Violation | None:
        opcode = first & 0x0F
        if first & _RESERVED:
            return Violation("reserved bits are set", PROTOCOL_ERROR)
        if second & _MASKED:
            return Violation("a frame is masked", PROTOCOL_ERROR)
        if opcode not in (CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG):
            return Violation(f"unknown opcode {opcode}", PROTOCOL_ERROR)
        if opcode >= CLOSE and not first & _FINAL:
            return Violation("a control frame is fragmented", PROTOCOL_ERROR)
        if opcode >= CLOSE and second > _LONGEST_CONTROL:
            return Violation("a control frame is too long", PROTOCOL_ERROR)
        if length > self._limit:
            return Violation(f"a frame of {length} bytes is too large", TOO_LARGE)
        return None


def encode(opcode: int, payloads: Sequence[bytes]) -> bytes:
    """Return one masked frame for each of `payloads`, concatenated."""
    # Section 5.3: each frame needs a new mask from a strong source. One call fetches them all.
    masks = os.urandom(4 * len(payloads))
    parts: list[bytes] = []
    first = _FINAL | opcode
    apply = _mask
    for index, payload in enumerate(payloads):
        mask = masks[4 * index : 4 * index + 4]
        length = len(payload)
        if length < 126:
            parts.append(bytes((first, _MASKED | length)))
        elif length < 65536:
            parts.append(bytes((first, _MASKED | 126, length >> 8, length & 0xFF)))
        else:
            parts.append(bytes((first, _MASKED | 127)) + length.to_bytes(8, "big"))
        parts.append(mask)
        parts.append(apply(payload, mask))
    return b"".join(parts)


def parse_close(payload: bytes) -> tuple[int, str] | Violation:
    """Return code and printable reason of a close frame's payload; (1005, "") for an empty one."""
    if not payload:
        return _NO_CODE, ""
    if len(payload) < 2:
        return Violation("a close frame is too short", PROTOCOL_ERROR)
    code = int.from_bytes(payload[:2], "big")
    if not (code in _CLOSE_CODES or 3000 <= code < 5000):
        return Violation(f"a close frame has the code {code}", PROTOCOL_ERROR)
    try:
        return code, printable(payload[2:].decode(), 130)
    except UnicodeDecodeError:
        return Violation("a close frame's reason is not UTF-8", PROTOCOL_ERROR)


def close_payload(code: int) -> bytes:
    """Return the payload of a close frame."""
    return code.to_bytes(2, "big")


def mask_by_integers(data: bytes, mask: bytes) -> bytes:
    """Return `data` with each byte XORed with the bytes of `mask` in turn."""
    length = len(data)
    key = int.from_bytes((mask * (length // 4 + 1))[:length], "little")
    return (int.from_bytes(data, "little") ^ key).to_bytes(length, "little")


def mask_in_c() -> Callable[[bytes, bytes], bytes] | None:
    """Return the masking function of `websockets`, written in C and thirty times as fast; None without it.

    This loads only the extension module: importing its package takes 50 ms.
    """
    from importlib.machinery import ExtensionFileLoader, ModuleSpec, PathFinder

    package = PathFinder.find_spec("websockets")
    speedups = PathFinder.find_spec("websockets.speedups", package.submodule_search_locations) if package else None
    if not speedups or not isinstance(speedups.loader, ExtensionFileLoader):
        return None
    # A different module name keeps a later import of `websockets` unaffected. importlib.util would cost 2 ms.
    name = f"{__name__}.speedups"
    loader = ExtensionFileLoader(name, speedups.loader.path)
    try:
        module = loader.create_module(ModuleSpec(name, loader, origin=speedups.loader.path))
        loader.exec_module(module)
        apply: Callable[[bytes, bytes], bytes] = module.apply_mask
        works = apply(b"abcdefghi", b"1234") == mask_by_integers(b"abcdefghi", b"1234")
    except (ImportError, AttributeError, TypeError):
        return None
    return apply if works else None


_mask = mask_in_c() or mask_by_integers
