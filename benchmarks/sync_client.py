"""The client to compare with: the same protocol on `websockets.sync`, written in the obvious way.

    sync_client.py URL CA_FILE      stdin and stdout are the stream

It has a thread for each direction. It verifies digests, acknowledges, puts messages in order and keeps unacknowledged
ones. It does not retransmit, which costs time and is not needed on a connection that never breaks. Compression is off
and stdin is read in large pieces; nothing else is tuned or slowed down.
"""

from __future__ import annotations

import hashlib
import json
import os
import ssl
import struct
import sys
import threading
import time
import uuid

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

PAYLOAD = 1024
OUTSTANDING = 10_000
"""Most unacknowledged messages: the number that the official plugin keeps."""

HEADER = struct.Struct(">I32sIQqQ16s32sII")


def encode(kind: str, sequence: int, flags: int, payload_type: int, payload: bytes) -> bytes:
    bits = uuid.uuid4().bytes
    header = HEADER.pack(
        116,
        kind.encode().ljust(32),
        1,
        int(time.time() * 1000),
        sequence,
        flags,
        bits[8:] + bits[:8],
        hashlib.sha256(payload).digest(),
        payload_type,
        len(payload),
    )
    return header + payload


class Client:
    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.lock = threading.Lock()
        self.next = 0
        self.unacknowledged: dict[int, bytes] = {}
        self.room = threading.Semaphore(OUTSTANDING)
        self.expected = 0
        self.buffered: dict[int, tuple[int, bytes]] = {}
        self.ready = threading.Event()

    def send(self, payload_type: int, payload: bytes) -> None:
        self.room.acquire()
        with self.lock:
            sequence = self.next
            self.next += 1
            message = encode("input_stream_data", sequence, 0, payload_type, payload)
            self.unacknowledged[sequence] = message
        self.socket.send(message)

    def upload(self) -> None:
        self.ready.wait()
        while data := os.read(0, 65536):
            for start in range(0, len(data), PAYLOAD):
                self.send(1, data[start : start + PAYLOAD])
        self.send(10, (2).to_bytes(4, "big"))
        self.socket.close()

    def download(self) -> None:
        for message in self.socket:
            assert isinstance(message, bytes)
            self.receive(message)

    def receive(self, message: bytes) -> None:
        length, kind, _, _, sequence, _, message_id, digest, payload_type, size = HEADER.unpack_from(message)
        payload = message[length + 4 :]
        if len(payload) != size or hashlib.sha256(payload).digest() != digest:
            return
        name = kind.rstrip(b" \0")
        if name == b"acknowledge":
            number = json.loads(payload)["AcknowledgedMessageSequenceNumber"]
            with self.lock:
                known = self.unacknowledged.pop(number, None)
            if known is not None:
                self.room.release()
        elif name == b"output_stream_data":
            acknowledgement = {
                "AcknowledgedMessageType": "output_stream_data",
                "AcknowledgedMessageId": str(uuid.UUID(bytes=message_id[8:] + message_id[:8])),
                "AcknowledgedMessageSequenceNumber": sequence,
                "IsSequentialMessage": True,
            }
            self.socket.send(encode("acknowledge", 0, 3, 0, json.dumps(acknowledgement).encode()))
            if sequence >= self.expected:
                self.buffered[sequence] = (payload_type, payload)
            while self.expected in self.buffered:
                self.deliver(*self.buffered.pop(self.expected))
                self.expected += 1

    def deliver(self, payload_type: int, payload: bytes) -> None:
        if payload_type == 1:
            view = memoryview(payload)
            while view:
                view = view[os.write(1, view) :]
            self.ready.set()
        elif payload_type == 5:
            action = {"ActionType": "SessionType", "ActionStatus": 1, "ActionResult": None, "Error": ""}
            response = {"ClientVersion": "1.2.764.0", "ProcessedClientActions": [action], "Errors": None}
            self.send(6, json.dumps(response).encode())


def main() -> None:
    url, ca_file = sys.argv[1:]
    context = ssl.create_default_context(cafile=ca_file)
    with connect(url, ssl=context, compression=None) as socket:
        opening = {
            "MessageSchemaVersion": "1.0",
            "RequestId": str(uuid.uuid4()),
            "TokenValue": "token",
            "ClientId": str(uuid.uuid4()),
            "ClientVersion": "1.2.764.0",
        }
        socket.send(json.dumps(opening))
        client = Client(socket)
        threading.Thread(target=client.upload, daemon=True).start()
        try:
            client.download()
        except ConnectionClosed:
            pass


if __name__ == "__main__":
    main()
