"""ssh on one side and sshd on the other, both in virtual time, with the real relay between them."""

from __future__ import annotations

import signal
from collections.abc import Callable

from ssm_ssh.errors import SsmSshError
from ssm_ssh.relay.link import Link
from ssm_ssh.relay.loop import Relay
from ssm_ssh.relay.poller import BROKEN, GONE, READ, WRITE
from ssm_ssh.relay.states import State
from ssm_ssh.ssh.disconnect import BANNER
from ssm_ssh.ssh.gate import Gate
from ssm_ssh.tunnel.ssh_handler import SshHandler
from tests.channel.simulation import Agent
from tests.relay.virtual import Gateway, QuietLog, VirtualSession, VirtualWorld, make_channel
from tests.ssh.streams import recordings

RECORDING = recordings()[0]
DISCONNECT = b"\1\0\0\0\2"
REFUSAL = b"Exceeded MaxStartups\r\n"


def before_host_key() -> bytes:
    """What the gate passes before the packet with the host key."""
    gate = Gate()
    gate.feed_client(RECORDING.client)
    return gate.feed(RECORDING.server)


BEFORE_HOST_KEY = before_host_key()


class Sshd(Agent):
    """An agent with sshd behind it, which refuses when it is told to."""

    def __init__(self, world: VirtualWorld, *, refuses: bool) -> None:
        super().__init__(world)
        self.refuses = refuses
        self.session: VirtualSession
        self.sent = b""
        self.ready = False

    def _port_up(self) -> None:
        self.port_up = True
        if self.refuses:
            self.output(REFUSAL)
            self.world.at(self.world.now + 0.05, self.session.end, "")
        else:
            self.say(RECORDING.server)
            self.ready = True

    def say(self, data: bytes) -> None:
        self.sent += data
        self.output(data)

    def receive(self, frame: bytes) -> None:
        super().receive(frame)
        if self.terminated:
            self.session.end("")


class Client:
    """ssh, as far as the relay sees it (environment.LocalStreams): descriptors 0 and 1, and a process."""

    def __init__(self, world: VirtualWorld) -> None:
        self.world = world
        self.stdin, self.stdout = 0, 1
        self.ended = self.broken = False
        self.backlog = 0
        self.written = b""
        self.received = b""
        self.told: list[bytes] = []
        self.reading = True
        self.alive = True
        self.parent = True
        self.parent_fd = -1
        self.reports_parent = True
        self.released_at: float | None = None
        self.detached_at: float | None = None
        self.on_received: Callable[[], None] = lambda: None
        self._inbox = b""
        self._waiting = b""
        self._eof = False
        world.ready[self.stdin] = self._stdin
        world.ready[self.stdout] = self._stdout

    # what ssh does

    def put(self, data: bytes) -> None:
        """ssh writes into its pipe."""
        if not self._eof:
            self.written += data
            self._inbox += data

    def end(self) -> None:
        """ssh is done and closes its pipes."""
        self._eof = True

    def kill(self) -> None:
        self._eof = True
        self.alive = self.parent = False

    # what the relay calls

    def write(self, data: bytes) -> None:
        assert self.detached_at is None
        self._waiting += data
        self.backlog = len(self._waiting)
        self.flush()

    def _stdin(self) -> int:
        return (READ if self._inbox or self._eof else 0) | (GONE if self._eof else 0)

    def _stdout(self) -> int:
        return (WRITE if self.reading else 0) if self.alive else BROKEN

    def read(self, room: int) -> bytes:
        data, self._inbox = self._inbox[:room], self._inbox[room:]
        if not data and self._eof:
            self.ended = True
        return data

    def flush(self) -> None:
        if not self.alive:
            self.broken = True
            self._waiting, self.backlog = b"", 0
        elif self.reading:
            self.received += self._waiting
            self._waiting, self.backlog = b"", 0
            self.on_received()
            if DISCONNECT in self.received[-1000:]:
                self.world.at(self.world.now + 0.1, self.end)

    def detach(self) -> None:
        assert self.detached_at is None
        self.detached_at = self.world.now
        for fd in (self.stdin, self.stdout):
            self.world.ready.pop(fd)

    def tell(self, line: bytes) -> bool:
        self.told.append(line)
        return True

    def in_foreground(self) -> bool:
        return True

    def client_is_parent(self) -> bool:
        return self.parent

    def watch_parent(self) -> None:
        if self.reports_parent:
            self.parent_fd = 4
            self.world.ready[self.parent_fd] = lambda: 0 if self.parent else READ

    def forget_parent(self) -> None:
        self.world.ready.pop(self.parent_fd)
        self.parent_fd = -1

    def release_stderr(self) -> None:
        assert self.released_at is None
        self.released_at = self.world.now


class Service:
    """The way to the instance (tunnel.service.TunnelService), whose calls take the time of a task."""

    asking = False
    library = ""

    def __init__(self, gateway: Gateway) -> None:
        self.start = gateway.start
        self.key_error: SsmSshError | None = None
        self.host_key_error: SsmSshError | None = None
        self.key_expired = False
        self.authorized = self.judged = False
        self.recorded: list[str] = []
        self.finished = 0

    def authorize(self) -> str:
        if self.key_error is not None:
            raise self.key_error
        self.authorized = True
        self.key_expired = False
        return "the key is there"

    def still_authorized(self) -> bool:
        return not self.key_expired

    def check_host_key(self, key: object, *, judged_by_ssh: bool) -> str:
        if self.host_key_error is not None:
            raise self.host_key_error
        self.judged = True
        return ""

    def cancel(self) -> None: ...

    def ended(self, login: object) -> None:
        self.finished += 1

    def refused_by_sshd(self, reason: str) -> bool:
        return not reason

    def record_outage(self, lost: bool) -> None:
        self.recorded.append("lost" if lost else "back")

    def record_end(self, sentence: str, *, told: bool) -> None:
        self.recorded.append(sentence)

    def explain_key_wait(self) -> str:
        return "waiting for the key"

    def explain_end(self, reason: str) -> SsmSshError:
        return SsmSshError(f"ended: {reason}")

    def explain_step(self, awaited: str) -> str:
        return f"waiting: {awaited}"

    def explain_overdue(self, awaited: str, last: SsmSshError | None) -> SsmSshError:
        return SsmSshError(f"overdue: {awaited}")

    def explain_no_session(self, reason: str) -> SsmSshError:
        return SsmSshError(f"no session: {reason}")

    def explain_unanswered(self, seconds: float, *, unfinished: bool) -> SsmSshError:
        return SsmSshError("unanswered")

    def explain_outside(self) -> SsmSshError:
        return SsmSshError("from outside")

    def explain_refused_login(self) -> SsmSshError:
        return SsmSshError(f"refused: {self.library}")

    def explain_silence(self) -> SsmSshError:
        return SsmSshError("silence")


class Stage:
    """Everything, wired up; `run` plays until the relay is over and checks what must hold at every moment."""

    def __init__(self, *, delay: Callable[[], float] = lambda: 0.05, refusals: int = 0) -> None:
        self.world = VirtualWorld(delay)
        self.gateway = Gateway(self.world, self._agent)
        self.refusals = refusals
        self.client = Client(self.world)
        self.client.on_received = self._on_received
        self.service = Service(self.gateway)
        self.log = QuietLog()
        self.states: list[State] = []
        handler = SshHandler(
            self.service,  # type: ignore[arg-type]
            self.client,
            tasks=self.world,
            log=self.log,  # type: ignore[arg-type]
            now=self.world.now,
            resume_limit=900.0,
            random=lambda: 0.5,
        )
        link = Link(
            self.gateway.start,
            make_channel,
            clock=self.world,
            tasks=self.world,
            poller=self.world,
            log=self.log,  # type: ignore[arg-type]
            random=lambda: 0.5,
        )
        self.handler = handler
        self.relay = Relay(
            handler,
            link,
            clock=self.world,
            tasks=self.world,
            poller=self.world,
            log=self.log,  # type: ignore[arg-type]
        )
        self.began = self.world.now
        self.client.put(RECORDING.client)

    def _agent(self) -> Agent:
        sshd = Sshd(self.world, refuses=self.refusals > 0)
        self.refusals -= 1
        self.world.at(self.world.now, self._join, sshd)
        return sshd

    def _join(self, sshd: Sshd) -> None:
        sshd.session = next(session for session in self.gateway.sessions if session.agent is sshd)

    @property
    def sshd(self) -> Sshd | None:
        """The server of the last session, once it speaks."""
        sessions = self.gateway.sessions
        sshd = sessions[-1].agent if sessions else None
        return sshd if isinstance(sshd, Sshd) and sshd.ready else None

    @property
    def seconds(self) -> float:
        return self.world.now - self.began

    def after(self, seconds: float, action: Callable[..., object], *arguments: object) -> None:
        self.world.at(self.world.now + seconds, action, *arguments)

    def signal(self, number: signal.Signals) -> None:
        self.world.signal(int(number))

    def run(self) -> int:
        return self.relay.run()

    def _on_received(self) -> None:
        """The host key passes only when it has been judged and the user's key is in place."""
        received = self.client.received
        disconnected = DISCONNECT in received
        if len(received) > len(BEFORE_HOST_KEY) and not disconnected:
            assert self.service.judged
            assert self.service.authorized

    def check(self) -> None:
        """What holds after every run, whatever has happened."""
        client = self.client
        assert client.detached_at is not None
        for session in self.gateway.sessions:
            assert client.written.startswith(session.agent.received)
        sent = b"".join(one.agent.sent for one in self.gateway.sessions if isinstance(one.agent, Sshd))
        if DISCONNECT in client.received and not self.handler.begun:
            told = client.received.removeprefix(BANNER)
            whole = told[: told.rindex(DISCONNECT) - 5]
            assert sent.startswith(whole)
        else:
            assert sent.startswith(client.received)
