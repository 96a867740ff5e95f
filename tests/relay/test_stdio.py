import contextlib
import os

import pytest

from ssm_ssh.relay.stdio import StandardStreams, tell


@pytest.fixture
def ends() -> tuple[int, int, int, int]:
    return (*os.pipe(), *os.pipe())


def test_bytes_pass_and_the_end_is_seen(ends: tuple[int, int, int, int]) -> None:
    stdin, ssh_writes, ssh_reads, stdout = ends
    pipes = StandardStreams(stdin, stdout)
    os.write(ssh_writes, b"hello world")
    assert pipes.read(5) == b"hello"
    assert pipes.read(100) == b" world"
    pipes.write(b"answer")
    assert os.read(ssh_reads, 100) == b"answer"
    os.close(ssh_writes)
    assert not pipes.ended
    assert pipes.read(100) == b""
    assert pipes.ended


def test_what_ssh_does_not_take_waits_in_order(ends: tuple[int, int, int, int]) -> None:
    stdin, _, ssh_reads, stdout = ends
    pipes = StandardStreams(stdin, stdout)
    sent = b""
    for number in range(300):
        piece = bytes([number % 256]) * 1000
        sent += piece
        pipes.write(piece)
    assert pipes.backlog > 0
    got = b""
    while len(got) < len(sent):
        got += os.read(ssh_reads, 65536)
        pipes.flush()
    assert got == sent
    assert pipes.backlog == 0


def test_a_reader_that_is_gone_is_noticed(ends: tuple[int, int, int, int]) -> None:
    stdin, _, ssh_reads, stdout = ends
    pipes = StandardStreams(stdin, stdout)
    os.close(ssh_reads)
    pipes.write(b"x")
    assert pipes.broken
    assert pipes.backlog == 0


def test_detach_lets_every_inherited_descriptor_go() -> None:
    program = (
        "import os, sys\n"
        "from ssm_ssh.relay.stdio import StandardStreams\n"
        "r, w = os.pipe(); pid = os.fork()\n"
        "if pid == 0:\n"
        "    StandardStreams().detach()\n"
        "    os.close(r); os.write(w, b'done'); os.read(os.open('/dev/zero', os.O_RDONLY), 1)\n"
        "    import signal; signal.pause()\n"
        "os.close(w); os.read(r, 4); print(pid, flush=True); os._exit(0)\n"
    )
    import signal
    import subprocess
    import sys

    # communicate() returns only when nobody holds the captured descriptors, though the child still lives
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, input="", timeout=30)
    os.kill(int(done.stdout), signal.SIGKILL)


def test_a_line_is_told_unless_it_would_have_to_wait_for_a_reader() -> None:
    reads, writes = os.pipe()
    try:
        assert tell(b"first\n", writes)
        assert os.read(reads, 100) == b"first\n"
        os.set_blocking(writes, False)
        with contextlib.suppress(BlockingIOError):
            while os.write(writes, bytes(65536)):
                pass
        os.set_blocking(writes, True)
        assert not tell(b"second\n", writes)
        os.read(reads, 65536)
        assert tell(b"third\n", writes)
    finally:
        os.close(reads)
        assert not tell(b"nobody reads\n", writes)
        os.close(writes)
