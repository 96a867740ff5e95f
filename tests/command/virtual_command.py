"""A command on an instance, in virtual time: an honest agent with the script, and the real relay and handler."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable
from random import Random
from unittest import mock

from ssm_ssh.channel.handshake import INTERACTIVE, NONINTERACTIVE
from ssm_ssh.channel.message import EXIT_CODE, HANDSHAKE_REQUEST, START_PUBLICATION, STDERR, STREAM
from ssm_ssh.channel.session import Channel
from ssm_ssh.command import handler as module
from ssm_ssh.command.handler import CommandHandler
from ssm_ssh.command.run import DOCUMENTS
from ssm_ssh.command.script import Request, Way
from ssm_ssh.relay.assembly import Parts
from ssm_ssh.relay.link import Link
from ssm_ssh.relay.loop import Relay
from tests.channel.simulation import Agent
from tests.relay.virtual import Gateway, QuietLog, VirtualSession, VirtualSocket, VirtualWorld

STATUS = 7
OUT, ERR = b"some output\n" * 100, b"an error\n" * 50
LENGTH = 1.0
"""Seconds for which the command runs."""
_TYPES = {Way.APART: NONINTERACTIVE, Way.FRAMED: INTERACTIVE}


class ResumingGateway(Gateway):
    """A gateway that says, as AWS's does, when the agent may send again after a break."""

    def open(self, session: VirtualSession) -> VirtualSocket:
        again = session.begun
        socket = super().open(session)
        if again and session.down is not None:
            frame = session.agent._frame(START_PUBLICATION, 0, 3, 0, b"")
            session.down.send([frame])
        return socket


class ScriptAgent(Agent):
    """An agent that runs the script. The command writes, waits, writes and ends with STATUS, and counts its runs."""

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage.world, port_lag=0.1)
        self.stage = stage
        self.runs = 0
        self.signals: list[int] = []
        self.mute = False
        self._over = False

    def start(self) -> None:
        kind = _TYPES[self.stage.way]
        properties = {"separateOutputStream": True} if self.stage.way is Way.APART else {}
        action = {
            "ActionType": "SessionType",
            "ActionParameters": {"SessionType": kind, "Properties": properties},
        }
        request = {"AgentVersion": "3.3.0.0", "RequestedClientActions": [action]}
        self.write(json.dumps(request).encode(), HANDSHAKE_REQUEST)

    def _port_up(self) -> None:
        self.port_up = True
        self.on_data = self._typed
        self._pass(b"@ssm-ssh1\n")
        if self.stage.way is Way.APART:
            self._run()

    def _typed(self, data: bytes) -> None:
        apart = self.stage.way is Way.APART
        if not apart and not self.runs and self.received.startswith(b"go\n"):
            self._run()
        elif self._over and (data == b"\x03" if apart else b"bye\n" in self.received):
            self._end()
        elif not self._over and data in (b"\x03", b"\x1c"):
            self.signals.append(data[0])
            if self.stage.obedient:
                self._finish(128 + (2 if data == b"\x03" else 15))

    def _run(self) -> None:
        self.runs += 1
        self._frames(1, OUT)
        self.world.at(self.world.now + LENGTH, self._second)

    def _second(self) -> None:
        self._frames(2, ERR)
        self._finish(STATUS)

    def _finish(self, status: int) -> None:
        if self._over:
            return
        self._over = True
        apart = self.stage.way is Way.APART
        self._pass(b"1.1\n")
        self._pass(b"2.%d\n" % (status == STATUS), STDERR if apart else STREAM)
        self._pass(b"#%d\n=\n" % status)
        if apart:
            self._pass(b"=\n", STDERR)
        self.world.at(self.world.now + 300, self._end)

    def _end(self) -> None:
        if self.stage.way is Way.APART and not self.session.closed:
            self._pass(b"EXIT_CODE: 0", EXIT_CODE)
        self.session.end("")

    @property
    def session(self) -> VirtualSession:
        return next(session for session in self.stage.gateway.sessions if session.agent is self)

    def _frames(self, stream: int, data: bytes) -> None:
        apart = self.stage.way is Way.APART
        self._pass(b"%d%s\n" % (stream, b64encode(data)), STDERR if apart and stream == 2 else STREAM)

    def _pass(self, data: bytes, kind: int = STREAM) -> None:
        """Send output; AWS's agent never again does so after it has read some while the connection was broken."""
        if self.mute or self.session.closed:
            return
        for at in range(0, len(data), 1024):
            self.write(data[at : at + 1024], kind)
        self.mute = self.stage.stops and self.stage.gateway.socket is None


class MemoryOutput:
    """stdout or stderr (local.LocalOutput)."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.backlog = self.error = 0
        self.broken = False
        self.data = b""

    def open(self) -> None: ...

    def close(self) -> None: ...

    def flush(self) -> None: ...

    def write(self, data: bytes) -> None:
        self.data += data


class Starter:
    """The part of SessionStarter that the handler needs."""

    instance_id = "i-0123456789abcdef0"
    asking = False

    def __init__(self, way: Way) -> None:
        self.document = DOCUMENTS[way]

    def agent_connected(self) -> bool | None:
        return None

    def cancel(self) -> None: ...


class Stage:
    """Everything, wired up; `run` plays until the relay is over, and returns the status of `ssm-ssh exec`."""

    def __init__(self, way: Way, *, stops: bool = False, obedient: bool = True) -> None:
        self.way, self.stops, self.obedient = way, stops, obedient
        self.world = VirtualWorld()
        self.gateway = ResumingGateway(self.world, lambda: ScriptAgent(self))
        self.log = QuietLog()
        parts = Parts(self.world, self.log, self.world.now, 900.0, lambda: 0.5)  # type: ignore[arg-type]
        with mock.patch.object(module, "LocalOutput", MemoryOutput):
            self.handler = CommandHandler(Starter(way), parts, Request(("x",)), way, "t")  # type: ignore[arg-type]
        link = Link(
            self.gateway.start,
            lambda: Channel(client_id="c", epoch=0.0, session_types=(_TYPES[way],), random_bits=Random(2).getrandbits),
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

    @property
    def seconds(self) -> float:
        return self.world.now - self.began

    @property
    def runs(self) -> int:
        """How often the command has been run, in all sessions."""
        return sum(session.agent.runs for session in self.gateway.sessions if isinstance(session.agent, ScriptAgent))

    @property
    def output(self) -> tuple[bytes, bytes]:
        out, err = self.handler._out, self.handler._err
        assert isinstance(out, MemoryOutput)
        assert isinstance(err, MemoryOutput)
        return out.data, err.data

    def after(self, seconds: float, action: Callable[..., object], *arguments: object) -> None:
        self.world.at(self.began + seconds, action, *arguments)

    def end(self, reason: str = "") -> None:
        for session in self.gateway.sessions:
            session.end(reason)

    def away(self, seconds: float) -> None:
        """Break the connection, and let none be made for a while."""
        self.gateway.unreachable = True
        self.gateway.cut()
        self.after(self.seconds + seconds, setattr, self.gateway, "unreachable", False)

    def run(self) -> int:
        self.relay.run()
        return self.handler.status
