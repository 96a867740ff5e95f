# Over 350 lines: one gateway and one raw client serve every rule.
"""The gateway: tokens and signatures, relaying, presence of the other side, resuming, ends."""

from __future__ import annotations

import asyncio
import json
import ssl
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from ssm_ssh.lab.gateway.server import GatewayOptions, NotOnline
from ssm_ssh.lab.gateway.session import DURATION_OUTPUT, IDLE_OUTPUT
from ssm_ssh.lab.identity.ca import new_authority
from ssm_ssh.lab.wire import message as am
from tests.lab.dataplane import BANNER, INSTANCE, RawClient, World, asynchronous


@asynchronous
async def test_a_session_carries_bytes_both_ways() -> None:
    async with World() as world:
        client = await world.ready()
        await client.send(b"hello")
        assert await client.output(5) == b"hello"
        view = world.gateway.session(client.session_id)
        assert view is not None
        assert view.status == "Connected"
        assert (view.client_connected, view.agent_connected) == (True, True)
        assert view.client_version == "1.2.764.0"


@asynchronous
async def test_an_offline_instance_accepts_no_session() -> None:
    async with World() as world:
        with pytest.raises(NotOnline):
            world.gateway.open_session(world.order(instance_id="i-0fffffffffffffff0"))


@asynchronous
async def test_the_presence_of_an_agent_is_its_control_channel() -> None:
    async with World() as world:
        seen: list[object] = []
        world.gateway.on_presence = lambda instance, presence: seen.append(presence)
        presence = world.gateway.presence(INSTANCE)
        assert presence is not None
        assert presence.agent_version.startswith("3.3.")
        await world.agent.kill()
        await world.until(lambda: world.gateway.presence(INSTANCE) is None)
        assert seen == [None]


@asynchronous
async def test_a_wrong_token_closes_the_connection() -> None:
    async with World() as world:
        client = await world.session()
        intruder = RawClient(world, client.session_id)
        await intruder.connect("wrong")
        assert (await intruder.closed())[0] == 1008


@asynchronous
async def test_a_token_is_valid_once() -> None:
    async with World() as world:
        order = world.order()
        token = world.gateway.open_session(order)
        first, second = RawClient(world, order.session_id), RawClient(world, order.session_id)
        await first.connect(token)
        await first.stream()
        await second.connect(token)
        assert (await second.closed())[0] == 1008


@asynchronous
async def test_a_token_expires() -> None:
    async with World() as world:
        world.gateway.options = GatewayOptions(token_lifetime=0.0)
        order = world.order()
        client = RawClient(world, order.session_id)
        await client.connect(world.gateway.open_session(order))
        assert (await client.closed())[0] == 1008


@asynchronous
async def test_a_token_is_valid_for_its_session_only() -> None:
    async with World() as world:
        one, two = world.order(), world.order()
        token = world.gateway.open_session(one)
        world.gateway.open_session(two)
        client = RawClient(world, two.session_id)
        await client.connect(token)
        assert (await client.closed())[0] == 1008


@asynchronous
async def test_data_before_the_token_closes_the_connection() -> None:
    async with World() as world:
        client = await world.session()
        url = world.gateway.stream_url(client.session_id)
        headers = world.headers(url.partition("&")[0], world.people["admin"])
        async with connect(url.partition("&")[0], additional_headers=headers, compression=None, proxy=None) as socket:
            await socket.send(am.encode(am.INPUT, b"x", payload_type=1))
            with pytest.raises(ConnectionClosed):
                await socket.recv()


@asynchronous
async def test_an_unsigned_upgrade_is_refused() -> None:
    async with World() as world:
        order = world.order()
        token = world.gateway.open_session(order)
        with pytest.raises(InvalidStatus) as refused:
            await RawClient(world, order.session_id).connect(token, sign=False)
        assert refused.value.response.status_code == 403
        assert ("OpenDataChannel", {"SessionId": order.session_id}, 403) in [entry[:3] for entry in world.log]


@asynchronous
async def test_an_unsigned_upgrade_is_accepted_where_older_plugins_are_allowed() -> None:
    async with World(options=GatewayOptions(allow_unsigned=True)) as world:
        order = world.order()
        client = RawClient(world, order.session_id)
        await client.connect(world.gateway.open_session(order), sign=False)
        await client.handshake()
        assert await client.output(len(BANNER)) == BANNER


@asynchronous
async def test_a_bad_signature_is_refused_even_where_none_is_needed() -> None:
    async with World(options=GatewayOptions(allow_unsigned=True)) as world:
        order = world.order()
        token = world.gateway.open_session(order)
        world.people["admin"] = world.people["other"]
        stranger = world.people.pop("other")
        world.people = {"admin": stranger}
        client = RawClient(world, order.session_id)
        url = world.gateway.stream_url(order.session_id).partition("&")[0]
        headers = world.headers(url, stranger)
        headers["Authorization"] = headers["Authorization"][:-4] + "0000"
        world.headers = lambda *_: headers  # type: ignore[method-assign,assignment]
        with pytest.raises(InvalidStatus) as refused:
            await client.connect(token)
        assert refused.value.response.status_code in (400, 403)


@asynchronous
async def test_an_instance_may_not_join_another_ones_session() -> None:
    async with World() as world:
        order = world.order()
        token = world.gateway.open_session(order)
        world.role = world.role.__class__(**{**vars(world.role), "instance_id": "i-0fffffffffffffff0"})
        world.people["agent"] = world.role
        with pytest.raises(InvalidStatus) as refused:
            await RawClient(world, order.session_id).connect(token, who="agent")
        assert refused.value.response.status_code == 403


@asynchronous
async def test_the_text_frame_and_the_agents_state_stay_with_the_gateway() -> None:
    async with World() as world:
        client = await world.session()
        first = await client.message()
        while first.kind == am.START_PUBLICATION:
            first = await client.message()
        assert first.kind == am.OUTPUT
        assert first.payload_type == am.P_HANDSHAKE_REQUEST


@asynchronous
async def test_the_agent_is_paused_while_the_client_is_away_and_started_when_it_is_back() -> None:
    async with World() as world:
        client = await world.ready()
        await client.socket.close()
        channel = world.agent._sessions[client.session_id]._channel
        await world.until(lambda: not channel.active.is_set())
        await client.resume()
        await client.message(am.START_PUBLICATION)
        await world.until(channel.active.is_set)


@asynchronous
async def test_the_client_is_told_when_the_agent_is_gone() -> None:
    async with World() as world:
        client = await world.ready()
        await world.agent.kill()
        await client.message(am.PAUSE_PUBLICATION)
        # The session stays: only the agent's word, or time, ends it.
        view = world.gateway.session(client.session_id)
        assert view is not None
        assert view.status == "Connected"


@asynchronous
async def test_frames_for_a_side_that_is_away_are_lost() -> None:
    async with World() as world:
        client = await world.ready()
        world.faults.fault("cut", side="agent")
        # The agent reconnects at once, so what is sent now may be lost, or arrive: only the resend is sure.
        number = await client.send(b"again")
        await client.send(b"again", sequence=number)
        reconnected = world.gateway.session(client.session_id)
        assert reconnected is not None
        await client.message(am.START_PUBLICATION)
        await client.send(b"again", sequence=number)
        await client.acked(number)
        assert bytes(world.port.received) == b"again"


@asynchronous
async def test_frames_before_the_first_client_are_kept_on_request() -> None:
    async with World(options=GatewayOptions(early_frames=True)) as world:
        order = world.order()
        token = world.gateway.open_session(order)
        await world.until(lambda: (view := world.gateway.session(order.session_id)) and view.bytes_down)
        client = RawClient(world, order.session_id)
        await client.connect(token)
        first = await client.stream()
        assert (first.sequence, first.payload_type) == (0, am.P_HANDSHAKE_REQUEST)
        await client.handshake()


@asynchronous
async def test_a_resumed_client_goes_on_where_it_was() -> None:
    async with World() as world:
        client = await world.ready()
        world.faults.fault("cut", side="client")
        await client.closed()
        await client.resume()
        await client.send(b"back")
        assert await client.output(4) == b"back"
        view = world.gateway.session(client.session_id)
        assert view is not None
        assert view.connections == 2


@asynchronous
async def test_a_second_client_takes_the_place_of_the_first() -> None:
    async with World() as world:
        client = await world.ready()
        old = client.socket
        await client.resume()
        await client.send(b"new")
        assert await client.output(3) == b"new"
        client.socket = old
        assert (await client.closed())[0] == 1000


@asynchronous
async def test_a_resume_with_another_client_id_is_refused() -> None:
    async with World() as world:
        client = await world.ready()
        token = world.gateway.resume_session(client.session_id)
        assert token is not None
        other = RawClient(world, client.session_id)
        await other.connect(token)
        assert (await other.closed())[0] == 1008
        await client.send(b"mine")
        assert await client.output(4) == b"mine"


@asynchronous
async def test_terminate_closes_both_sides() -> None:
    async with World() as world:
        client = await world.ready()
        seen = []
        world.gateway.on_session = seen.append
        assert world.gateway.terminate_session(client.session_id)
        code, messages = await client.closed()
        assert code == 1000
        closed = json.loads(messages[-1].payload)
        assert messages[-1].kind == am.CHANNEL_CLOSED
        assert (closed["SessionId"], closed["Output"]) == (client.session_id, "")
        await world.until(lambda: seen and seen[-1].status == "Terminated")
        assert seen[-1].ended_by == "api"
        assert not world.gateway.terminate_session(client.session_id)
        assert world.gateway.resume_session(client.session_id) is None


@asynchronous
async def test_the_flag_ends_the_session() -> None:
    async with World() as world:
        client = await world.ready()
        await client.send((2).to_bytes(4, "big"), payload_type=am.P_FLAG)
        _, messages = await client.closed()
        assert messages[-1].kind == am.CHANNEL_CLOSED
        view = world.gateway.session(client.session_id)
        assert view is not None
        assert (view.status, view.ended_by) == ("Terminated", "flag")


@asynchronous
async def test_a_client_that_disconnects_leaves_the_session_connected() -> None:
    async with World() as world:
        client = await world.ready()
        client.socket.transport.abort()
        await world.until(lambda: not world.gateway.session(client.session_id).client_connected)  # type: ignore[union-attr]
        view = world.gateway.session(client.session_id)
        assert view is not None
        assert view.status == "Connected"


@asynchronous
async def test_a_session_that_lasts_too_long_ends() -> None:
    async with World() as world:
        client = await world.session(max_duration=0.2)
        _, messages = await client.closed()
        assert json.loads(messages[-1].payload)["Output"] == DURATION_OUTPUT
        view = world.gateway.session(client.session_id)
        assert view is not None
        assert view.ended_by == "duration"


@asynchronous
async def test_a_session_can_have_an_idle_timeout_of_its_own() -> None:
    async with World() as world:
        client = await world.session(idle_timeout=0.1)
        _, messages = await client.closed()
        assert json.loads(messages[-1].payload)["Output"] == IDLE_OUTPUT


@asynchronous
async def test_an_idle_session_times_out() -> None:
    async with World(options=GatewayOptions(idle_timeout=0.3)) as world:
        client = await world.session()
        _, messages = await client.closed()
        assert json.loads(messages[-1].payload)["Output"] == IDLE_OUTPUT
        view = world.gateway.session(client.session_id)
        assert view is not None
        assert view.ended_by == "idle"
        assert world.gateway.resume_session(client.session_id) is None


@asynchronous
async def test_input_keeps_a_session_alive() -> None:
    async with World(options=GatewayOptions(idle_timeout=1.0)) as world:
        client = await world.ready()
        loop = asyncio.get_running_loop()
        until = loop.time() + 1.5
        while loop.time() < until:
            await client.send(b"x")
            assert await client.output(1) == b"x"
            await asyncio.sleep(0.05)


@asynchronous
async def test_every_connection_is_closed_after_its_lifetime() -> None:
    async with World() as world:
        client = await world.ready()
        world.gateway.options = GatewayOptions(connection_lifetime=0.1)
        await client.resume()
        code, messages = await client.closed()
        assert code == 1000
        assert all(one.kind != am.CHANNEL_CLOSED for one in messages)
        assert world.gateway.resume_session(client.session_id) is not None


@asynchronous
async def test_a_side_that_does_not_read_pauses_the_other() -> None:
    async with World() as world:
        stop = asyncio.Event()

        async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            await stop.wait()

        world.port.serve = deaf
        client = await world.ready()
        with pytest.raises(asyncio.TimeoutError):
            await client.flood()
        view = world.gateway.session(client.session_id)
        assert view is not None
        assert view.bytes_up < 100_000_000
        stop.set()


@asynchronous
async def test_the_rest_calls_answer_as_the_service_does() -> None:
    async with World() as world:
        client = await world.ready()
        service = world.agent._service
        assert await service.token("data-channel", client.session_id, b'{"ClientId":""}')
        world.gateway.terminate_session(client.session_id)
        with pytest.raises(Exception, match="Session is already terminated"):
            await service.token("data-channel", client.session_id, b"{}")
        with pytest.raises(Exception, match="<AccessDeniedException"):
            await service.token("control-channel", "i-0fffffffffffffff0", b"{}")
        with pytest.raises(Exception, match="NotFound"):
            await service.token("other-channel", INSTANCE, b"{}")


@asynchronous
async def test_an_unsigned_rest_call_is_refused() -> None:
    async with World() as world:
        reader, writer = await asyncio.open_connection("127.0.0.1", world.gateway.port)
        head = f"POST /v1/control-channel/{INSTANCE} HTTP/1.1\r\nHost: lab\r\nContent-Length: 2\r\n\r\n"
        writer.write(head.encode() + b"{}")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 400 ")
        writer.write(b"nonsense\r\n\r\n")
        assert b"HTTP/1.1 400" in await reader.read()
        writer.close()


@asynchronous
async def test_a_stream_url_looks_like_that_of_the_service() -> None:
    async with World() as world:
        client = await world.session()
        url = world.gateway.stream_url(client.session_id)
        assert url.startswith(f"ws://127.0.0.1:{world.gateway.port}/v1/data-channel/{client.session_id}?role=")
        assert "&cell-number=AAEAA" in url


@asynchronous
async def test_a_stream_url_may_name_something_in_front_of_the_gateway() -> None:
    async with World(options=GatewayOptions(stream_origin="wss://127.0.0.1:1")) as world:
        assert world.gateway.stream_url("s-1").startswith("wss://127.0.0.1:1/v1/data-channel/s-1?role=")


@asynchronous
async def test_a_session_over_tls(tmp_path: Path) -> None:
    authority = new_authority(tmp_path)
    trusting = ssl.create_default_context(cadata=authority.pem.decode())
    async with World(tls=(authority.server_context, trusting)) as world:
        assert world.gateway.stream_url("s").startswith("wss://127.0.0.1:")
        client = await world.ready()
        for how in ("reset", "eof", "bye"):
            world.faults.fault("cut", side="client", how=how)
            await client.closed()
            await client.resume()
            await client.send(b"x")
            assert await client.output(1) == b"x"
        world.faults.fault("cut", side="agent")
        await client.message(am.PAUSE_PUBLICATION)
        await client.message(am.START_PUBLICATION)
        await client.send(b"y")
        assert await client.output(1) == b"y"


@asynchronous
async def test_the_first_sign_of_a_plugin_may_be_a_ping() -> None:
    async with World() as world:
        order = world.order()
        token = world.gateway.open_session(order)
        url = world.gateway.stream_url(order.session_id).partition("&")[0]
        headers = world.headers(url, world.people["admin"])
        async with connect(url, additional_headers=headers, compression=None, proxy=None) as socket:
            pong = await socket.ping(b"keepalive")
            await socket.send(json.dumps({"TokenValue": token, "ClientId": "c", "ClientVersion": "1.2.0.0"}))
            await pong
            frame = await socket.recv()
            assert isinstance(frame, bytes)


@asynchronous
async def test_a_request_comes_in_pieces_and_several_on_one_connection() -> None:
    async with World() as world:
        reader, writer = await asyncio.open_connection("127.0.0.1", world.gateway.port)
        for piece in (
            b"POST /v1/nothing/x HT",
            b"TP/1.1\r\nHost: lab\r\nContent-Le",
            b"ngth: 3\r\n\r\na",
            b"bcGET / HTTP/1.1\r\nHost: lab\r\n\r\n",
        ):
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.01)
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 404 ")
        await reader.readuntil(b"</NotFound>")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 405 ")
        writer.close()


@asynchronous
@pytest.mark.parametrize(
    ("request_head", "status"),
    [
        (b"POST / HTTP/1.1\r\nHost: lab\r\nContent-Length: 9999999\r\n\r\n", b"413"),
        (b"POST / HTTP/1.1\r\nHost: lab\r\nno header\r\n\r\n", b"400"),
        (b"GET /" + bytes(40_000), b"431"),
        (b"GET /v1/data-channel/s?role=publish_subscribe HTTP/1.1\r\nHost: lab\r\nUpgrade: websocket\r\n\r\n", b"403"),
        (b"GET /v2/x HTTP/1.1\r\nHost: lab\r\nUpgrade: websocket\r\n\r\n", b"404"),
        (b"GET /v1/data-channel/s?role=other HTTP/1.1\r\nHost: lab\r\nUpgrade: websocket\r\n\r\n", b"404"),
    ],
)
async def test_refused_requests(request_head: bytes, status: bytes) -> None:
    async with World() as world:
        reader, writer = await asyncio.open_connection("127.0.0.1", world.gateway.port)
        writer.write(request_head)
        assert (await reader.read()).startswith(b"HTTP/1.1 " + status)
        writer.close()


@asynchronous
async def test_messages_on_the_control_channel_are_reported() -> None:
    async with World() as world:
        heard: list[tuple[str, str, object]] = []
        world.gateway.on_agent_message = lambda *entry: heard.append(entry)
        assert world.agent._socket is not None
        world.agent._socket.send([b"nonsense", am.encode_json(b"agent_job_ack", {"jobId": "j"})])
        await world.until(lambda: heard)
        assert heard == [(INSTANCE, "agent_job_ack", {"jobId": "j"})]
        world.gateway.send_to_agent(INSTANCE, "agent_job", {"JobId": "j"})
        with pytest.raises(NotOnline):
            world.gateway.send_to_agent("i-0fffffffffffffff0", "agent_job", {})
