import contextlib
import os
import select

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


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="Linux alone reports the end of a parent")
def test_the_end_of_the_parent_is_reported() -> None:
    reads, writes = os.pipe()
    middle = os.fork()
    if middle == 0:
        go, started = os.pipe()
        if os.fork() == 0:
            streams = StandardStreams(reads, writes)
            streams.watch_parent()
            waiting = select.poll()
            waiting.register(streams.parent_fd, select.POLLIN)
            before = bool(waiting.poll(0)), streams.client_is_parent()
            os.write(started, b"x")
            after = bool(waiting.poll(30_000)), streams.client_is_parent()
            streams.forget_parent()
            os.write(writes, repr((before, after, streams.parent_fd)).encode())
            os._exit(0)
        os.read(go, 1)
        os._exit(0)
    os.waitpid(middle, 0)
    assert os.read(reads, 100) == b"((False, True), (True, False), -1)"
    os.close(reads)
    os.close(writes)


def test_a_system_that_reports_no_end_is_asked_for_none(
    ends: tuple[int, int, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "pidfd_open", raising=False)
    streams = StandardStreams(ends[0], ends[3])
    streams.watch_parent()
    assert streams.parent_fd == -1
    assert streams.client_is_parent()


def test_stderr_is_let_go_though_the_process_lives() -> None:
    import signal
    import subprocess
    import sys

    program = (
        "import os, signal\n"
        "from ssm_ssh.relay.stdio import StandardStreams\n"
        "pid = os.fork()\n"
        "if pid == 0:\n"
        "    os.close(1); os.open(os.devnull, os.O_RDWR); streams = StandardStreams(); streams.release_stderr()\n"
        "    assert streams.tell(b'unheard'); signal.pause()\n"
        "print(pid, flush=True); os._exit(0)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, input="", timeout=30)
    os.kill(int(done.stdout), signal.SIGKILL)
    assert done.stderr == ""
