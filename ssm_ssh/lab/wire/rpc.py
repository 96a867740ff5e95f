"""Remote calls from the lab's server to its instances process: numbered JSON lines on one UNIX socket.

The server writes one configuration line, then `{"id", "op", "args"}`; the child answers one line when it is ready,
then `{"id", "result"}` or `{"id", "error": {"code", "message"}}`. End of file on either side is the end of both.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from ssm_ssh.lab.process import lifeline

# A line carries at most the output of one command (bounded at 24,000 characters each way) or a console (64 KiB).
LINE_LIMIT = 4 * 1024 * 1024
_SILENT = '{"error": {"code": "NotStarted", "message": "the instances process ended while it started"}}'


class CallFailed(Exception):
    """A call was refused: `code` is AWS's name of the error, `message` its text."""

    def __init__(self, code: str, message: str = "") -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message


class Service(Protocol):
    """What runs behind the client."""

    def ready(self) -> dict[str, Any]:
        """Return what the server is told once everything listens."""

    async def handle(self, op: str, args: dict[str, Any]) -> dict[str, Any]:
        """Carry out one call. Raises CallFailed."""

    async def stop(self) -> None:
        """End everything that was started."""


class Client:
    """The server's end: `await call(op, **args)`, any number at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._task: asyncio.Task[None] | None = None

    @classmethod
    async def open(cls, sock: socket.socket, config: dict[str, Any]) -> tuple[Client, dict[str, Any]]:
        """Send `config`, wait until the child is ready, and return the client with what it said.

        Raises CallFailed when the child ends, or says that it cannot start.
        """
        reader, writer = await asyncio.open_unix_connection(sock=sock, limit=LINE_LIMIT)
        client = cls(reader, writer)
        _write(writer, config)
        try:
            line = await reader.readline()
        except BaseException:
            writer.close()
            raise
        answer: dict[str, Any] = json.loads(line or _SILENT)
        if "error" in answer:
            writer.close()
            raise CallFailed(answer["error"]["code"], answer["error"]["message"])
        client._task = asyncio.create_task(client._receive())
        return client, answer["ready"]

    async def _receive(self) -> None:
        with contextlib.suppress(OSError):
            while line := await self._reader.readline():
                answer = json.loads(line)
                future = self._waiting.pop(answer["id"], None)
                if future is None or future.done():
                    continue
                if "error" in answer:
                    future.set_exception(CallFailed(answer["error"]["code"], answer["error"]["message"]))
                else:
                    future.set_result(answer["result"])
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(CallFailed("InternalServerError", "the instances process has ended"))
        self._waiting.clear()

    async def call(self, op: str, **args: object) -> dict[str, Any]:
        """Carry out `op` in the child and return its result. Raises CallFailed."""
        if self._task is None or self._task.done():
            raise CallFailed("InternalServerError", "the instances process has ended")
        number = next(self._numbers)
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        _write(self._writer, {"id": number, "op": op, "args": args})
        try:
            return await future
        finally:
            self._waiting.pop(number, None)

    async def ended(self) -> None:
        """Return when the child has ended."""
        if self._task is not None:
            await asyncio.wait([self._task])

    async def close(self) -> None:
        """Close this end: the child stops."""
        self._writer.close()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])


def _write(writer: asyncio.StreamWriter, value: dict[str, Any]) -> None:
    writer.write(json.dumps(value).encode() + b"\n")


def serve(start: Callable[[dict[str, Any]], Awaitable[Service]]) -> int:
    """Be the child: read the configuration from fd 0, `start` with it, serve calls until end of file; return 0.

    An error at the start is reported to the server, which words it for the user.
    """
    lifeline.adopt_orphans()
    # No other process may read the socket, and no grandchild may inherit it, which would keep it open.
    sock = socket.socket(fileno=os.dup(0))
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.close(null)
    lifeline.die_with_parent()
    try:
        asyncio.run(_serve(sock, start))
    finally:
        lifeline.end_descendants()
    return 0


async def _serve(sock: socket.socket, start: Callable[[dict[str, Any]], Awaitable[Service]]) -> None:
    reader, writer = await asyncio.open_unix_connection(sock=sock, limit=LINE_LIMIT)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    # Ctrl-C reaches the whole process group; the server decides when this process ends.
    loop.add_signal_handler(signal.SIGINT, lambda: None)
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    lifeline.reap_orphans(loop)
    line = await reader.readline()
    if not line:
        return
    try:
        child = await start(json.loads(line))
    except Exception as error:
        # The server must learn of any error.
        code = error.code if isinstance(error, CallFailed) else type(error).__name__
        message = error.message if isinstance(error, CallFailed) else str(error)
        _write(writer, {"error": {"code": code, "message": message}})
        writer.close()
        return
    _write(writer, {"ready": child.ready()})
    tasks: set[asyncio.Task[None]] = set()

    async def answer_call(number: int, op: str, args: dict[str, Any]) -> None:
        try:
            answer: dict[str, Any] = {"id": number, "result": await child.handle(op, args)}
        except CallFailed as error:
            answer = {"id": number, "error": {"code": error.code, "message": error.message}}
        except Exception as error:
            # A bug in one call must not end the lab.
            print(f"lab instances: {op}: {error!r}", file=sys.stderr)  # noqa: T201
            answer = {"id": number, "error": {"code": "InternalServerError", "message": repr(error)}}
        _write(writer, answer)

    async def calls() -> None:
        with contextlib.suppress(OSError):
            while line := await reader.readline():
                call = json.loads(line)
                task = asyncio.create_task(answer_call(call["id"], call["op"], call["args"]))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
        stop.set()

    reading = asyncio.create_task(calls())
    await stop.wait()
    for task in (reading, *tasks):
        task.cancel()
    await asyncio.gather(reading, *tasks, return_exceptions=True)
    await child.stop()
    writer.close()
