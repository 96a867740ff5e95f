"""Descriptors and programs in an asyncio loop, read and written in the sizes that the caller wants."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import threading
from collections.abc import Callable, Sequence
from typing import Any


class Descriptor:
    """A descriptor that belongs to this object. One task reads it, another writes it."""

    def __init__(self, fd: int) -> None:
        os.set_blocking(fd, False)
        self._fd = fd
        self._loop = asyncio.get_running_loop()
        self._waiting: set[asyncio.Future[None]] = set()

    @property
    def fd(self) -> int:
        """The descriptor's number, -1 once it is closed."""
        return self._fd

    async def read(self, size: int, *, unless: asyncio.Future[Any] | None = None) -> bytes | None:
        """Return up to `size` bytes; b"" at the end, None when nothing is there and `unless` is done."""
        while self._fd >= 0:
            try:
                return os.read(self._fd, size)
            except BlockingIOError:
                if unless is not None and unless.done():
                    return None
                await self._ready(self._loop.add_reader, self._loop.remove_reader, unless)
            except OSError:
                # A pseudo-terminal that no process holds any more: EIO on Linux.
                return b""
        return b""

    async def write(self, data: bytes) -> None:
        """Write all of `data`, however long that takes. Raises OSError."""
        while data:
            if self._fd < 0:
                raise BrokenPipeError
            try:
                data = data[os.write(self._fd, data) :]
            except BlockingIOError:
                await self._ready(self._loop.add_writer, self._loop.remove_writer)

    async def _ready(
        self,
        add: Callable[..., object],
        remove: Callable[[int], object],
        unless: asyncio.Future[Any] | None = None,
    ) -> None:
        ready: asyncio.Future[None] = self._loop.create_future()
        self._waiting.add(ready)
        fd = self._fd
        add(fd, _done, ready)
        try:
            await asyncio.wait([ready, *([unless] if unless is not None else [])], return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._waiting.discard(ready)
            if self._fd == fd:
                remove(fd)

    def close(self) -> None:
        """Close the descriptor. A task that waits for it sees its end."""
        if self._fd < 0:
            return
        self._loop.remove_reader(self._fd)
        self._loop.remove_writer(self._fd)
        os.close(self._fd)
        self._fd = -1
        for waiting in self._waiting:
            _done(waiting)


def _done(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


class Program:
    """A running program; `ended` is its exit status, negative for a signal."""

    def __init__(self, argv: Sequence[str], **options: Any) -> None:  # noqa: ANN401 -- those of Popen
        """Start it. Raises OSError."""
        self._process = subprocess.Popen(argv, **options)
        self._loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[int] = self._loop.create_future()
        threading.Thread(target=self._wait, name=f"waits for {argv[0]}", daemon=True).start()

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    def signal(self, number: int) -> None:
        """Send a signal to the process, and to nothing else. Nothing happens once it has ended."""
        if not self.ended.done():
            with contextlib.suppress(OSError):
                self._process.send_signal(number)

    def _wait(self) -> None:
        status = self._process.wait()
        # The loop may have ended before the program.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._set, status)

    def _set(self, status: int) -> None:
        if not self.ended.done():
            self.ended.set_result(status)
