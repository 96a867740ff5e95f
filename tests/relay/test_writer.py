"""What a slow reader leaves waits in order, and a reader that is gone stops it."""

from __future__ import annotations

import errno
import os

from ssm_ssh.relay.writer import Writer


def test_what_does_not_fit_waits_and_arrives_in_order() -> None:
    reads, writes = os.pipe()
    os.set_blocking(writes, False)
    writer, data = Writer(writes), os.urandom(300_000)
    writer.write(data[:200_000])
    writer.write(data[200_000:])
    assert 0 < writer.backlog < len(data)
    arrived = b""
    while writer.backlog:
        arrived += os.read(reads, 65536)
        writer.flush()
    while len(arrived) < len(data):
        arrived += os.read(reads, 65536)
    assert arrived == data
    for fd in (reads, writes):
        os.close(fd)


def test_nothing_waits_for_a_reader_that_is_gone() -> None:
    reads, writes = os.pipe()
    os.set_blocking(writes, False)
    writer = Writer(writes)
    os.close(reads)
    writer.write(b"x")
    writer.write(b"y")
    assert (writer.broken, writer.backlog, writer.error) == (True, 0, 0)
    os.close(writes)


def test_a_disk_that_is_full_is_told_from_a_reader_that_is_gone() -> None:
    reads, writes = os.pipe()
    writer = Writer(reads)  # which cannot be written
    writer.write(b"x")
    assert (writer.broken, writer.backlog, writer.error) == (True, 0, errno.EBADF)
    for fd in (reads, writes):
        os.close(fd)
