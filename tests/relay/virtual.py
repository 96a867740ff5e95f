"""A world in virtual time for one relay: clock, tasks, poll() and a gateway with an honest agent behind it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from random import Random
from typing import Any

from ssm_ssh.channel.encryption import DataKey
from ssm_ssh.channel.events import KeyRequest
from ssm_ssh.channel.message import CHANNEL_CLOSED, encode, random_id
from ssm_ssh.channel.session import Channel
from ssm_ssh.errors import Disconnected, NetworkError, SessionGone, SsmSshError
from ssm_ssh.relay.poller import GONE, READ, WRITE
from tests.channel.simulation import Agent, Link, World

WAKER = 3


class VirtualTask:
    """A call that is made when its time has come."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self._call = call
        self._result: Any = None
        self.error: BaseException | None = None
        self.done = False

    @property
    def result(self) -> Any:  # noqa: ANN401
        assert self.done
        if self.error is not None:
            raise self.error
        return self._result

    def finish(self) -> None:
        try:
            self._result = self._call()
        except SsmSshError as error:
            self.error = error
        self.done = True


class VirtualWorld(World):
    """Clock, Tasks and PollSet of relay/environment.py. `delay()` says how many seconds a task takes."""

    def __init__(self, delay: Callable[[], float] = lambda: 0.05) -> None:
        super().__init__()
        self.fd = WAKER
        self.delay = delay
        self.offset = 1_800_000_000.0
        self.ready: dict[int, Callable[[], int]] = {WAKER: lambda: READ if self._woken else 0}
        """What each descriptor is ready for."""
        self.running = 0
        self.turns = 0
        self._woken = b""
        self._masks: dict[int, int] = {}

    # the clock

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return self.now + self.offset

    # tasks

    def start(self, call: Callable[[], Any]) -> VirtualTask:
        task = VirtualTask(call)
        self.running += 1
        self.at(self.now + self.delay(), self._finish, task)
        return task

    def _finish(self, task: VirtualTask) -> None:
        task.finish()
        self.running -= 1
        self._woken += b"\0"

    def signal(self, number: int) -> None:
        self._woken += bytes([number])

    def drain(self) -> bytes:
        woken, self._woken = self._woken, b""
        return woken

    # poll()

    def watch(self, fd: int, mask: int) -> None:
        assert fd >= 0
        self._masks[fd] = mask

    def forget(self, fd: int) -> None:
        self._masks.pop(fd, None)

    def wait(self, seconds: float) -> dict[int, int]:
        """Let time pass until something is ready, or `seconds` are over. As poll() does, it never returns early."""
        end = self.now + max(0.0, seconds)
        self.turns += 1
        while not (ready := self._ready()):
            if not self._events or self._events[0][0] > end:
                self.now = end
                break
            self.now, _, action, arguments = self._pop()
            action(*arguments)
        self.now += 0.0005  # what a turn takes; so a loop that spins comes to its end too
        return ready

    def _pop(self) -> tuple[float, int, Callable[..., object], tuple[object, ...]]:
        import heapq

        return heapq.heappop(self._events)

    def _ready(self) -> dict[int, int]:
        masks = {fd: self.ready[fd]() & (mask | GONE) for fd, mask in self._masks.items() if fd in self.ready}
        return {fd: mask for fd, mask in masks.items() if mask}


class VirtualSocket:
    """A connection to the gateway: `up` leads to the agent, `inbox` holds what has come from it."""

    def __init__(self, world: VirtualWorld, fd: int, up: Link) -> None:
        self.world = world
        self.fd = fd
        self.up = up
        self.inbox: list[bytes] = []
        self.pongs = 0
        self.broken: SsmSshError | None = None
        self.closed = False
        self.silent = False
        self.incomplete = False
        self.early = False
        """Whether what has arrived waits above the descriptor, so that poll() does not announce it."""
        self.rate: int | None = None
        """Bytes that one flush takes, None for all at once."""
        self._unsent: list[bytes] = []
        world.ready[fd] = self._mask

    def _mask(self) -> int:
        arrived = (self.inbox and not self.early) or self.pongs or self.broken
        return WRITE | (READ if arrived else 0)

    @property
    def backlog(self) -> int:
        return sum(map(len, self._unsent))

    @property
    def wants_write(self) -> bool:
        return bool(self._unsent)

    def fileno(self) -> int:
        return self.fd

    def has_pending(self) -> bool:
        return self.early and bool(self.inbox)

    def deliver(self, frame: bytes) -> None:
        if not (self.closed or self.broken or self.silent):
            self.inbox.append(frame)

    def receive(self) -> list[bytes]:
        assert not self.closed
        frames, self.inbox, self.pongs = self.inbox, [], 0
        if not frames and self.broken:
            raise self.broken
        return frames

    def send(self, messages: Iterable[bytes]) -> None:
        assert not self.closed
        self._unsent += messages
        self.flush()

    def ping(self, payload: bytes) -> None:
        if not (self.broken or self.silent):
            self.world.at(self.world.now + 0.05, self._pong)

    def _pong(self) -> None:
        self.pongs += 1

    def flush(self) -> None:
        taken = 0
        while self._unsent and (self.rate is None or taken < self.rate):
            message = self._unsent.pop(0)
            taken += len(message)
            if not self.broken:
                self.up.send([message])

    def close(self) -> None:
        self.closed = True
        self.world.ready.pop(self.fd, None)


class Gateway:
    """The sessions at AWS, and the one connection that each may have."""

    def __init__(self, world: VirtualWorld, make_agent: Callable[[], Agent]) -> None:
        self.world = world
        self.make_agent = make_agent
        self.sessions: list[VirtualSession] = []
        self.socket: VirtualSocket | None = None
        self.unreachable = False
        self.stuck = False
        """Whether a message has begun on each connection, and does not end."""
        self.errors: list[SsmSshError] = []
        """What the next calls raise."""
        self._next_fd = 10

    def start(self) -> VirtualSession:
        self.call()
        session = VirtualSession(self, f"session-{len(self.sessions) + 1}", self.make_agent())
        self.sessions.append(session)
        return session

    def call(self) -> None:
        if self.errors:
            raise self.errors.pop(0)
        if self.unreachable:
            raise NetworkError("no route to AWS")

    def open(self, session: VirtualSession) -> VirtualSocket:
        """Connect; the connection before that is of no use any more."""
        self.cut()
        self._next_fd += 1
        up = Link(self.world, session.agent.receive)
        socket = self.socket = VirtualSocket(self.world, self._next_fd, up)
        socket.incomplete = self.stuck
        session.agent.link = session.down = Link(self.world, socket.deliver)
        if not session.begun:
            session.begun = True
            self.world.at(self.world.now + 0.02, session.agent.start)
        return socket

    def cut(self) -> None:
        """Break the connection; what is under way is lost."""
        socket, self.socket = self.socket, None
        if socket is not None:
            socket.up.cut()
            for session in self.sessions:
                if session.down is not None:
                    session.down.cut()
            socket.inbox.clear()
            socket.broken = Disconnected("the cable was pulled")

    @property
    def running(self) -> list[str]:
        """The sessions that have not ended."""
        return [session.id for session in self.sessions if not session.ended]


class VirtualSession:
    """A session at AWS (environment.Session)."""

    def __init__(self, gateway: Gateway, session_id: str, agent: Agent) -> None:
        self.id = session_id
        self.gateway = gateway
        self.agent = agent
        self.down: Link | None = None
        self.begun = False
        self.closed = False
        self.guarded = False
        self.recorded = True

    @property
    def ended(self) -> bool:
        return self.closed or self.agent.terminated

    def connect(self, channel: Channel) -> VirtualSocket:
        self.gateway.call()
        if self.ended:
            raise SessionGone("the session has ended")
        channel.open_message("token")
        return self.gateway.open(self)

    resume = connect

    def guard(self) -> None:
        assert not self.guarded
        self.guarded = True

    def forget(self) -> None:
        self.recorded = False

    def make_key(self) -> DataKey:
        raise NotImplementedError

    def data_key(self, request: KeyRequest) -> DataKey:
        return self.make_key()

    def terminate(self, patience: float) -> None:
        assert patience > 0
        self.gateway.call()
        self.end("")
        self.recorded = False

    def end(self, reason: str) -> None:
        """Close the channel, as the gateway does for the agent or an administrator."""
        if self.closed:
            return
        self.closed = True
        payload = f'{{"MessageType":"channel_closed","Output":"{reason}"}}'.encode()
        frame = encode(
            CHANNEL_CLOSED,
            sequence=0,
            flags=0,
            message_id=random_id(Random(3).getrandbits(128)),
            payload_type=0,
            payload=payload,
            created=int(self.gateway.world.now * 1000),
        )
        if self.down is not None:
            self.down.send([frame])


class QuietLog:
    """A log that keeps its lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def info(self, text: str) -> None:
        self.lines.append(text)

    foreign = debug = info

    def release_stderr(self) -> None: ...

    def failure(self, error: BaseException) -> None:
        raise error


def make_channel() -> Channel:
    return Channel(client_id="c", epoch=0.0, random_bits=Random(2).getrandbits)
