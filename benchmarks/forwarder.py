"""A network with any delay on loopback, in a process of its own: forwarder.py NUMBER

It listens on NUMBER ports of 127.0.0.1 and prints them as a JSON list. Then it reads JSON lines from stdin:
{"targets": [port, ...], "delay": seconds}. It forwards each byte `delay` seconds later in each direction. The first
bytes of a client wait for another round trip, like that of TCP's handshake.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import time
from collections import deque

targets: list[int] = []
delay = 0.0


class Direction:
    """One direction of a connection."""

    def __init__(self, writer: asyncio.StreamWriter, begin: float, one_way: float) -> None:
        self._writer = writer
        self._begin = begin
        self._one_way = one_way
        self._waiting: deque[tuple[float, bytes]] = deque()
        self._loop = asyncio.get_running_loop()

    def push(self, data: bytes) -> None:
        due = max(time.monotonic(), self._begin) + self._one_way
        self._waiting.append((due, data))
        if not self._one_way:
            self._deliver()
        elif len(self._waiting) == 1:
            self._loop.call_at(due, self._deliver)

    def _deliver(self) -> None:
        # The loop's clock is accurate to half a millisecond.
        now = time.monotonic() + 0.0005
        while self._waiting and (self._waiting[0][0] <= now or not self._one_way):
            data = self._waiting.popleft()[1]
            if data:
                self._writer.write(data)
            else:
                self._writer.close()
        if self._waiting:
            self._loop.call_at(self._waiting[0][0], self._deliver)


async def copy(reader: asyncio.StreamReader, direction: Direction) -> None:
    data = b"-"
    while data:
        try:
            data = await reader.read(65536)
        except OSError:
            data = b""
        direction.push(data)


async def serve(number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    one_way = delay
    begin = time.monotonic() + 2 * one_way
    there_reader, there_writer = await asyncio.open_connection("127.0.0.1", targets[number])
    for end in (writer, there_writer):
        end.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    await asyncio.gather(
        copy(reader, Direction(there_writer, begin, one_way)), copy(there_reader, Direction(writer, 0.0, one_way))
    )


async def main() -> None:
    global targets, delay
    ports = []
    for number in range(int(sys.argv[1])):
        server = await asyncio.start_server(
            lambda reader, writer, number=number: serve(number, reader, writer), "127.0.0.1", 0
        )
        ports.append(server.sockets[0].getsockname()[1])
    print(json.dumps(ports), flush=True)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        request = json.loads(line)
        targets, delay = request["targets"], request["delay"]
        print("{}", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
