"""Rows of the table: `ssm-ssh shell`, `exec` and `forward`, which need no sshd."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator

from measure import Row, cpu_seconds, interleaved
from startup import PROGRAM, World, peak_of

# Seconds that the agent sleeps before it reads the terminal of a shell: amazon-ssm-agent, shell.go.
AGENT_PAUSE = 1.0
# Milliseconds to the prompt beyond that pause, MB of memory, and the upload of the official plugin in MB/s.
PROMPT_LIMIT, MEMORY_LIMIT, PLUGIN_UPLOAD = 50.0, 30.0, 0.9
# The start of a shell, and a whole exec, against those of the official pair.
CHANNEL_LIMIT, EXEC_LIMIT = 0.2, 0.5
# Times the upload of the plugin, and times the CPU of one stream for the same bytes.
UPLOAD_LIMIT, STREAMS_LIMIT = 10.0, 2.0
PORT, STREAMS = 7000, 100
MB = 1_000_000


def shells(world: World, runs: int) -> list[Row]:
    """Measure the time until the data channel and the prompt, and the memory.

    The plugin is not on PyPI. Where it is not installed, the AWS CLI is measured until its StartSession alone.
    """
    env = world.direct()
    waits: list[float] = []
    peaks: list[float] = []

    def ours() -> float:
        begin = time.time()
        with _shell([PROGRAM, "shell", world.target.instance_id], env) as (prompt_at, pid):
            opened = _channel_opened(world, begin)
            waits.append(prompt_at - opened)
            peaks.append(peak_of(pid))
        return opened - begin

    def pair() -> float:
        begin = time.time()
        with _shell(_start_session(world), world.with_plugin(env)):
            return _channel_opened(world, begin) - begin

    def start_alone() -> float:
        return world.seconds_to_start_session(lambda: world.cli(env, document="", parameters=""))

    to_channel, theirs = interleaved(runs, ours, pair if world.pair else start_alone)
    beyond = (sorted(waits)[len(waits) // 2] - AGENT_PAUSE) * 1000
    return [
        Row(
            "shell: start to data channel",
            f"{to_channel * 1000:.0f} ms",
            f"{_what_ran(world)}: {theirs * 1000:.0f} ms",
            to_channel / theirs,
            "x",
            CHANNEL_LIMIT if world.pair else None,
        ),
        Row(
            "shell: data channel to prompt",
            f"{AGENT_PAUSE * 1000 + beyond:.0f} ms",
            "the agent's own pause: 1000 ms",
            beyond,
            " ms more",
            PROMPT_LIMIT,
        ),
        Row("shell: peak memory", f"{max(peaks):.1f} MB", "", max(peaks), " MB", MEMORY_LIMIT),
    ]


def commands(world: World, runs: int) -> Row:
    """Compare a whole `ssm-ssh exec` with the official pair, or with the AWS CLI until its StartSession alone."""
    env = world.direct()

    def whole() -> float:
        begin = time.perf_counter()
        subprocess.run([PROGRAM, "exec", world.target.instance_id, "true"], env=env, check=True)
        return time.perf_counter() - begin

    def pair() -> float:
        begin = time.perf_counter()
        command = _start_session(world, "AWS-StartNonInteractiveCommand", "command=true")
        # The end of its input would end the plugin before the session.
        with subprocess.Popen(
            command, env=world.with_plugin(env), stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            process.stdout.read()
            if process.wait():
                raise RuntimeError(f"the AWS CLI has ended with status {process.returncode}")
        return time.perf_counter() - begin

    def start_alone() -> float:
        return world.seconds_to_start_session(lambda: world.cli(env, document="", parameters=""))

    ours, theirs = interleaved(runs, whole, pair if world.pair else start_alone)
    return Row(
        "exec true, from start to end",
        f"{ours * 1000:.0f} ms",
        f"{_what_ran(world)}: {theirs * 1000:.0f} ms",
        ours / theirs,
        "x",
        EXEC_LIMIT,
    )


def forwards(world: World, megabytes: int) -> list[Row]:
    """Measure uploads through a forward: their pace over one connection, and the CPU of many for the same bytes."""
    with _sink() as port:
        world.lab.map_port(world.target.instance_id, PORT, port)
        with _forward(world) as (here, ready, pid):
            _upload(here, 1, MB)
            before = cpu_seconds(pid)
            seconds = _upload(here, 1, megabytes * MB)
            single = cpu_seconds(pid) - before
            _upload(here, STREAMS, MB)
            before = cpu_seconds(pid)
            _upload(here, STREAMS, megabytes * MB)
            many = cpu_seconds(pid) - before
    pace = megabytes / seconds
    rows = [
        Row("forward: start to ready", f"{ready * 1000:.0f} ms", "", ready * 1000, " ms"),
        Row(
            "forward: upload, one connection",
            f"{pace:.1f} MB/s",
            f"official plugin, as recorded: at most {PLUGIN_UPLOAD} MB/s",
            pace / PLUGIN_UPLOAD,
            "x",
            UPLOAD_LIMIT,
            at_least=True,
        ),
    ]
    if single:
        rows.append(
            Row(
                f"forward: CPU of {STREAMS} connections",
                f"{many * 1000 / megabytes:.0f} ms/MB",
                f"one connection: {single * 1000 / megabytes:.0f} ms/MB",
                many / single,
                "x",
                STREAMS_LIMIT,
            )
        )
    return rows


def _channel_opened(world: World, begin: float) -> float:
    """Return when the client asked for its data channel, the first time since `begin`. The agent has one as well."""
    agents = {call["access_key"] for call in world.lab.calls("CreateDataChannel")}
    calls = [call for call in world.lab.calls("OpenDataChannel") if call["access_key"] not in agents]
    return float(min(call["arrived"] for call in calls if call["arrived"] >= begin))


def _start_session(world: World, document: str = "", parameters: str = "") -> list[str]:
    """Return the AWS CLI's command for a session."""
    command = [world.aws, "ssm", "start-session", "--target", world.target.instance_id]
    return [*command, "--document-name", document, "--parameters", parameters] if document else command


def _what_ran(world: World) -> str:
    return "aws ssm start-session" + (" and its plugin" if world.pair else ", to StartSession alone")


@contextlib.contextmanager
def _shell(command: list[str], env: dict[str, str]) -> Iterator[tuple[float, int]]:
    """Run a shell until its prompt. Yields the time of the prompt (epoch) and the pid, then ends it."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(command[0], command, {**env, "TERM": "xterm"})
    try:
        shown = b""
        while not shown.endswith((b"$ ", b"# ")):
            shown += os.read(terminal, 4096)
        yield time.time(), pid
        os.write(terminal, b"exit\r")
        with contextlib.suppress(OSError):  # how Linux reports the end of the other side
            while os.read(terminal, 4096):
                pass
    finally:
        os.close(terminal)
        os.waitpid(pid, 0)


@contextlib.contextmanager
def _forward(world: World) -> Iterator[tuple[int, float, int]]:
    """Run a forward until it is ready. Yields its port, the seconds until then and the pid, then ends it."""
    begin = time.perf_counter()
    process = subprocess.Popen(
        [PROGRAM, "forward", "--json", world.target.instance_id, f"0:{PORT}"],
        env=world.direct(),
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        line = json.loads(process.stdout.readline())
        yield int(line["port"]), time.perf_counter() - begin, process.pid
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()
        process.stdout.close()


@contextlib.contextmanager
def _sink() -> Iterator[int]:
    """Yield the port of a server that reads as much as its first eight bytes tell, and then says so."""
    with socket.create_server(("127.0.0.1", 0), backlog=200) as server:

        def serve(connection: socket.socket) -> None:
            with connection:
                left = int.from_bytes(connection.recv(8, socket.MSG_WAITALL), "big")
                while left:
                    left -= len(connection.recv(min(left, 1 << 18)))
                connection.sendall(b"whole")

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield server.getsockname()[1]


def _upload(port: int, connections: int, size: int) -> float:
    """Send `size` bytes in all over so many connections at once; return the seconds until all have arrived."""

    def send(share: int) -> None:
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(share.to_bytes(8, "big") + bytes(share))
            if connection.recv(5, socket.MSG_WAITALL) != b"whole":
                raise RuntimeError("the upload has not arrived")

    begin = time.perf_counter()
    threads = [threading.Thread(target=send, args=(size // connections,)) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - begin
