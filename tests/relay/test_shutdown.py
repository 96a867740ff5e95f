"""The steps of an end, in virtual time."""

from __future__ import annotations

import pytest

from ssm_ssh.errors import NetworkError
from ssm_ssh.relay.shutdown import END, END_IN_REACH, END_OPENING, FLUSH, Shutdown
from tests.relay.test_link import Connection


@pytest.fixture
def connection() -> Connection:
    return Connection()


def shut(connection: Connection, limit: float = 30.0) -> float:
    """End it as the loop does; returns the seconds that it took."""
    world, link = connection.world, connection.link
    began = world.now
    ending = Shutdown(link, world, connection.log, began)  # type: ignore[arg-type]
    while not ending.over(world.now):
        assert world.now < began + limit
        if link.socket is not None:
            world.watch(link.socket.fileno(), 1)
        ready = world.wait(0.05)
        world.drain()
        link.collect(world.now, stopping=True)
        if link.socket is not None and ready.get(link.socket.fileno(), 0):
            link.receive(world.now)
        link.pump(world.now)
    return world.now - began


def test_the_flag_goes_out_and_aws_is_told(connection: Connection) -> None:
    connection.open()
    assert shut(connection) < 1
    assert not connection.gateway.sessions[0].recorded
    assert connection.gateway.sessions[0].agent.terminated
    assert connection.gateway.running == []


def test_without_a_connection_aws_alone_is_told(connection: Connection) -> None:
    connection.open()
    connection.link.drop()
    assert shut(connection) < 1
    assert connection.gateway.running == []


def test_a_channel_that_the_gateway_closes_needs_nothing(connection: Connection) -> None:
    connection.open()
    connection.gateway.sessions[0].end("")
    connection.run(1)
    assert connection.gateway.sessions[0].recorded
    assert shut(connection) == 0
    assert not connection.gateway.sessions[0].recorded


@pytest.mark.parametrize(("lost", "limit"), [(False, END_IN_REACH), (True, END)])
def test_a_call_that_hangs_is_waited_for_as_long_as_aws_is_in_reach(
    connection: Connection, lost: bool, limit: float
) -> None:
    connection.open()
    connection.gateway.sessions[0].agent.acknowledging = False
    if lost:
        connection.link.lost(NetworkError("lost"), connection.world.now)
    connection.world.delay = lambda: 100.0
    assert limit <= shut(connection) <= limit + FLUSH + 0.1


def test_a_call_that_fails_is_logged(connection: Connection) -> None:
    connection.open()
    connection.gateway.unreachable = True
    shut(connection)
    assert "not terminated: no route to AWS" in connection.log.lines


@pytest.mark.parametrize(("delay", "ended"), [(4.0, True), (100.0, False)])
def test_a_session_that_is_being_started_is_waited_for(delay: float, ended: bool) -> None:
    connection = Connection(delay)
    seconds = shut(connection)
    assert len(connection.gateway.sessions) == ended
    assert connection.gateway.running == []
    assert seconds <= END_OPENING + 0.1


def test_without_a_session_it_is_over_at_once(connection: Connection) -> None:
    connection.gateway.errors = [NetworkError("no route")]
    connection.run(1)
    assert shut(connection) == 0


def test_a_closed_channel_without_a_session_needs_nothing(connection: Connection) -> None:
    connection.open()
    connection.gateway.sessions[0].end("")
    connection.run(1)
    connection.link.session = None
    assert shut(connection) == 0
