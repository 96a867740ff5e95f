# Over 350 lines: the gateway and the agent share one process and its buffers.
"""A minimal peer of the data channel, gateway and agent in one process, fast enough not to distort the results.

    peer.py FOLDER

It serves one TLS connection after another and reports events on stdout, as JSON lines: first `port` and `plain` (a
plain TCP echo), then for each connection `begin` (the first payload) and `end` (the last acknowledgement of what it
sent). Clients trust ca.pem in FOLDER. The path of a connection is its task: /sink/BYTES, /source/BYTES or /echo.

It is written for speed: it unmasks only the header of a message, joins many frames into one TLS write, and checks the
received bytes after the clock has stopped.
"""

from __future__ import annotations

import base64
import json
import os
import select
import socket
import ssl
import struct
import sys
import threading
import time
from collections.abc import Iterator
from hashlib import sha1, sha256
from pathlib import Path

import greeting

from ssm_ssh.lab.identity.ca import new_authority

PAYLOAD = 1024
BLOCK = sha256(b"ssm-ssh").digest() * 32 * 64
"""The 64 KiB that the stream repeats in either direction."""

_FIELDS = struct.Struct(">I32sIQqQ16s32sII")
_OUTPUT, _ACK = b"output_stream_data".ljust(32), b"acknowledge".ljust(32)
_INPUT = b"input_stream_data".ljust(32)
_READ = 256 * 1024
_BACKLOG = 256 * 1024
MORE_MESSAGES = 10_000
"""Allowance for messages that a client does not fill."""

DONE = b"done"
"""The last output of a sink."""

ECHO = b"x"

READY = b"ready"
"""The output of a sink that is ready for the bytes."""

_REQUEST = {
    "AgentVersion": "3.3.0.0",
    "RequestedClientActions": [
        {"ActionType": "SessionType", "ActionParameters": {"SessionType": "Port", "Properties": {"portNumber": "22"}}}
    ],
}


def report(**values: object) -> None:
    print(json.dumps(values), flush=True)


def frame(kind: bytes, sequence: int, flags: int, payload_type: int, payload: bytes) -> bytes:
    """Return an AgentMessage in an unmasked WebSocket frame."""
    message_id = sequence.to_bytes(16, "big")
    body = _FIELDS.pack(
        116, kind, 1, 0, sequence, flags, message_id, sha256(payload).digest(), payload_type, len(payload)
    )
    length = len(body) + len(payload)
    head = bytes((0x82, length)) if length < 126 else struct.pack(">BBH", 0x82, 126, length)
    return head + body + payload


def acknowledgement(sequence: int) -> bytes:
    """Return an acknowledgement. It is made in advance, without the message's id, which neither client reads."""
    payload = (
        '{"AcknowledgedMessageType":"input_stream_data","AcknowledgedMessageId":"00000000-0000-4000-8000-000000000000",'
        f'"AcknowledgedMessageSequenceNumber":{sequence},"IsSequentialMessage":true}}'
    ).encode()
    return frame(_ACK, 0, 3, 0, payload)


class Connection:
    """TLS in memory over one socket, and the WebSocket frames in it."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sock = sock
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_side=True)
        self._unsent = b""
        self.buffer = bytearray()
        while True:
            try:
                self._tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                sock.sendall(self._out.read())
                self._in.write(sock.recv(_READ))
        sock.sendall(self._out.read())
        sock.setblocking(False)

    @property
    def backlog(self) -> int:
        return len(self._unsent)

    def send(self, data: bytes) -> None:
        self._tls.write(data)
        self._unsent += self._out.read()
        self._flush()

    def _flush(self) -> None:
        try:
            while self._unsent:
                self._unsent = self._unsent[self._sock.send(self._unsent) :]
        except BlockingIOError:
            pass

    def turn(self, *, read: bool = True) -> bool:
        """Wait until bytes are received or sent. False: the client has closed the connection."""
        try:
            plain = self._plain() if read else b""
        except ssl.SSLZeroReturnError:
            return False
        if not plain:
            mask = (select.POLLIN if read else 0) | (select.POLLOUT if self._unsent else 0)
            poll = select.poll()
            poll.register(self._sock, mask)
            (_, ready), *_ = poll.poll()
            if ready & select.POLLOUT:
                self._flush()
            if ready & ~select.POLLOUT:
                try:
                    raw = self._sock.recv(_READ)
                except ConnectionResetError:
                    return False
                if not raw:
                    return False
                self._in.write(raw)
                try:
                    plain = self._plain()
                except ssl.SSLZeroReturnError:
                    return False
        self.buffer += plain
        return True

    def _plain(self) -> bytes:
        parts = []
        try:
            while part := self._tls.read(_READ):
                parts.append(part)
        except ssl.SSLWantReadError:
            pass
        return b"".join(parts)

    def frames(self) -> Iterator[tuple[int, bytes, int, int]]:
        """Remove the complete frames from the buffer. Yields opcode, mask, offset in the buffer, length."""
        data = self.buffer
        position, end = 0, len(data)
        while end - position >= 6:
            length, start = data[position + 1] & 127, position + 6
            if length == 126:
                length, start = int.from_bytes(data[position + 2 : position + 4], "big"), position + 8
            elif length == 127:
                length, start = int.from_bytes(data[position + 2 : position + 10], "big"), position + 14
            if start + length > end:
                break
            yield data[position] & 15, bytes(data[start - 4 : start]), start, length
            position = start + length
        del data[:position]

    def close(self) -> None:
        self._sock.close()


def unmasked(data: bytes | bytearray, mask: bytes) -> bytes:
    length = len(data)
    key = int.from_bytes((mask * (length // 4 + 1))[:length], "little")
    return (int.from_bytes(data, "little") ^ key).to_bytes(length, "little")


class Session:
    """A data channel: upgrade, handshake, task."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        head = self._head()
        key = next(line.split(":", 1)[1].strip() for line in head if line.lower().startswith("sec-websocket-key:"))
        accept = base64.b64encode(sha1(f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest()).decode()
        connection.send(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {accept}\r\n\r\n".encode()
        )
        self.expected = 0
        self.duplicates = 0
        self.next = 0
        self.task = head[0].split(" ")[1].partition("?")[0].strip("/").split("/")

    def _head(self) -> list[str]:
        buffer = self.connection.buffer
        while b"\r\n\r\n" not in buffer:
            if not self.connection.turn():
                raise ConnectionError
        head, _, rest = bytes(buffer).partition(b"\r\n\r\n")
        buffer[:] = rest
        return head.decode("latin-1").split("\r\n")

    def output(self, payload_type: int, payload: bytes) -> bytes:
        made = frame(_OUTPUT, self.next, 0 if self.next else 1, payload_type, payload)
        self.next += 1
        return made

    def inputs(self, answers: list[bytes]) -> Iterator[tuple[int, int, int, bytes]]:
        """Yield payload type, offset in the buffer, length and mask of each input; appends acks to `answers`."""
        data = self.connection.buffer
        for opcode, mask, start, length in self.connection.frames():
            if opcode != 2:
                continue
            header = unmasked(data[start : start + 120], mask)
            if header[4:36] != _INPUT:
                continue
            sequence = int.from_bytes(header[48:56], "big")
            answers.append(acknowledgement(sequence))
            if sequence != self.expected:
                self.duplicates += 1
                continue
            self.expected += 1
            yield int.from_bytes(header[112:116], "big"), start + 120, length - 120, mask

    def shake_hands(self) -> None:
        while not list(self.connection.frames()):  # the text frame
            if not self.connection.turn():
                raise ConnectionError
        self.connection.send(self.output(5, json.dumps(_REQUEST).encode()))
        while True:
            answers: list[bytes] = []
            kinds = [kind for kind, *_ in self.inputs(answers)]
            if answers:
                self.connection.send(b"".join(answers))
            if 6 in kinds:
                break
            if not self.connection.turn():
                raise ConnectionError
        complete = b'{"HandshakeTimeToComplete":1000000,"CustomerMessage":""}'
        self.connection.send(self.output(7, complete) + self.output(1, greeting.SERVER_FIRST))
        left = len(greeting.CLIENT)
        while left:
            if not self.connection.turn():
                raise ConnectionError
            answers = []
            left -= sum(length for kind, _, length, _ in self.inputs(answers) if kind == 1)
            if answers:
                self.connection.send(b"".join(answers))
        self.connection.send(self.output(1, greeting.SERVER_THEN))

    def run(self) -> None:
        self.shake_hands()
        kind, *size = self.task
        if kind == "sink":
            self.sink(int(size[0]))
        elif kind == "source":
            self.source(int(size[0]))
        else:
            self.echo()
        while self.connection.turn():  # until the client has gone
            self.connection.buffer.clear()

    def sink(self, size: int) -> None:
        acks = [acknowledgement(number) for number in range(self.expected + size // PAYLOAD + MORE_MESSAGES)]
        kept: list[tuple[bytes, bytes]] = []
        begin, received = 0.0, 0
        self.connection.send(self.output(1, READY))
        while received < size:
            answers: list[bytes] = []
            data = self.connection.buffer
            expected = self.expected
            for _, mask, start, length in self.connection.frames():
                if length < 120 or data[start + 4] ^ mask[0] != _INPUT[0]:
                    continue  # an acknowledgement, a ping
                number = (
                    int.from_bytes(data[start + 48 : start + 56], "big") ^ int.from_bytes(mask, "big") * 0x1_0000_0001
                )
                answers.append(acks[number])
                if number == expected:
                    # The header has 120 bytes, so the mask starts over with the payload.
                    kept.append((mask, bytes(data[start + 120 : start + length])))
                    expected += 1
                    received += length - 120
                else:
                    self.duplicates += 1
            self.expected = expected
            if answers and not begin:
                begin = time.monotonic()
                report(event="begin", at=begin)
            if answers:
                self.connection.send(b"".join(answers))
            if received < size and not self.connection.turn():
                raise ConnectionError
        # It follows all acknowledgements, so the client has processed them when it arrives.
        self.connection.send(self.output(1, DONE))
        report(event="checked", right=b"".join(unmasked(data, mask) for mask, data in kept) == stream(size))

    def source(self, size: int) -> None:
        data = stream(size)
        frames = [self.output(1, data[start : start + PAYLOAD]) for start in range(0, size, PAYLOAD)]
        acknowledged, wanted = 0, len(frames)
        batches = [b"".join(frames[start : start + 64]) for start in range(0, wanted, 64)]
        batches.reverse()
        begin = time.monotonic()
        report(event="begin", at=begin)
        while acknowledged < wanted:
            while batches and self.connection.backlog < _BACKLOG:
                self.connection.send(batches.pop())
            if not self.connection.turn():
                raise ConnectionError
            acknowledged += sum(1 for opcode, _, _, length in self.connection.frames() if opcode == 2 and length > 200)
        report(event="end", at=time.monotonic())

    def echo(self) -> None:
        """Return each byte at once. The frames are made in advance, so that only the client is measured."""
        made = [acknowledgement(self.expected + i) + self.output(1, ECHO) for i in range(MORE_MESSAGES)]
        made.reverse()
        connection = self.connection
        report(event="begin")
        while connection.turn():
            data = connection.buffer
            for _, mask, start, length in connection.frames():
                if length == 121 and data[start + 4] ^ mask[0] == _INPUT[0]:
                    connection.send(made.pop())


def stream(size: int) -> bytes:
    return (BLOCK * (size // len(BLOCK) + 1))[:size]


def plain_echo(server: socket.socket) -> None:
    while True:
        sock, _ = server.accept()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with sock:
            while data := sock.recv(65536):
                sock.sendall(data)


def end_with_parent() -> None:
    """End together with the parent process, which holds the other end of stdin."""
    sys.stdin.buffer.read()
    os._exit(0)


def main() -> None:
    folder = Path(sys.argv[1])
    authority = new_authority(folder)
    (folder / "ca.pem").write_bytes(authority.pem)
    server, plain = socket.create_server(("127.0.0.1", 0)), socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=plain_echo, args=(plain,), daemon=True).start()
    report(port=server.getsockname()[1], plain=plain.getsockname()[1])
    threading.Thread(target=end_with_parent, daemon=True).start()
    while True:
        sock, _ = server.accept()
        try:
            connection = Connection(sock, authority.server_context)
            Session(connection).run()
            connection.close()
        except (OSError, StopIteration) as error:
            report(event="broken", reason=repr(error))


if __name__ == "__main__":
    main()
