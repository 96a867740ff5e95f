# Over 350 lines: one agent behind one gateway serves every rule of the official agent.
"""The lab's agent keeps the official agent's rules, also the inconvenient ones."""

from __future__ import annotations

import asyncio
import dataclasses
import json

import pytest

from ssm_ssh.lab.agent import channel as agent_channel
from ssm_ssh.lab.agent import port
from ssm_ssh.lab.agent.result import CRASH_OUTPUT
from ssm_ssh.lab.wire import message as am
from tests.lab.dataplane import BANNER, INSTANCE, QUICK, SSH_DOCUMENT, RawClient, World, asynchronous


async def ended(client: RawClient) -> str:
    """Read to the session's end and return the Output that the client was told."""
    _, messages = await client.closed()
    assert messages[-1].kind == am.CHANNEL_CLOSED
    output: str = json.loads(messages[-1].payload)["Output"]
    return output


def status(client: RawClient) -> tuple[str, str | None]:
    view = client.world.gateway.session(client.session_id)
    assert view is not None
    return view.status, view.ended_by


# The handshake


@asynchronous
async def test_the_handshake_asks_for_a_port_session() -> None:
    async with World() as world:
        client = await world.session(parameters={"portNumber": ["2222"]})
        request = await client.stream()
        assert (request.payload_type, request.sequence, request.flags) == (am.P_HANDSHAKE_REQUEST, 0, 1)
        assert json.loads(request.payload) == {
            "AgentVersion": QUICK.version,
            "RequestedClientActions": [
                {
                    "ActionType": "SessionType",
                    "ActionParameters": {"SessionType": "Port", "Properties": {"portNumber": "2222"}},
                }
            ],
        }


@asynchronous
async def test_handshake_complete_says_how_long_it_took() -> None:
    async with World() as world:
        client = await world.session()
        complete = await client.handshake()
        assert (complete.payload_type, complete.sequence, complete.flags) == (am.P_HANDSHAKE_COMPLETE, 1, 0)
        values = json.loads(complete.payload)
        assert values["HandshakeTimeToComplete"] > 0
        assert values["CustomerMessage"] == ""


@asynchronous
async def test_what_comes_before_the_handshake_is_acknowledged_and_dropped() -> None:
    async with World() as world:
        client = await world.session()
        client.queue.append(await client.stream())
        number = await client.send(b"early")
        await client.acked(number)
        await client.handshake()
        await client.output(len(BANNER))
        await client.send(b"late")
        assert await client.output(4) == b"late"
        assert bytes(world.port.received) == b"late"


@asynchronous
async def test_what_comes_right_after_handshake_complete_is_still_dropped() -> None:
    async with World(agent=dataclasses.replace(QUICK, ready_delay=0.3)) as world:
        client = await world.session()
        await client.handshake()
        number = await client.send(b"too early")
        await client.acked(number)
        await client.output(len(BANNER))
        await client.send(b"in time")
        assert await client.output(7) == b"in time"
        assert bytes(world.port.received) == b"in time"


@asynchronous
async def test_a_refused_action_ends_the_session() -> None:
    async with World() as world:
        client = await world.session()
        request = await client.in_order()
        assert request.payload_type == am.P_HANDSHAKE_REQUEST
        await client.respond(status=2, error="no")
        assert await ended(client) == (
            "\n----------ERROR-------\nEncountered error while initiating handshake. "
            "SessionType failed on client with status 2 error: no"
        )
        assert status(client) == ("Failed", "agent")


@asynchronous
async def test_a_client_that_never_answers_is_given_up() -> None:
    async with World(agent=dataclasses.replace(QUICK, handshake=0.2)) as world:
        client = await world.session()
        assert "Handshake timed out. Please ensure" in await ended(client)
        assert status(client) == ("Failed", "agent")


@asynchronous
async def test_a_second_response_is_never_taken() -> None:
    async with World() as world:
        client = await world.ready()
        await client.respond()
        number = await client.send(b"x")
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(client.acked(number), 0.3)
        assert not world.port.received


# Input


@asynchronous
async def test_input_is_acknowledged_as_the_official_agent_does() -> None:
    async with World() as world:
        client = await world.ready()
        number = await client.send(b"x")
        ack = await client.acked(number)
        assert (ack.flags, ack.sequence, ack.payload_type) == (3, 0, 0)
        values = json.loads(ack.payload)
        assert values["AcknowledgedMessageType"] == "input_stream_data"
        assert values["AcknowledgedMessageSequenceNumber"] == number
        assert values["IsSequentialMessage"] is True


@asynchronous
async def test_input_is_acknowledged_after_it_has_been_written() -> None:
    stop = asyncio.Event()

    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        await stop.wait()

    async with World() as world:
        world.port.serve = deaf
        client = await world.ready()
        # More than the sockets between agent and port can hold: the last of it cannot be written.
        with pytest.raises(asyncio.TimeoutError):
            await client.flood()
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(client.acked(client.sent - 1), 0.3)
        stop.set()


@asynchronous
async def test_a_duplicate_is_acknowledged_again_and_dropped() -> None:
    async with World() as world:
        client = await world.ready()
        number = await client.send(b"once")
        await client.acked(number)
        await client.send(b"once", sequence=number)
        await client.acked(number)
        await client.send(b".")
        await client.output(5)
        assert bytes(world.port.received) == b"once."


@asynchronous
async def test_an_early_message_is_acknowledged_and_buffered() -> None:
    async with World() as world:
        client = await world.ready()
        first = client.sent
        await client.send(b"world", sequence=first + 1)
        await client.acked(first + 1)
        assert not world.port.received
        await client.send(b"hello ", sequence=first)
        assert await client.output(11) == b"hello world"


@asynchronous
async def test_a_full_buffer_is_not_acknowledged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent_channel, "INCOMING_CAPACITY", 1)
    async with World() as world:
        client = await world.ready()
        first = client.sent
        await client.send(b"b", sequence=first + 1)
        await client.send(b"c", sequence=first + 2)
        await client.send(b"a", sequence=first)
        seen = set()
        while first not in seen:
            seen.add(am.acknowledged((await client.message(am.ACKNOWLEDGE)).payload))
        assert first + 1 in seen
        assert first + 2 not in seen
        assert await client.output(2) == b"ab"


@asynchronous
async def test_what_comes_before_the_connection_is_up_is_not_acknowledged() -> None:
    async with World() as world:
        world.port.gate.clear()
        client = await world.session()
        await client.handshake()
        channel = world.agent._sessions[client.session_id]._channel
        await world.until(lambda: channel.handshake.complete)
        number = await client.send(b"first")
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(client.acked(number), 0.3)
        world.port.gate.set()
        await client.output(len(BANNER))
        await client.send(b"first", sequence=number)
        assert await client.output(5) == b"first"


@asynchronous
async def test_an_unreadable_message_is_passed_over() -> None:
    async with World() as world:
        client = await world.ready()
        await client.socket.send(am.encode(am.INPUT, b"", payload_type=1)[:130].replace(b"\0\0\0\x74", b"\0\0\0\0", 1))
        await client.socket.send(am.encode(b"who_knows", b"x"))
        await client.send(b"ok")
        assert await client.output(2) == b"ok"


# Output


@asynchronous
async def test_output_comes_in_messages_of_1024_bytes() -> None:
    async with World() as world:
        world.port.banner = bytes(3000)
        client = await world.session()
        await client.handshake()
        sizes = [len((await client.in_order()).payload) for _ in range(3)]
        assert sizes == [1024, 1024, 952]


@asynchronous
async def test_the_pace_is_one_read_a_millisecond() -> None:
    async with World(agent=dataclasses.replace(QUICK, pacing=True)) as world:
        world.port.banner = bytes(100 * 1024)
        client = await world.session()
        await client.handshake()
        loop = asyncio.get_running_loop()
        start = loop.time()
        await client.output(100 * 1024)
        assert loop.time() - start > 99 * port.PACE


@asynchronous
async def test_only_the_oldest_message_is_resent() -> None:
    async with World() as world:
        world.port.banner = bytes(3 * 1024)
        client = await world.session()
        await client.handshake()
        first = [(await client.stream()).sequence for _ in range(3)]
        again = [(await client.stream()).sequence for _ in range(3)]
        assert first == [2, 3, 4]
        assert again == [2, 2, 2]


@asynchronous
async def test_the_timeout_follows_the_round_trip_time() -> None:
    async with World() as world:
        client = await world.ready()
        channel = world.agent._sessions[client.session_id]._channel
        await world.until(lambda: not channel._outgoing)
        # Three samples far below the default of 100 ms: it comes down, and variation keeps it up.
        assert agent_channel.GRANULARITY < channel._rto <= agent_channel.MAX_RTO
        assert channel._rtt < agent_channel.DEFAULT_RTT


@asynchronous
async def test_nothing_is_sent_or_resent_while_paused() -> None:
    async with World() as world:
        client = await world.ready()
        await world.until(lambda: not world.agent._sessions[client.session_id]._channel._outgoing)
        session = world.gateway._sessions[client.session_id]
        assert session.agent is not None
        session.agent.send([am.encode_json(am.PAUSE_PUBLICATION, {})])
        channel = world.agent._sessions[client.session_id]._channel
        await world.until(lambda: not channel.active.is_set())
        channel.send_stream(am.P_OUTPUT, [b"kept"])
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(client.stream(), 0.5)
        session.agent.send([am.encode_json(am.START_PUBLICATION, {})])
        assert (await client.stream()).payload == b"kept"


@asynchronous
async def test_any_input_lifts_the_pause() -> None:
    async with World() as world:
        client = await world.ready()
        await world.until(lambda: not world.agent._sessions[client.session_id]._channel._outgoing)
        session = world.gateway._sessions[client.session_id]
        assert session.agent is not None
        session.agent.send([am.encode_json(am.PAUSE_PUBLICATION, {})])
        channel = world.agent._sessions[client.session_id]._channel
        await world.until(lambda: not channel.active.is_set())
        await client.send(b"x")
        assert await client.output(1) == b"x"


# The end


@asynchronous
async def test_the_end_of_sshd_ends_the_session() -> None:
    async def leave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)

    async with World() as world:
        world.port.serve = leave
        client = await world.ready()
        await client.send(b"x")
        assert await ended(client) == ""
        assert status(client) == ("Terminated", "agent")


@asynchronous
async def test_the_agent_waits_two_seconds_for_acknowledgements_and_no_longer() -> None:
    async def leave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"last words")

    async with World() as world:
        world.port.serve = leave
        client = await world.session()
        await client.handshake()
        loop = asyncio.get_running_loop()
        start = loop.time()
        await ended(client)
        assert loop.time() - start >= agent_channel.CLOSE_PATIENCE


@asynchronous
async def test_a_closed_port_crashes_the_worker() -> None:
    async with World() as world:
        world.port.open = False
        client = await world.session()
        await client.handshake()
        await client.message(am.PAUSE_PUBLICATION)
        assert await ended(client) == CRASH_OUTPUT
        assert status(client) == ("Failed", "agent")


@asynchronous
async def test_a_closed_port_can_be_reported() -> None:
    async with World(agent=dataclasses.replace(QUICK, closed_port="report")) as world:
        world.port.open = False
        client = await world.session(parameters={"portNumber": ["23"]})
        await client.handshake()
        expected = "Unable to connect to specified port: dial tcp 127.0.0.1:23: connect: connection refused"
        assert await ended(client) == expected


@asynchronous
async def test_disconnect_to_port_ends_an_ssh_session_as_failed() -> None:
    async with World() as world:
        client = await world.ready()
        await client.send((1).to_bytes(4, "big"), payload_type=am.P_FLAG)
        await ended(client)
        assert status(client) == ("Failed", "agent")


@asynchronous
async def test_another_session_type_fails_clearly() -> None:
    async with World(agent=dataclasses.replace(QUICK, start_delay=0.3)) as world:
        client = await world.session(document_content={**SSH_DOCUMENT, "sessionType": "Standard_Stream"})
        assert "Standard_Stream is not supported" in await ended(client)


# Broken sockets


@asynchronous
@pytest.mark.parametrize("how", ["reset", "eof", "bye"])
async def test_the_agent_reconnects_and_goes_on(how: str) -> None:
    async with World() as world:
        client = await world.ready()
        world.faults.fault("cut", side="agent", how=how)
        if how != "bye":  # after a close frame the agent may be back before its old connection has ended
            await client.message(am.PAUSE_PUBLICATION)
        await client.message(am.START_PUBLICATION)
        await client.send(b"still here")
        assert await client.output(10) == b"still here"


@asynchronous
async def test_the_agent_gives_up_after_six_attempts_and_keeps_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent_channel, "RETRY_DELAY", 0.001)
    async with World() as world:
        client = await world.ready()
        world.faults.fault("refuse", side="agent", status=503)
        world.faults.fault("cut", side="agent")
        await world.until(lambda: sum(entry[0] == "OpenDataChannel" and entry[2] == 503 for entry in world.log) == 6)
        world.faults.clear()
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(client.message(am.START_PUBLICATION), 0.3)
        assert status(client) == ("Connected", None)
        # The control channel still ends the session.
        world.gateway.terminate_session(client.session_id)
        await world.until(lambda: status(client)[0] == "Terminated")


@asynchronous
async def test_the_control_channel_comes_back() -> None:
    async with World() as world:
        world.gateway._control_channels._channels[INSTANCE].socket.cut("eof")
        await world.until(lambda: world.gateway.presence(INSTANCE) is None)
        await world.until(lambda: world.gateway.presence(INSTANCE) is not None)
        client = await world.ready()
        await client.send(b"x")
        assert await client.output(1) == b"x"


@asynchronous
async def test_a_killed_agent_leaves_the_session_to_time() -> None:
    async with World() as world:
        client = await world.ready()
        await world.agent.kill()
        await client.message(am.PAUSE_PUBLICATION)
        assert status(client) == ("Connected", None)
        await world.start_agent()
        other = await world.ready()
        assert other.session_id != client.session_id


@asynchronous
async def test_a_silent_network_is_noticed_by_the_missing_pong() -> None:
    async with World(agent=dataclasses.replace(QUICK, ping=0.2, pong=0.4)) as world:
        client = await world.ready()
        world.faults.fault("stall", side="agent")
        channel = world.agent._sessions[client.session_id]._channel
        before = channel._socket
        assert before is not None
        await world.until(lambda: before.gone)
        world.faults.clear()
        await world.until(lambda: channel._socket is not before)
        await client.send(b"x", sequence=client.sent)
        assert before.gone


@asynchronous
@pytest.mark.parametrize("doubles", [False, True])
async def test_a_message_may_be_written_twice_where_the_agents_socket_breaks(doubles: bool) -> None:
    async with World(agent=dataclasses.replace(QUICK, doubles_on_break=doubles)) as world:
        client = await world.ready()
        channel = world.agent._sessions[client.session_id]._channel
        assert channel._socket is not None
        number = client.sent
        frames = [
            am.encode(am.INPUT, text, sequence=number + at, payload_type=1) for at, text in enumerate((b"a", b"b"))
        ]
        channel._tasks[0].cancel()  # it would reconnect
        channel._socket.abort()
        await world.until(lambda: channel._socket is not None and channel._socket.gone)
        await channel._batch(frames)
        await channel._batch(frames)
        await world.until(lambda: len(world.port.received) == 2)
        assert bytes(world.port.received) == (b"aa" if doubles else b"ab")
