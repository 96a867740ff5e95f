"""Local streams: what a slow reader leaves waits in order, and one that is gone stops it."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from ssm_ssh.command.local import LocalOutput, read, terminal_size


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for fd in ends:
        try:
            os.close(fd)
        except OSError:
            continue


def test_what_does_not_fit_waits_and_arrives_in_order(pipe: tuple[int, int]) -> None:
    output = LocalOutput(pipe[1])
    output.open()
    data = os.urandom(300_000)
    output.write(data[:200_000])
    output.write(data[200_000:])
    assert output.backlog > 0
    got = b""
    while output.backlog:
        got += os.read(pipe[0], 65536)
        output.flush()
    os.set_blocking(pipe[0], False)
    while len(got) < len(data):
        got += os.read(pipe[0], 65536)
    assert got == data
    output.close()
    assert os.get_blocking(pipe[1])


def test_a_reader_that_is_gone_takes_no_more(pipe: tuple[int, int]) -> None:
    output = LocalOutput(pipe[1])
    output.open()
    os.close(pipe[0])
    output.write(b"x")
    output.write(b"y")
    assert (output.broken, output.backlog) == (True, 0)


def test_a_closed_descriptor_is_broken_from_the_start(pipe: tuple[int, int]) -> None:
    os.close(pipe[1])
    output = LocalOutput(pipe[1])
    output.open()
    assert output.broken
    output.close()
    assert read(pipe[1], 9) == b""


def test_reading_tells_nothing_yet_from_the_end(pipe: tuple[int, int]) -> None:
    os.set_blocking(pipe[0], False)
    assert read(pipe[0], 9) is None
    os.write(pipe[1], b"hello")
    assert read(pipe[0], 2) == b"he"
    os.close(pipe[1])
    assert read(pipe[0], 9) == b"llo"
    assert read(pipe[0], 9) == b""


def test_a_pipe_has_no_size(pipe: tuple[int, int]) -> None:
    assert terminal_size(pipe[0]) is None
