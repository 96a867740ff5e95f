"""A terminal on one side and a pty on the other, both in virtual time, with the real relay between them."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random

from ssm_ssh.channel.handshake import SHELL
from ssm_ssh.channel.message import SIZE, Message
from ssm_ssh.channel.session import Channel
from ssm_ssh.relay.assembly import Parts
from ssm_ssh.relay.link import Link
from ssm_ssh.relay.loop import Relay
from ssm_ssh.relay.poller import GONE, READ, WRITE
from ssm_ssh.shell.handler import ShellHandler
from tests.channel.simulation import Agent
from tests.relay.virtual import Gateway, QuietLog, VirtualSession, VirtualWorld

INSTANCE = "i-0123456789abcdef0"
PROMPT = b"$ "


class PtyAgent(Agent):
    """An agent with a shell behind it: silent for a second, without a handshake unless it is asked for."""

    def __init__(self, world: VirtualWorld, *, handshake: bool = False, lag: float = 1.0) -> None:
        super().__init__(world, handshake=handshake, port_lag=lag)
        self.session: VirtualSession
        self.sent = b""
        self.sizes: list[tuple[int, int]] = []

    def _port_up(self) -> None:
        self.port_up = True
        self.say(PROMPT)

    def say(self, data: bytes) -> None:
        self.sent += data
        self.output(data)

    def _process(self, message: Message) -> bool:
        if not super()._process(message):
            return False
        if message.payload_type == SIZE and self.complete:
            size = json.loads(message.payload)
            self.sizes.append((size["cols"], size["rows"]))
        return True


class VirtualTerminal:
    """A terminal emulator (handler.LocalTerminal)."""

    def __init__(self, world: VirtualWorld) -> None:
        self.world = world
        self.input = self.output = 0
        self.ended = self.broken = False
        self.backlog = 0
        self.raw = False
        self.columns, self.rows = 80, 24
        self.shown = b""
        self.output_shown = b""
        """`shown` without ssm-ssh's own lines."""
        self.told: list[str] = []
        self.typed = b""
        self.taking = True
        self.alive = True
        self.modes: list[str] = []
        self.suspended = 0
        self._inbox = b""
        self._waiting = b""
        world.ready[0] = self._mask

    # what the user does

    def type(self, data: bytes) -> None:
        self.typed += data
        self._inbox += data

    def close(self) -> None:
        self.alive = False

    # what the handler calls

    def _mask(self) -> int:
        if not self.alive:
            return READ | GONE
        return (READ if self._inbox else 0) | (WRITE if self.taking else 0)

    def size(self) -> tuple[int, int] | None:
        return (self.columns, self.rows) if self.columns else None

    def read(self, room: int) -> bytes:
        data, self._inbox = self._inbox[:room], self._inbox[room:]
        if not data and not self.alive:
            self.ended = True
        return data

    def write(self, data: bytes) -> None:
        self._waiting += data
        self.backlog = len(self._waiting)
        self.flush()

    def flush(self) -> None:
        if not self.alive:
            self.broken = True
            self._waiting, self.backlog = b"", 0
        elif self.taking:
            self.shown += self._waiting
            self._waiting, self.backlog = b"", 0

    def tell(self, text: str) -> None:
        assert text.isprintable()
        self.told.append(text)

    def enter_raw(self) -> None:
        self.raw = True
        self.modes.append("raw")

    def restore(self, last: bytes = b"") -> None:
        self.shown += last
        self.raw = False
        self.modes.append("restored")

    def suspend(self) -> None:
        self.suspended += 1


class Starter:
    """What starts sessions (session.watch.Starter)."""

    instance_id = INSTANCE
    asking = True

    def __init__(self, gateway: Gateway) -> None:
        self.start = gateway.start
        self.connected: bool | None = True
        self.questions = 0
        self.runs = "Ubuntu 24.04"

    def platform(self) -> str:
        return self.runs

    def cancel(self) -> None:
        self.cancelled = True

    def agent_connected(self) -> bool | None:
        self.questions += 1
        return self.connected


class Stage:
    """Everything, wired up; `run` plays until the relay is over."""

    def __init__(
        self,
        *,
        delay: Callable[[], float] = lambda: 0.05,
        handshake: bool = False,
        lag: float = 1.0,
        session_types: tuple[str, ...] = (SHELL,),
        unix: bool = False,
    ) -> None:
        self.world = VirtualWorld(delay)
        self.handshake, self.lag = handshake, lag
        self.gateway = Gateway(self.world, self._agent)
        self.terminal = VirtualTerminal(self.world)
        self.starter = Starter(self.gateway)
        self.log = QuietLog()
        parts = Parts(self.world, self.log, self.world.now, 900.0, lambda: 0.5)  # type: ignore[arg-type]
        self.handler = ShellHandler(self.starter, self.terminal, parts, unix=unix)
        link = Link(
            self.gateway.start,
            lambda: Channel(client_id="c", epoch=0.0, session_types=session_types, random_bits=Random(2).getrandbits),
            clock=self.world,
            tasks=self.world,
            poller=self.world,
            log=self.log,  # type: ignore[arg-type]
            random=lambda: 0.5,
            back_pressure=True,
        )
        self.relay = Relay(
            self.handler,
            link,
            clock=self.world,
            tasks=self.world,
            poller=self.world,
            log=self.log,  # type: ignore[arg-type]
        )
        self.began = self.world.now

    def _agent(self) -> Agent:
        return PtyAgent(self.world, handshake=self.handshake, lag=self.lag)

    @property
    def agent(self) -> PtyAgent | None:
        """The agent of the session, once its shell has spoken."""
        sessions = self.gateway.sessions
        agent = sessions[-1].agent if sessions else None
        return agent if isinstance(agent, PtyAgent) and agent.port_up else None

    @property
    def seconds(self) -> float:
        return self.world.now - self.began

    def after(self, seconds: float, action: Callable[..., object], *arguments: object) -> None:
        self.world.at(self.began + seconds, action, *arguments)

    def say(self, data: bytes) -> None:
        assert self.agent is not None
        self.agent.say(data)

    def end(self, reason: str = "") -> None:
        for session in self.gateway.sessions:
            session.end(reason)

    def run(self) -> int:
        failed = self.relay.run()
        assert self.terminal.modes[-1] == "restored"
        assert not self.terminal.raw
        return self.handler.status or failed
