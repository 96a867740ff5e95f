"""Sessions on a pseudo-terminal: Standard_Stream and InteractiveCommands.

After amazon-ssm-agent, agent/session/shell (shell.go, shell_unix.go).
"""

from __future__ import annotations

import asyncio
import json
import os
import signal

from ssm_ssh.lab.agent.channel import PAYLOAD_SIZE, DataChannel
from ssm_ssh.lab.agent.login import Login, StartFailed
from ssm_ssh.lab.agent.options import AgentOptions
from ssm_ssh.lab.agent.output import Characters
from ssm_ssh.lab.agent.port import BULK_WINDOW, PACE
from ssm_ssh.lab.agent.result import Result
from ssm_ssh.lab.process.descriptor import Descriptor, Program
from ssm_ssh.lab.process.terminal import open_terminal, resize, taking_terminal
from ssm_ssh.lab.wire import message as am

# What the agent's reader takes from the terminal at once, and then sends in messages.
BUFFER = 4096


class ShellPlugin:
    """One session on a terminal. It is the data channel's handler; `run` ends when the session does."""

    # The agent writes to the terminal within the loop that reads its socket: a full terminal stops everything.
    one_by_one = True

    def __init__(self, cancelled: asyncio.Event, options: AgentOptions) -> None:
        self._cancelled = cancelled
        self._options = options
        self._terminal: Descriptor | None = None
        self._pending = b""
        self._discarding = False

    def discard(self) -> None:
        """Discard all input from now on, like a worker that never starts its shell."""
        self._discarding = True

    # As the channel's handler

    def accept(self, message: am.Message) -> bool:
        """Take a message; False while there is no terminal, and for a size that cannot be read."""
        if self._terminal is None:
            return self._discarding
        if message.payload_type == am.P_OUTPUT:
            self._pending += message.payload
        elif message.payload_type == am.P_SIZE:
            try:
                size = json.loads(message.payload)
                columns, rows = int(size.get("cols", 0)), int(size.get("rows", 0))
            except (ValueError, AttributeError, TypeError):
                return False
            resize(self._terminal.fd, columns, rows)
        return True

    async def flush(self) -> None:
        """Type what was accepted into the terminal, and wait until it is there. Raises OSError."""
        data, self._pending = self._pending, b""
        if data and self._terminal is not None:
            await self._terminal.write(data)

    # As the session's task

    async def run(self, channel: DataChannel, argv: list[str], login: Login, profile: str = "") -> Result:
        """Run `argv` on a new terminal, with `profile` typed in. Raises StartFailed."""
        ours, theirs = open_terminal(login.owner)
        try:
            program = Program(
                [*taking_terminal(), *argv],
                stdin=theirs,
                stdout=theirs,
                stderr=theirs,
                env=login.environment,
                **login.options,
            )
        except OSError as error:
            os.close(ours)
            raise StartFailed(f"Failed to start pty: {error.strerror}\n") from error
        finally:
            os.close(theirs)
        terminal = self._terminal = Descriptor(ours)
        tasks = [asyncio.create_task(self._pump(channel, terminal)), asyncio.create_task(self._cancelled.wait())]
        try:
            if profile.strip():
                await terminal.write(f"{profile}\n".encode())
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if self._cancelled.is_set():
                program.signal(signal.SIGKILL)
                terminal.close()
            else:
                tasks[0].result()
                await channel.prepare_to_close()
                channel.send_state("Terminating")
            await asyncio.shield(program.ended)
            return Result("Success")
        finally:
            for task in tasks:
                task.cancel()
            terminal.close()

    async def _pump(self, channel: DataChannel, terminal: Descriptor) -> None:
        """Send what the terminal shows, until no process holds it any more."""
        await asyncio.sleep(self._options.prompt_delay)
        characters = Characters()
        while True:
            await channel.active.wait()
            data = await terminal.read(BUFFER)
            if not data:
                return
            await send_paced(channel, characters, data, pacing=self._options.pacing)


async def send_paced(channel: DataChannel, characters: Characters, data: bytes, *, pacing: bool) -> None:
    """Send `data` as Output, 1024 bytes a millisecond, and nothing while the channel is paused."""
    for at in range(0, len(data), PAYLOAD_SIZE):
        await channel.active.wait()
        piece = characters.feed(data[at : at + PAYLOAD_SIZE])
        if piece:
            channel.send_stream(am.P_OUTPUT, [piece])
        if pacing:
            await channel.drain()
            await asyncio.sleep(PACE)
        else:
            await channel.drain(BULK_WINDOW)
