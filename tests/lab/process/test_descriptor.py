"""Descriptors and programs in an asyncio loop."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from ssm_ssh.lab.process.descriptor import Descriptor, Program
from tests.lab.dataplane import asynchronous


@asynchronous
async def test_what_is_written_is_read_in_pieces_up_to_its_end() -> None:
    ours, theirs = os.pipe()
    reader, writer = Descriptor(ours), Descriptor(theirs)
    data = bytes(range(256)) * 1024  # more than a pipe holds
    writing = asyncio.create_task(writer.write(data))
    writing.add_done_callback(lambda _: writer.close())
    seen = b""
    while piece := await reader.read(1000):
        assert len(piece) <= 1000
        seen += piece
    assert seen == data
    reader.close()
    reader.close()  # twice does no harm


@asynchronous
async def test_closing_ends_those_who_wait() -> None:
    ours, theirs = os.pipe()
    reader, writer = Descriptor(ours), Descriptor(theirs)
    reading = asyncio.create_task(reader.read(10))
    writing = asyncio.create_task(writer.write(bytes(1_000_000)))
    await asyncio.sleep(0)
    writer.close()
    with pytest.raises(BrokenPipeError):
        await writing
    # What was written before is there, and then the end.
    assert await reading
    reader.close()
    assert (reader.fd, await reader.read(10)) == (-1, b"")


@asynchronous
async def test_a_reader_gives_up_when_something_else_has_happened() -> None:
    ours, theirs = os.pipe()
    reader, writer = Descriptor(ours), Descriptor(theirs)
    happened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    reading = asyncio.create_task(reader.read(10, unless=happened))
    await asyncio.sleep(0)
    happened.set_result(None)
    assert await reading is None
    await writer.write(b"x")
    assert await reader.read(10, unless=happened) == b"x"
    reader.close()
    writer.close()


@asynchronous
async def test_a_program_is_waited_for_and_signalled() -> None:
    program = Program(["sh", "-c", "exit 3"])
    assert await program.ended == 3
    program.signal(signal.SIGKILL)  # nothing to kill
    program = Program(["sleep", "60"])
    assert program.pid > 0
    program.signal(signal.SIGTERM)
    assert await program.ended == -signal.SIGTERM


@asynchronous
async def test_a_program_that_cannot_be_started_is_an_error() -> None:
    with pytest.raises(FileNotFoundError):
        Program(["/no/such/program"])
