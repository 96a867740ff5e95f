"""The link in virtual time, with a real channel on one side and an honest agent on the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import pytest

from ssm_ssh.channel.encryption import DataKey
from ssm_ssh.channel.events import ConnectFailed, Event, KeyRequest, Output
from ssm_ssh.channel.message import CONNECT_TO_PORT_ERROR, FLAG, OUTPUT, STREAM
from ssm_ssh.channel.session import Channel
from ssm_ssh.errors import AccessDenied, NetworkError, SessionGone, SsmSshError
from ssm_ssh.relay import link as module
from ssm_ssh.relay import unanswered
from ssm_ssh.relay.link import Link
from tests.channel.simulation import BANNER, Agent
from tests.relay.virtual import Gateway, QuietLog, VirtualSession, VirtualWorld, make_channel


class Connection:
    """What the loop holds; `turn` does what a turn of it does with the link."""

    def __init__(self, delay: float = 0.05) -> None:
        self.world = VirtualWorld(lambda: delay)
        self.log = QuietLog()
        self.gateway = Gateway(self.world, lambda: Agent(self.world))
        self.link = Link(
            self.gateway.start,
            make_channel,
            clock=self.world,
            tasks=self.world,
            poller=self.world,
            log=self.log,  # type: ignore[arg-type]
            random=lambda: 0.5,
            resume_limit=900.0,
        )
        self.output = b""
        self.final: BaseException | None = None
        self.verdicts: list[str] = []
        self.lost: list[str] = []
        self.link.open()

    def turn(self, *, listening: bool = True) -> None:
        world, link = self.world, self.link
        if link.socket is not None:
            world.watch(link.socket.fileno(), 1)
        timer = link.timer()
        world.watch(world.fd, 1)
        ready = world.wait(min(0.5, 0.5 if timer is None else timer - world.now))
        world.drain()
        self.final = self.final or link.collect(world.now, stopping=False)
        try:
            if link.socket is not None and ready.get(link.socket.fileno(), 0):
                events = link.receive(world.now)
                self.output += b"".join(event.data for event in events if isinstance(event, Output))
            link.pump(world.now)
            verdict = link.look(world.now, listening=listening)
            if verdict:
                self.verdicts.append(verdict)
        except NetworkError as error:
            self.lost.append(error.message)
            link.lost(error, world.now)
        self.final = self.final or link.try_again(world.now)

    def run(self, seconds: float, *, listening: bool = True) -> float:
        """Run for so long, or until the link gives up; returns the seconds."""
        began = self.world.now
        while self.world.now < began + seconds and self.final is None and not self.verdicts:
            self.turn(listening=listening)
        return self.world.now - began

    def open(self) -> None:
        while self.output != BANNER:
            self.turn()
        self.link.begin()
        self.run(1)


@pytest.fixture
def connection() -> Connection:
    return Connection()


@pytest.fixture
def opened(connection: Connection) -> Connection:
    connection.open()
    return connection


def test_a_session_is_started_and_connected(connection: Connection) -> None:
    assert connection.link.opening
    assert connection.link.busy
    connection.open()
    assert not connection.link.busy
    assert connection.link.session is not None
    assert connection.link.session.id == "session-1"


def test_a_session_that_cannot_be_started_is_final(connection: Connection) -> None:
    connection.gateway.errors = [NetworkError("no route")]
    connection.run(10)
    assert str(connection.final) == "no route"


def test_what_another_attempt_would_not_change_is_final(connection: Connection) -> None:
    def refused() -> None:
        connection.gateway.errors = [AccessDenied("denied")]

    connection.world.at(connection.world.now + 0.06, refused)
    connection.run(10)
    assert str(connection.final) == "denied"


def test_before_the_session_has_begun_the_reason_of_its_end_is_told(connection: Connection) -> None:
    connection.world.at(connection.world.now + 0.06, connection.gateway.errors.append, NetworkError("a lost packet"))
    connection.world.at(connection.world.now + 0.2, connection.gateway.errors.append, SessionGone("gone"))
    connection.run(10)
    assert str(connection.final) == "a lost packet"


def test_a_broken_connection_is_resumed_and_nothing_is_lost(opened: Connection) -> None:
    opened.link.channel.send(b"x" * 5000, opened.world.now)
    opened.gateway.cut()
    opened.run(10)
    assert opened.lost == ["the cable was pulled"]
    assert opened.gateway.sessions[0].agent.received == b"x" * 5000


@pytest.mark.parametrize(("begun", "limit"), [(False, module.FIRST_LIMIT), (True, 900.0)])
def test_a_lost_connection_is_looked_for_as_long_as_it_is_worth(
    connection: Connection, begun: bool, limit: float
) -> None:
    while connection.output != BANNER:
        connection.turn()
    if begun:
        connection.link.begin()
    connection.gateway.unreachable = True
    connection.gateway.cut()
    assert limit <= connection.run(1000) <= limit + 1
    assert f"no connection for {limit:.0f} s" in str(connection.final)


def test_a_silent_gateway_is_noticed_and_left(opened: Connection) -> None:
    assert opened.gateway.socket is not None
    opened.gateway.socket.silent = True
    opened.run(40)
    assert opened.lost == ["the gateway no longer answers"]
    assert opened.link.socket is opened.gateway.socket


def test_nothing_is_blamed_on_a_gateway_that_is_not_read(opened: Connection) -> None:
    assert opened.gateway.socket is not None
    opened.gateway.socket.silent = True
    opened.run(300, listening=False)
    assert opened.lost == []


def test_an_open_session_whose_input_is_not_taken_ends_in_time(opened: Connection) -> None:
    agent = opened.gateway.sessions[0].agent
    agent.acknowledging = False
    opened.link.channel.send(b"x", opened.world.now)
    assert opened.run(90) <= 90
    assert opened.lost == ["nothing is being acknowledged"]
    assert opened.verdicts == [unanswered.END]
    assert not opened.link.unanswered.unfinished


def test_a_message_that_is_never_finished_is_called_that(opened: Connection) -> None:
    assert opened.gateway.socket is not None
    opened.gateway.socket.incomplete = opened.gateway.stuck = True
    assert opened.run(90) <= 90
    assert opened.verdicts == [unanswered.END]
    assert opened.link.unanswered.unfinished


def test_a_transfer_that_stops_is_probed(opened: Connection) -> None:
    agent = opened.gateway.sessions[0].agent
    agent.output(bytes(1024 * (unanswered.TRANSFER + 1)))
    opened.run(2)
    before = agent.stream_messages
    opened.run(unanswered.PROBE_AFTER + 2)
    assert agent.stream_messages == before + 1
    assert agent.received == b""


def test_an_idle_open_session_is_left_alone(opened: Connection) -> None:
    agent = opened.gateway.sessions[0].agent
    before = agent.stream_messages
    opened.run(600)
    assert (opened.lost, opened.verdicts, agent.stream_messages) == ([], [], before)


def test_before_the_session_has_begun_acknowledgements_are_not_judged(connection: Connection) -> None:
    while connection.output != BANNER:
        connection.turn()
    connection.gateway.sessions[0].agent.acknowledging = False
    connection.link.channel.send(b"x", connection.world.now)
    connection.run(100)
    assert (connection.lost, connection.verdicts) == ([], [])


def test_another_session_takes_the_place_of_one_that_has_ended(opened: Connection) -> None:
    opened.output = b""
    opened.link.renew(opened.world.now + 3, b"again", opened.world.now)
    assert opened.link.session is None
    opened.run(2)
    assert opened.gateway.running == []
    opened.run(5)
    assert opened.output == BANNER
    assert opened.gateway.running == ["session-2"]
    assert opened.gateway.sessions[1].agent.received == b"again"


def test_a_connection_that_is_not_wanted_any_more_is_closed(connection: Connection) -> None:
    connection.run(0.05)  # the session has been started, and its connection has not
    connection.world.wait(0.5)
    assert connection.link.collect(connection.world.now, stopping=True) is None
    assert connection.link.socket is None
    assert connection.gateway.socket is not None
    assert connection.gateway.socket.closed


def test_a_session_that_is_not_wanted_any_more_is_known_and_not_connected(connection: Connection) -> None:
    connection.world.wait(0.5)
    assert connection.link.collect(connection.world.now, stopping=True) is None
    assert connection.link.session is not None
    assert not connection.link.busy


def test_an_attempt_that_fails_when_it_is_not_wanted_any_more_is_no_error(connection: Connection) -> None:
    connection.run(0.05)
    connection.gateway.unreachable = True
    connection.world.wait(0.5)
    assert connection.link.collect(connection.world.now, stopping=True) is None
    assert not connection.link.busy


def test_without_a_session_there_is_none_to_end(connection: Connection) -> None:
    connection.gateway.errors = [NetworkError("no route")]
    connection.run(10)
    connection.final = None
    connection.link.renew(connection.world.now, b"", connection.world.now)
    connection.run(5)
    assert connection.gateway.running == ["session-1"]


def test_without_a_session_there_is_none_to_guard(connection: Connection) -> None:
    connection.link.begin()
    assert connection.link.begun
    assert connection.gateway.sessions == []


def test_without_a_connection_nothing_is_read(connection: Connection) -> None:
    assert connection.link.receive(connection.world.now) == []


def test_output_and_events_keep_their_order(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    connection.run(1)
    agent, link = connection.gateway.sessions[0].agent, connection.link
    assert link.socket is not None
    pieces = [(STREAM, b"one"), (STREAM, b" two"), (FLAG, CONNECT_TO_PORT_ERROR), (STREAM, b"three")]
    frames = [agent._frame(OUTPUT, agent.number + at, 0, *piece) for at, piece in enumerate(pieces)]
    monkeypatch.setattr(link.socket, "receive", lambda: frames)
    assert link.receive(connection.world.now) == [Output(b"one two"), ConnectFailed(), Output(b"three")]


class AskingChannel:
    """A channel whose agent asks for a data key with its next frame."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.asked = [KeyRequest("alias/mine", "challenge")]
        self.used: list[object] = []

    def __getattr__(self, name: str) -> object:
        return getattr(self.channel, name)

    def receive(self, frame: bytes, now: float) -> list[Event]:
        return [*([self.asked.pop()] if self.asked else []), *self.channel.receive(frame, now)]

    def use_key(self, key: DataKey, challenge: str) -> None:
        self.used.append((key, challenge))

    def refuse_key(self, error: SsmSshError) -> None:
        self.used.append(error)


class KeyTest(Connection):
    """A connection whose agent asks for a data key, which `make` returns or refuses."""

    def __init__(self, make: Callable[[], DataKey]) -> None:
        super().__init__()
        self.open()
        session = self.link.session
        assert isinstance(session, VirtualSession)
        session.make_key = make  # type: ignore[method-assign]
        asking = AskingChannel(self.link.channel)
        self.used = asking.used
        self.link.channel = cast("Channel", asking)
        self.link.channel.send(b"x", self.world.now)


def test_a_data_key_is_made_in_a_task_and_given_to_the_channel() -> None:
    key = DataKey(b"blob", object(), object(), lambda bits: 1)  # type: ignore[arg-type]
    connection = KeyTest(lambda: key)
    connection.run(2.0)
    assert connection.used == [(key, "challenge")]
    assert connection.final is None


def test_without_a_data_key_the_agent_and_the_caller_are_told() -> None:
    error = AccessDenied("kms:GenerateDataKey is denied")

    def refuse() -> DataKey:
        raise error

    connection = KeyTest(refuse)
    connection.run(2.0)
    assert connection.final is error
    (told,) = connection.used
    assert isinstance(told, SsmSshError)
