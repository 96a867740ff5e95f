# Over 350 lines: one handler in virtual time serves every event of the loop.
"""The loop with a handler that is about nothing: it passes bytes on, as an API tunnel would, in virtual time."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from contextlib import contextmanager
from random import Random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssm_ssh.channel.events import Established, Event
from ssm_ssh.channel.limits import BROKEN_FRAMES
from ssm_ssh.channel.message import STDERR
from ssm_ssh.errors import NetworkError, ProtocolError, SessionEnded, SsmSshError
from ssm_ssh.relay import link as link_module
from ssm_ssh.relay.clock import SystemClock
from ssm_ssh.relay.link import Link
from ssm_ssh.relay.loop import LINGER, MOST_BACKLOG, Relay
from ssm_ssh.relay.poller import READ, WRITE, Poller
from ssm_ssh.relay.states import ENDED, LINGERING, OVER
from ssm_ssh.relay.tasks import TaskRunner
from tests.channel import simulation
from tests.channel.simulation import BANNER, Agent
from tests.relay.virtual import Gateway, QuietLog, VirtualSocket, VirtualWorld, make_channel

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ssm_ssh.relay.environment import PollSet
    from ssm_ssh.relay.handler import Handler, RelayControls

FD = 7


class Caller:
    """A handler whose local side is two byte strings: a program in this process that reads and writes."""

    relay: RelayControls

    def __init__(self, world: VirtualWorld) -> None:
        self.world = world
        self.begun = False
        self.written = self.received = b""
        self.waiting_in = self.waiting_out = b""
        self.reading = True
        self.closed = self.detached = False
        self.error: SsmSshError | None = None
        self.signals: list[int] = []
        self.status: int | None = None
        self.lingers = False
        world.ready[FD] = self._mask

    def _mask(self) -> int:
        readable = READ if self.waiting_in or self.closed else 0
        return readable | (WRITE if self.reading else 0)

    def put(self, data: bytes) -> None:
        self.written += data
        self.waiting_in += data

    @property
    def backlog(self) -> int:
        return len(self.waiting_out)

    def start(self, relay: RelayControls) -> None:
        self.relay = relay

    def watch(self, poller: PollSet) -> None:
        wanted = READ if self.relay.link.channel.room() > 0 or self.closed else 0
        poller.watch(FD, wanted | (WRITE if self.waiting_out else 0))

    def on_ready(self, ready: Mapping[int, int], now: float) -> None:
        mask = ready.get(FD, 0)
        if mask & WRITE:
            self.received += self.waiting_out
            self.waiting_out = b""
        if mask & READ:
            room = self.relay.link.channel.room()
            data, self.waiting_in = self.waiting_in[:room], self.waiting_in[room:]
            if data:
                self.relay.link.channel.send(data, now)
            elif self.closed and not self.waiting_in:
                self.relay.close(now)

    def on_output(self, data: bytes, now: float) -> None:
        self.waiting_out += data
        if self.reading:
            self.received += self.waiting_out
            self.waiting_out = b""

    def on_event(self, event: Event, now: float) -> None:
        self.begun = self.begun or isinstance(event, Established)

    def on_signal(self, number: int, now: float) -> None:
        self.signals.append(number)

    def on_time(self, now: float) -> None:
        if self.relay.state is ENDED and not self.waiting_out:
            assert self.relay.ended is not None
            if self.relay.ended[0] == "again":
                self.relay.renew(now + 1.0, b"again", now)
                return
            self.relay.fail(SessionEnded(f"the session has ended: {self.relay.ended[0]}"), now)

    def timer(self, now: float) -> float | None:
        return None

    def on_not_connected(self, error: BaseException, now: float) -> None:
        assert isinstance(error, SsmSshError)
        self.relay.fail(error, now)

    def on_unanswered(self, verdict: str, now: float) -> None:
        self.relay.fail(SessionEnded(f"{verdict} after {self.relay.link.unanswered.waited:.0f} s"), now)

    def explain(self, error: SsmSshError) -> bool:
        self.error = error
        return self.lingers

    def detach(self, poller: PollSet) -> None:
        assert not self.detached
        self.detached = True
        poller.forget(FD)

    def finish(self, status: int) -> None:
        self.status = status


class Stage:
    def __init__(self, delays: tuple[float, ...] = (0.05,)) -> None:
        delay = itertools.cycle(delays)
        self.world = VirtualWorld(lambda: next(delay))
        self.gateway = Gateway(self.world, lambda: Agent(self.world))
        self.caller = Caller(self.world)
        self.log = QuietLog()
        handler: Handler = self.caller
        link = Link(
            self.gateway.start,
            make_channel,
            clock=self.world,
            tasks=self.world,
            poller=self.world,
            log=self.log,  # type: ignore[arg-type]
            random=lambda: 0.5,
            resume_limit=120.0,
        )
        self.relay = Relay(
            handler,
            link,
            clock=self.world,
            tasks=self.world,
            poller=self.world,
            log=self.log,  # type: ignore[arg-type]
        )
        self.began = self.world.now

    def after(self, seconds: float, action: object, *arguments: object) -> None:
        assert callable(action)
        self.world.at(self.world.now + seconds, action, *arguments)

    @property
    def agent(self) -> Agent:
        return self.gateway.sessions[-1].agent

    @property
    def seconds(self) -> float:
        return self.world.now - self.began

    def run(self) -> int:
        status = self.relay.run()
        assert self.relay.state is OVER
        assert self.caller.status == status
        return status


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.one_of(st.floats(0, 0.3), st.floats(0, 10)),
            st.sampled_from(["put", "output", "cut", "away", "stall", "rest", "read"]),
            st.integers(1, 40_000),
        ),
        max_size=12,
    ),
    st.lists(st.floats(0.001, 2.0), min_size=1, max_size=4),
)
def test_every_byte_arrives_once_and_in_order_both_ways(
    steps: list[tuple[float, str, int]], delays: list[float]
) -> None:
    stage = Stage(tuple(delays))
    caller, gateway = stage.caller, stage.gateway
    sent = bytearray(BANNER)

    def step(kind: str, count: int) -> None:
        if kind == "put":
            caller.put(Random(count).randbytes(count))
        elif kind == "output" and gateway.sessions and stage.agent.port_up:
            sent.extend(data := Random(-count).randbytes(count))
            stage.agent.output(data)
        elif kind == "cut":
            gateway.cut()
        elif kind == "away":
            gateway.unreachable = True
            gateway.cut()
            stage.after(5.0, setattr, gateway, "unreachable", False)
        elif kind == "stall" and gateway.sessions:
            stage.agent.stall(3.0)
        elif kind in ("rest", "read"):
            caller.reading = kind == "read"

    at = 10.0
    for pause, kind, count in steps:
        at += pause
        stage.after(at, step, kind, count)
    stage.after(at + 5, setattr, caller, "reading", True)
    stage.after(at + 100, setattr, caller, "closed", True)
    assert stage.run() == 0
    assert bytes(stage.agent.received) == caller.written
    assert caller.received == bytes(sent)
    assert caller.detached
    assert stage.agent.terminated
    assert stage.seconds < at + 115


def test_a_session_that_the_gateway_closes_is_read_to_its_end() -> None:
    stage = Stage()
    data = bytes(range(256)) * 40
    stage.after(5, setattr, stage.caller, "reading", False)
    stage.after(6, lambda: stage.agent.output(data))
    stage.after(7, lambda: stage.gateway.sessions[0].end("Duration limit"))
    stage.after(60, setattr, stage.caller, "reading", True)
    assert stage.run() == 1
    assert stage.caller.received == BANNER + data
    assert stage.caller.error is not None
    assert stage.caller.error.message == "the session has ended: Duration limit"
    assert 60 < stage.seconds < 61
    assert len(stage.gateway.sessions) == 1


def test_another_session_takes_the_place_of_the_first() -> None:
    stage = Stage()
    stage.after(5, lambda: stage.gateway.sessions[0].end("again"))
    stage.after(15, setattr, stage.caller, "closed", True)
    assert stage.run() == 0
    assert stage.caller.received == BANNER + BANNER
    assert [bytes(session.agent.received) for session in stage.gateway.sessions] == [b"", b"again"]
    assert stage.gateway.running == []


def test_reading_stops_while_the_local_side_takes_nothing() -> None:
    stage = Stage()
    stage.after(5, setattr, stage.caller, "reading", False)
    stage.after(6, lambda: [stage.after(number / 10, stage.agent.output, bytes(64_000)) for number in range(40)])
    most: list[int] = []
    stage.after(50, lambda: most.append(stage.caller.backlog))
    stage.after(51, setattr, stage.caller, "reading", True)
    stage.after(100, setattr, stage.caller, "closed", True)
    assert stage.run() == 0
    assert MOST_BACKLOG <= most[0] < MOST_BACKLOG + 64_000
    assert len(stage.caller.received) == len(BANNER) + 40 * 64_000


def test_an_error_that_is_read_slowly_is_waited_for() -> None:
    stage = Stage()
    stage.caller.lingers = True
    stage.gateway.errors = [NetworkError("no route")]
    states: list[object] = []
    stage.after(1.0, lambda: states.append(stage.relay.state))
    assert stage.run() == 1
    assert states == [LINGERING]
    assert LINGER <= stage.seconds < LINGER + 0.2


def test_a_second_error_and_a_second_end_change_nothing() -> None:
    stage = Stage()
    relay = stage.relay

    def twice() -> None:
        now = stage.world.now
        relay.fail(SsmSshError("first"), now)
        relay.fail(SsmSshError("second"), now)
        relay.close(now)

    stage.after(5, twice)
    assert stage.run() == 1
    assert stage.caller.error is not None
    assert stage.caller.error.message == "first"
    assert stage.gateway.running == []


def test_signals_reach_the_handler() -> None:
    stage = Stage()
    stage.after(5, stage.world.signal, 28)
    stage.after(6, setattr, stage.caller, "closed", True)
    stage.run()
    assert stage.caller.signals == [28]


def test_bytes_that_poll_does_not_announce_are_read() -> None:
    stage = Stage()

    def early() -> None:
        assert stage.gateway.socket is not None
        stage.gateway.socket.early = True
        stage.agent.output(b"more")

    stage.after(5, early)
    stage.after(6, setattr, stage.caller, "closed", True)
    assert stage.run() == 0
    assert stage.caller.received == BANNER + b"more"


def test_what_the_transport_does_not_take_waits_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage()
    data = Random(1).randbytes(600_000)
    monkeypatch.setattr(link_module, "MOST_UNSENT", 4000)

    def slow() -> None:
        assert stage.gateway.socket is not None
        stage.gateway.socket.rate = 1  # a message with every flush
        stage.caller.put(data)

    stage.after(5, slow)
    most: list[int] = []
    send = VirtualSocket.send

    def watched(socket: VirtualSocket, messages: list[bytes]) -> None:
        send(socket, messages)
        most.append(socket.backlog)

    monkeypatch.setattr(VirtualSocket, "send", watched)
    stage.after(90, setattr, stage.caller, "closed", True)
    assert stage.run() == 0
    assert bytes(stage.agent.received) == data
    assert 4000 <= max(most) < 8000


def test_a_handshake_that_cannot_be_met_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    request = {"AgentVersion": "3.3.0.0", "RequestedClientActions": [{"ActionType": "KMSEncryption"}]}
    monkeypatch.setattr(simulation, "REQUEST", request)
    stage = Stage()
    assert stage.run() == 1
    assert stage.caller.error is not None
    assert stage.gateway.running == []


@pytest.mark.parametrize("lingers", [False, True])
def test_a_gateway_that_breaks_the_protocol_ends_it_once(lingers: bool) -> None:
    stage = Stage()
    stage.caller.lingers = lingers
    session = stage.gateway.sessions

    def junk() -> None:
        down = session[0].down
        assert down is not None
        down.send([b"junk"] * (BROKEN_FRAMES + 3))

    stage.after(5, junk)
    stage.after(6, junk)
    assert stage.run() == 1
    assert stage.caller.error is not None
    assert isinstance(stage.caller.error, ProtocolError)
    assert stage.gateway.running == []
    assert stage.seconds < 5 + LINGER + 3


def test_a_connection_that_breaks_while_an_error_is_read_is_let_go() -> None:
    stage = Stage()
    stage.caller.lingers = True
    stage.after(5, lambda: stage.relay.fail(SsmSshError("over"), stage.world.now))
    stage.after(5.2, lambda: stage.agent.write(b"too late", STDERR))
    stage.after(5.5, stage.gateway.cut)
    assert stage.run() == 1
    assert stage.relay.link.socket is None
    assert stage.gateway.running == []


def test_a_peer_that_acknowledges_nothing_is_the_handlers_decision() -> None:
    stage = Stage()
    stage.after(5, lambda: setattr(stage.agent, "acknowledging", False))
    stage.after(6, stage.caller.put, b"x")
    assert stage.run() == 1
    assert stage.caller.error is not None
    assert stage.caller.error.message.startswith("end after ")
    assert stage.seconds < 6 + 90


def test_a_gateway_that_is_away_for_too_long_is_given_up() -> None:
    stage = Stage()
    stage.after(5, lambda: (setattr(stage.gateway, "unreachable", True), stage.gateway.cut()))
    assert stage.run() == 1
    assert isinstance(stage.caller.error, NetworkError)
    assert 125 <= stage.seconds < 130


@pytest.mark.parametrize("when", ["before", "during", "unreachable"])
def test_a_mistake_of_the_program_is_told(when: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage((6.0,) if when == "before" else (0.05,))

    def mistaken(now: float) -> None:
        raise ZeroDivisionError("no")

    monkeypatch.setattr(stage.log, "failure", lambda error: stage.log.info(str(error)))
    if when == "unreachable":
        stage.after(5, setattr, stage.gateway, "unreachable", True)
    stage.after(0.01 if when == "before" else 5, monkeypatch.setattr, stage.caller, "on_time", mistaken)
    assert stage.relay.run() == 1
    assert stage.caller.error is not None
    assert stage.caller.error.sentence() == "unexpected error: ZeroDivisionError: no. The log has more"
    assert stage.caller.detached
    assert stage.gateway.running == (["session-1"] if when == "unreachable" else [])
    assert ("not terminated: no route to AWS" in stage.log.lines) == (when == "unreachable")


@pytest.mark.parametrize("where", ["start", "watch"])
def test_a_mistake_of_a_handler_before_anything_happens_is_told(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage()

    def mistaken(given: object) -> None:
        raise ZeroDivisionError("no")

    monkeypatch.setattr(stage.log, "failure", lambda error: stage.log.info(str(error)))
    monkeypatch.setattr(stage.caller, where, mistaken)
    assert stage.run() == 1
    assert stage.caller.error is not None
    assert "ZeroDivisionError" in stage.caller.error.sentence()


def test_two_relays_share_a_loop_and_one_that_is_over_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    first = Stage()
    monkeypatch.setattr(first.log, "failure", lambda error: None)
    monkeypatch.setattr(first.caller, "on_ready", None)
    relays = [first.relay, Stage().relay]
    relays[0].begin()
    relays[0].advance({})
    assert relays[0].state is OVER  # the mistake ended this one alone
    relays[1].begin()
    assert relays[1].prepare() > 0.0
    relays[1].advance({})
    assert relays[1].state is not OVER
    status, error = first.caller.status, first.caller.error
    relays[0].advance({})
    assert (first.caller.status, first.caller.error) == (status, error)
    assert status == 1


def test_the_signal_source_holds_for_the_whole_run() -> None:
    stage = Stage()
    seen: list[str] = []

    @contextmanager
    def signals() -> Iterator[None]:
        seen.append("begin")
        yield
        seen.append("end")

    stage.relay._signals = signals
    stage.after(5, lambda: seen.append("middle"))
    stage.after(6, setattr, stage.caller, "closed", True)
    stage.run()
    assert seen == ["begin", "middle", "end"]


def test_the_real_clock_tasks_and_poll_fit() -> None:
    """mypy compares them with the protocols here; tests/tunnel/test_relay.py runs them."""
    world = VirtualWorld()
    link = Link(
        Gateway(world, lambda: Agent(world)).start,
        make_channel,
        clock=SystemClock(),
        tasks=TaskRunner(),
        poller=Poller(),
        log=QuietLog(),  # type: ignore[arg-type]
        random=lambda: 0.5,
    )
    assert link.session is None
