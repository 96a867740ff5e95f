"""What is fuzzed: each target takes any bytes and raises AssertionError, or anything undocumented, for a bug."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from hashlib import sha256
from random import Random

from ssm_ssh.channel import message as wire
from ssm_ssh.channel.encryption import DataKey
from ssm_ssh.channel.events import KeyRequest, Output, StdErr
from ssm_ssh.channel.handshake import SHELL
from ssm_ssh.channel.limits import ACKS, REORDER_BYTES
from ssm_ssh.channel.session import Channel
from ssm_ssh.command.frames import MOST_PREFACE, Data, Decoder, TerminalDecoder
from ssm_ssh.errors import ProtocolError
from ssm_ssh.mux.streams import Arrived, Mux
from ssm_ssh.ssh.gate import Gate
from ssm_ssh.ssh.hostkey import from_blob, from_line
from ssm_ssh.transport.frames import Frame, Parser, Violation, parse_close
from tests.ssh.streams import CLIENT, ed25519, reply

FRAME_LIMIT = 4096
BUDGET = 4096
RESEAL, WAIT, RECONNECT = 1, 2, 4
"""Bits of the byte in front of each frame of `channel`: repair length and digest, let time pass, resume."""


def message(data: bytes) -> None:
    """Decode a frame of the data channel: it is broken, or its message survives encoding and decoding."""
    try:
        decoded = wire.decode(data)
    except wire.MessageError:
        return
    number = wire.acknowledged_number(decoded.payload)
    assert number is None or number >= 0
    if decoded.message_type.isascii() and len(decoded.message_type) <= 32:
        again = wire.encode(
            decoded.message_type,
            sequence=decoded.sequence,
            flags=decoded.flags,
            message_id=decoded.message_id,
            payload_type=decoded.payload_type,
            payload=decoded.payload,
            created=decoded.created,
        )
        assert wire.decode(again) == decoded


def frames(data: bytes) -> None:
    """Parse WebSocket frames: however the bytes are split, the frames and the broken rule are the same."""
    whole, pieces = Parser(FRAME_LIMIT), Parser(FRAME_LIMIT)
    parsed = whole.feed(data[1:])
    again: list[Frame] = []
    for piece in _pieces(data):
        again += pieces.feed(piece)
        assert len(pieces._rest) <= FRAME_LIMIT + 14
    assert parsed == again
    assert whole.violation == pieces.violation
    for frame in parsed:
        assert len(frame.payload) <= FRAME_LIMIT
        closed = parse_close(frame.payload)
        assert isinstance(closed, Violation) or closed[1].isprintable()


def gate(data: bytes) -> None:
    """Pass a server's bytes: no split changes what passes, and nothing opens the gate but its release."""
    out, error = _passed([data[1:]])
    out_of_pieces, error_of_pieces = _passed(list(_pieces(data)))
    assert error == error_of_pieces
    if not error:
        assert out == out_of_pieces


def channel(data: bytes) -> None:
    """Receive frames on a channel: it raises nothing but ProtocolError, and what it keeps is bounded."""
    now = 100.0
    session = Channel(client_id="c", epoch=0.0, random_bits=Random(1).getrandbits)
    session.connected(now)
    for flags, frame in _records(data):
        if flags & WAIT:
            now += flags / 16
        if flags & RECONNECT:
            session.disconnected(now)
            session.connected(now)
        session.send(b"x" * min(100, session.room()), now)
        try:
            session.receive(_sealed(frame) if flags & RESEAL else frame, now)
        except ProtocolError:
            return
        sent = session.frames(now, BUDGET)
        assert sum(map(len, sent)) < BUDGET + 4 * 1200
        due = session.timer()
        assert due is None or due > 0
        assert len(session._receiver.acks) <= ACKS
        assert session._receiver._buffered_bytes <= REORDER_BYTES


def host_key(data: bytes) -> None:
    """Read a host key: it is refused, or its line in known_hosts means the same key."""
    try:
        key = from_blob(data)
    except ProtocolError:
        return
    assert from_line(key.line) == key
    assert key.described("name").isprintable()


def mux(data: bytes) -> None:
    """Receive smux frames: any cut gives the same events and frames, and only opened streams are kept."""
    events, output, error = _demultiplexed([data[1:]])
    events_of_pieces, output_of_pieces, error_of_pieces = _demultiplexed(list(_pieces(data)))
    assert error == error_of_pieces
    assert output == output_of_pieces or error
    assert events == events_of_pieces or error


def _demultiplexed(pieces: list[bytes]) -> tuple[dict[int, list[bytes]], bytes, bool]:
    streams, events = Mux(0.0), dict[int, list[bytes]]()
    for _ in range(4):
        streams.open(0.0)
    streams.close(9)
    streams.connect_failed()
    try:
        for piece in pieces:
            for event in streams.receive(piece, 1.0):
                told = events.setdefault(event.stream, [b""])
                if isinstance(event, Arrived):
                    told[0] += event.data
                else:
                    told.append(repr(event).encode())
            assert len(streams._streams) <= 4
    except ProtocolError:
        return events, b"", True
    return events, streams.take(), False


def exec_frames(data: bytes) -> None:
    """Decode what a command's script sends: any cut gives the same data and status, and little is kept."""
    for make in (Decoder, partial(Decoder, ready=True), partial(TerminalDecoder, "t")):
        whole, error = _decoded(make(), [data[1:]])
        again, error_of_pieces = _decoded(make(), list(_pieces(data)))
        assert error == error_of_pieces
        assert whole == again or error


def _decoded(decoder: Decoder | TerminalDecoder, pieces: list[bytes]) -> tuple[tuple[bytes, bytes, list[str]], bool]:
    streams, others = {1: b"", 2: b""}, list[str]()
    try:
        for piece in pieces:
            for frame in decoder.feed(piece):
                if isinstance(frame, Data):
                    streams[frame.stream] += frame.data
                else:
                    others.append(repr(frame))
            assert len(decoder.preface) <= 2 * MOST_PREFACE
    except ProtocolError:
        return (b"", b"", []), True
    return (streams[1], streams[2], others), False


def kms(data: bytes) -> None:
    """Receive frames on a channel that encrypts: it raises nothing but ProtocolError, and delivers nothing in clear."""
    bits = Random(1).getrandbits
    session = Channel(client_id="c", epoch=0.0, session_types=(SHELL,), encryption=True, random_bits=bits)
    session.connected(1.0)
    for flags, frame in _records(data):
        try:
            events = session.receive(_sealed(frame) if flags & RESEAL else frame, 1.0)
        except ProtocolError:
            return
        for event in events:
            if isinstance(event, KeyRequest):
                session.use_key(DataKey(b"blob", _Never(), _Never(), Random(1).getrandbits), event.challenge)
            assert not (session._encryption and isinstance(event, (Output, StdErr)) and event.data)


class _Never:
    """A cipher whose key fits nothing."""

    def seal(self, nonce: bytes, data: bytes) -> bytes:
        return bytes(len(data) + 16)

    def open(self, nonce: bytes, data: bytes) -> bytes:
        raise ProtocolError("The tag is wrong")


TARGETS: dict[str, Callable[[bytes], None]] = {
    target.__name__: target for target in (message, frames, gate, channel, host_key, mux, exec_frames, kms)
}


def record(frame: bytes, flags: int = 0) -> bytes:
    """Return a frame as `channel` reads it: flags, length and frame."""
    return bytes((flags,)) + len(frame).to_bytes(2, "big") + frame


def _records(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(data):
        end = at + 3 + int.from_bytes(data[at + 1 : at + 3], "big")
        yield data[at], data[at + 3 : end]
        at = end


def _sealed(frame: bytes) -> bytes:
    """Give a frame the header, length and digest of its payload, so that it gets past the first check."""
    if len(frame) < wire.HEADER + 4:
        return frame
    payload = frame[wire.HEADER + 4 :]
    return b"".join(
        (
            wire.HEADER.to_bytes(4, "big"),
            frame[4:80],
            sha256(payload).digest(),
            frame[112:116],
            len(payload).to_bytes(4, "big"),
            payload,
        )
    )


def _pieces(data: bytes) -> Iterator[bytes]:
    """Split what follows the first byte, which seeds the sizes."""
    random = Random(data[0] if data else 0)
    at = 1
    while at < len(data):
        end = at + random.choice((1, 1, 2, 3, 7, 20, 200, 2000))
        yield data[at:end]
        at = end


def _passed(pieces: list[bytes]) -> tuple[bytes, bool]:
    """Return what passes before the key is released and after it, and whether the stream was refused."""
    tested, out = Gate(), b""
    tested.feed_client(CLIENT)
    try:
        for piece in pieces:
            out += tested.feed(piece)
        assert not tested.open
        assert tested.held == (tested.host_key is not None)
        assert reply(ed25519().blob) not in out
        out += tested.release()
    except ProtocolError:
        assert not tested.open
        return out, True
    return out, False
