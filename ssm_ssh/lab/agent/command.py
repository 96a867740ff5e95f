"""Sessions of the type NonInteractiveCommands: a program without a shell, a terminal or input.

After amazon-ssm-agent, agent/session/shell/shell.go (executeCommandsWithExec).
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import signal
import subprocess
import tempfile
from collections.abc import Awaitable, Iterable, Iterator
from typing import IO, Any, NamedTuple

from ssm_ssh.lab.agent.channel import PAYLOAD_SIZE, DataChannel
from ssm_ssh.lab.agent.login import Login
from ssm_ssh.lab.agent.options import AgentOptions
from ssm_ssh.lab.agent.output import Characters
from ssm_ssh.lab.agent.result import Result
from ssm_ssh.lab.agent.shell import BUFFER, send_paced
from ssm_ssh.lab.process.descriptor import Descriptor, Program
from ssm_ssh.lab.wire import message as am

# The bytes of input that count.
_SIGNALS = {0x03: signal.SIGINT, 0x1C: signal.SIGQUIT}
# What the agent reports when it does not know the exit code, and when it could not pass all output on.
_ERROR_CODE = 1


class Streams(NamedTuple):
    """How the output is passed on. `separate`: as two streams, each with its prefix, and then the exit code."""

    separate: bool = False
    stdout_prefix: str = ""
    stderr_prefix: str = ""


class CommandPlugin:
    """One command. It is the data channel's handler; `run` ends when the session does."""

    one_by_one = True

    def __init__(self, cancelled: asyncio.Event, options: AgentOptions) -> None:
        self._cancelled = cancelled
        self._options = options
        self._program: Program | None = None
        self._signalled = False
        self._kept = options.signal_race == "kept"
        # Done when a signalled program has been waited for where the signal came in, which closes its pipes.
        self._reaped: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    # As the channel's handler

    def accept(self, message: am.Message) -> bool:
        """Take a message; False for a signal to a program that is not there."""
        if message.payload_type != am.P_OUTPUT:
            return True
        number = next((_SIGNALS[byte] for byte in message.payload if byte in _SIGNALS), None)
        if number is None:
            return True
        if self._program is None or self._program.ended.done():
            return False
        self._program.signal(number)
        self._signalled = True
        return True

    async def flush(self) -> None:
        """After a signal, wait until the program has ended: the official agent reads nothing until then."""
        if self._signalled and self._program is not None:
            await asyncio.shield(self._program.ended)
            if not self._reaped.done():
                self._reaped.set_result(None)

    # As the session's task

    async def run(self, channel: DataChannel, argv: list[str], login: Login, streams: Streams) -> Result:
        """Run `argv` and pass on what it writes."""
        try:
            if streams.separate:
                result = await self._separate(channel, argv, login, streams)
            else:
                result = await self._merged(channel, argv, login)
        except OSError as error:
            await self.send_error(channel, _start_error(argv[0], error))
            # The agent's own report of the failure is overwritten by an empty one.
            result = Result("Failed")
        await channel.prepare_to_close()
        channel.send_state("Terminating")
        return result

    async def send_error(self, channel: DataChannel, text: str) -> None:
        """Send an error as StdErr, a second late."""
        await asyncio.sleep(self._options.error_delay)
        channel.send_stream(am.P_STDERR, [text.encode()])

    def _start(self, argv: list[str], login: Login, stdout: int | IO[bytes], stderr: int | IO[bytes]) -> Program:
        self._program = Program(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            env=login.environment,
            **login.options,
        )
        return self._program

    async def _merged(self, channel: DataChannel, argv: list[str], login: Login) -> Result:
        """Collect both streams in a file, and send it when the program has ended."""
        with tempfile.TemporaryFile(buffering=0) as file:
            program = self._start(argv, login, file, file)
            with _waiting(self._cancelled) as cancelled:
                either: list[asyncio.Future[Any]] = [program.ended, cancelled]
                await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
                pump = asyncio.create_task(self._send_file(channel, file))
                if program.ended.done():
                    await asyncio.wait([pump, cancelled], return_when=asyncio.FIRST_COMPLETED)
                    pump.cancel()
                else:
                    # Even of a session that is over the agent sends what there is.
                    program.signal(signal.SIGKILL)
                    await pump
                return Result("Success")

    async def _send_file(self, channel: DataChannel, file: IO[bytes]) -> None:
        characters = Characters()
        file.seek(0)
        while data := file.read(BUFFER):
            await send_paced(channel, characters, data, pacing=self._options.pacing)

    async def _separate(self, channel: DataChannel, argv: list[str], login: Login, streams: Streams) -> Result:
        stdout, stdout_end = os.pipe()
        stderr, stderr_end = os.pipe()
        outputs = [Descriptor(stdout), Descriptor(stderr)]
        try:
            try:
                program = self._start(argv, login, stdout_end, stderr_end)
            except OSError:
                self._send_code(channel, _ERROR_CODE)
                raise
            finally:
                os.close(stdout_end)
                os.close(stderr_end)
            readers = asyncio.gather(
                self._send_stream(channel, outputs[0], am.P_OUTPUT, streams.stdout_prefix.encode()),
                self._send_stream(channel, outputs[1], am.P_STDERR, streams.stderr_prefix.encode()),
            )
            done = asyncio.create_task(_all(readers, program))
            with _waiting(self._cancelled) as cancelled:
                await asyncio.wait([done, cancelled], return_when=asyncio.FIRST_COMPLETED)
            if not done.done():
                done.cancel()
                program.signal(signal.SIGKILL)
                return Result("Success")
            complete, code = done.result()
            complete = complete and (self._kept or not self._signalled)
            if self._signalled and not complete:
                # The exit code is known only where the program was waited for first.
                code = _ERROR_CODE
            self._send_code(channel, code)
            return Result("Success" if complete else "Failed")
        finally:
            for output in outputs:
                output.close()

    def _send_code(self, channel: DataChannel, code: int) -> None:
        if channel.active.is_set():
            channel.send_stream(am.P_EXIT_CODE, [f"EXIT_CODE: {code}".encode()])

    async def _send_stream(self, channel: DataChannel, output: Descriptor, payload_type: int, prefix: bytes) -> bool:
        """Send what comes out of one pipe. Return False when a pause, or a signal's end, stopped that for ever."""
        characters = Characters()
        fresh = True
        while channel.active.is_set():
            if self._reaped.done() and not self._kept:
                return False
            data = await output.read(PAYLOAD_SIZE - len(prefix), unless=self._reaped)
            if data is None:
                return False
            if not data:
                return True
            if fresh:
                characters.insert(prefix)
            fresh = data.endswith(b"\n")
            piece = characters.feed(data)
            if piece:
                channel.send_stream(payload_type, [piece])
            await channel.drain()
            await asyncio.sleep(0)
        return False


async def _all(readers: Awaitable[Iterable[bool]], program: Program) -> tuple[bool, int]:
    """Wait for the ends of both streams and then of the program; return whether all was read, and the exit code."""
    complete = all(await readers)
    code = await asyncio.shield(program.ended)
    return complete, max(code, -1)


@contextlib.contextmanager
def _waiting(event: asyncio.Event) -> Iterator[asyncio.Task[bool]]:
    task = asyncio.create_task(event.wait())
    try:
        yield task
    finally:
        task.cancel()


def _start_error(program: str, error: OSError) -> str:
    """Return what Go says of a program that cannot be started."""
    if error.errno == errno.ENOENT and "/" not in program:
        return f'exec: "{program}": executable file not found in $PATH'
    words = {errno.ENOENT: "no such file or directory", errno.EACCES: "permission denied"}
    words |= {errno.ENOEXEC: "exec format error", errno.E2BIG: "argument list too long"}
    return f"fork/exec {program}: {words.get(error.errno or 0, (error.strerror or '').lower())}"
