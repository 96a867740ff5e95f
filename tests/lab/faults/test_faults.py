# Over 350 lines: one lab serves every fault in turn.
"""The lab's faults: what each does to a session, and to nothing else."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from ssm_ssh.errors import UsageError
from ssm_ssh.lab.faults.faults import NAMES, Faults
from ssm_ssh.lab.wire import message as am
from tests.lab.dataplane import BANNER, INSTANCE, RawClient, World, asynchronous

INPUT = am.encode(am.INPUT, b"x", payload_type=1)
ACK = am.encode(am.ACKNOWLEDGE, b"{}", flags=3)


# The model


def test_every_name_is_a_documented_method() -> None:
    for name in NAMES:
        assert getattr(Faults, name).__doc__


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("unknown", {}),
        ("clear", {}),
        ("cut", {"nonsense": 1}),
        ("cut", {"side": "middle"}),
        ("cut", {"how": "gently"}),
        ("cut", {"when": "sometime"}),
        ("delay", {}),
        ("delay", {"seconds": 1, "direction": "sideways"}),
        ("limit", {"bytes_per_second": 0}),
        ("lose", {"direction": "in"}),
        ("stall", {"when": "later"}),
        ("refuse", {"side": "server"}),
    ],
)
def test_what_cannot_be_is_refused(name: str, values: dict[str, Any]) -> None:
    faults = Faults()
    with pytest.raises(UsageError):
        faults.fault(name, **values)
    assert faults.in_force() == []


def test_faults_are_listed_and_cleared_one_by_one() -> None:
    faults = Faults()
    one = faults.fault("delay", seconds=1)
    faults.fault("limit", bytes_per_second=10)
    faults.clear(one)
    assert [entry["name"] for entry in faults.in_force()] == ["limit"]
    faults.clear()
    assert faults.in_force() == []
    assert faults.plan("s", "i", "up") is None


def test_a_fault_concerns_its_session_instance_and_direction() -> None:
    faults = Faults()
    faults.fault("delay", seconds=1, session="s", instance="i", direction="up")
    assert faults.plan("s", "i", "up") is not None
    assert faults.plan("s", "i", "down") is None
    assert faults.plan("other", "i", "up") is None
    assert faults.plan("s", "other", "up") is None


def test_loss_is_by_type_and_count() -> None:
    faults = Faults()
    faults.fault("lose_acks", count=2)
    plan = faults.plan("s", "i", "up")
    assert plan is not None
    assert [plan.shape(one) for one in (INPUT, ACK, INPUT, ACK, ACK)] == [[INPUT], [], [INPUT], [], [ACK]]


def test_loss_is_by_payload_type() -> None:
    faults = Faults()
    faults.fault("lose", payload_type=7)
    plan = faults.plan("s", "i", "down")
    assert plan is not None
    complete = am.encode(am.OUTPUT, b"{}", payload_type=7)
    assert [plan.shape(INPUT), plan.shape(complete)] == [[INPUT], []]


def test_chance_repeats_with_its_seed() -> None:
    def run(seed: int) -> list[int]:
        faults = Faults(seed)
        faults.fault("lose", probability=0.5)
        plan = faults.plan("s", "i", "up")
        assert plan is not None
        return [len(plan.shape(INPUT)) for _ in range(64)]

    assert run(1) == run(1)
    assert run(1) != run(2)
    assert 0 < sum(run(1)) < 64


def test_double_and_reorder() -> None:
    faults = Faults()
    faults.fault("double", count=1)
    plan = faults.plan("s", "i", "up")
    assert plan is not None
    assert [plan.shape(INPUT), plan.shape(INPUT)] == [[INPUT, INPUT], [INPUT]]
    faults.clear()
    faults.fault("reorder", distance=2, count=1)
    plan = faults.plan("s", "i", "up")
    assert plan is not None
    frames = [am.encode(am.INPUT, bytes([n]), payload_type=1) for n in range(4)]
    out = [one for frame in frames for one in plan.shape(frame)]
    assert out == [frames[1], frames[2], frames[0], frames[3]]
    assert not plan.holding


def test_what_nothing_overtakes_is_released() -> None:
    faults = Faults()
    faults.fault("reorder", count=1)
    plan = faults.plan("s", "i", "up")
    assert plan is not None
    assert plan.shape(INPUT) == []
    assert plan.holding
    assert plan.release() == [INPUT]


def test_a_cut_falls_at_its_byte() -> None:
    faults = Faults()
    faults.fault("cut", every=300)
    plan = faults.plan("s", "i", "up")
    assert plan is not None
    size = len(INPUT)
    found = [plan.cut(INPUT) for _ in range(6)]
    where = [entry[1] if entry else None for entry in found]
    assert where == [None, None, 300 - 2 * size, None, None, 300 - 2 * size]


def test_a_single_cut_is_used_up() -> None:
    faults = Faults()
    faults.fault("cut", after=1)
    plan = faults.plan("s", "i", "down")
    assert plan is not None
    assert plan.cut(INPUT) is not None
    assert plan.cut(INPUT) is None
    assert faults.in_force() == []


def test_the_api_asks_what_a_call_meets() -> None:
    faults = Faults()
    assert faults.api_decision("StartSession") is None
    faults.fault("throttle", operation="StartSession", count=2)
    decision = faults.api_decision("StartSession")
    assert decision is not None
    assert (decision.status, decision.code, decision.message) == (400, "ThrottlingException", "Rate exceeded")
    assert faults.api_decision("ResumeSession") is None
    assert faults.api_decision("StartSession") is not None
    assert faults.api_decision("StartSession") is None


# On a session


@asynchronous
@pytest.mark.parametrize("how", ["reset", "eof", "bye"])
async def test_a_cut_now_takes_the_client(how: str) -> None:
    async with World() as world:
        client = await world.ready()
        world.faults.fault("cut", how=how)
        code, _ = await client.closed()
        assert code == (1000 if how == "bye" else None)
        await client.resume()
        await client.send(b"x")
        assert await client.output(1) == b"x"


@asynchronous
async def test_a_cut_concerns_one_session() -> None:
    async with World() as world:
        one, two = await world.ready(), await world.ready()
        world.faults.fault("cut", session=one.session_id)
        await one.closed()
        await two.send(b"x")
        assert await two.output(1) == b"x"


@asynchronous
async def test_a_cut_after_bytes() -> None:
    async with World() as world:
        client = await world.ready()
        world.faults.fault("cut", after=5000, direction="up")
        for _ in range(10):
            await client.send(bytes(1000))
        await client.closed()
        await client.resume()
        # 4 whole messages of 1120 bytes came through; the fifth was lost with the connection.
        await world.until(lambda: len(world.port.received) == 4000)


@asynchronous
async def test_a_cut_in_the_middle_of_a_frame() -> None:
    async with World() as world:
        client = await world.ready()
        world.faults.fault("cut", after=500, direction="down", mid_frame=True, how="eof")
        await client.send(bytes(1000))
        code, messages = await client.closed()
        assert code is None
        assert all(one.kind != am.OUTPUT for one in messages)
        await client.resume()
        assert await client.output(1000) == bytes(1000)


@asynchronous
@pytest.mark.parametrize("payload_type", [5, 6, 7])
async def test_a_cut_in_the_handshake(payload_type: int) -> None:
    async with World() as world:
        world.faults.fault("cut", when="handshake", payload_type=payload_type)
        client = await world.session()
        if payload_type == 5:
            await client.closed()
            await client.resume()
            await client.handshake()
        else:
            request = await client.in_order()
            assert request.payload_type == am.P_HANDSHAKE_REQUEST
            await client.respond()
            await client.closed()
            await client.resume()
            if payload_type == 6:
                client.sent = 0
                await client.respond()
            assert (await client.in_order()).payload_type == am.P_HANDSHAKE_COMPLETE
        assert await client.output(len(BANNER)) == BANNER


@asynchronous
async def test_a_cut_on_resume() -> None:
    async with World() as world:
        world.faults.fault("cut", when="resume")
        client = await world.ready()
        client.socket.transport.abort()
        await client.resume()
        await client.closed()
        await client.resume()
        await client.send(b"x")
        assert await client.output(1) == b"x"


@asynchronous
async def test_delay_keeps_the_order() -> None:
    async with World() as world:
        client = await world.ready()
        world.faults.fault("delay", seconds=0.2, jitter=0.05, direction="up")
        loop = asyncio.get_running_loop()
        start = loop.time()
        for number in range(10):
            await client.send(bytes([number]))
        assert await client.output(10) == bytes(range(10))
        assert loop.time() - start >= 0.2
        assert bytes(world.port.received) == bytes(range(10))


@asynchronous
async def test_a_limit_holds_the_line_to_its_rate() -> None:
    async with World() as world:
        client = await world.ready()
        world.faults.fault("limit", bytes_per_second=200_000, direction="up")
        loop = asyncio.get_running_loop()
        start = loop.time()
        for _ in range(100):
            await client.send(bytes(1000))
        await world.until(lambda: len(world.port.received) == 100_000)
        assert loop.time() - start >= 0.5


@asynchronous
async def test_a_limited_line_holds_its_source() -> None:
    async with World() as world:
        client = await world.ready()
        world.faults.fault("limit", bytes_per_second=1000, direction="up")
        with pytest.raises(asyncio.TimeoutError):
            await client.flood()
        view = world.gateway.session(client.session_id)
        assert view is not None
        assert view.bytes_up < 2_000_000


@asynchronous
async def test_lost_acknowledgements_are_mended_by_repeating() -> None:
    async with World() as world:
        client = await world.ready()
        channel = world.agent._sessions[client.session_id]._channel
        await world.until(lambda: not channel._outgoing)
        world.faults.fault("lose_acks", direction="up", count=1)
        await client.send(b"x")
        assert await client.output(1) == b"x"
        again = await client.stream()
        assert again.payload == b"x"
        await client.acknowledge(again)
        await world.until(lambda: not channel._outgoing)


@asynchronous
async def test_a_stall_is_silence_and_clearing_goes_on() -> None:
    async with World() as world:
        client = await world.ready()
        world.faults.fault("stall")
        number = await client.send(b"held")
        pong = await client.socket.ping()
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(client.acked(number), 0.3)
        assert not pong.done()
        assert not world.port.received
        world.faults.clear()
        await pong
        assert await client.output(4) == b"held"


@asynchronous
async def test_a_stall_affects_later_connections() -> None:
    async with World() as world:
        world.faults.fault("stall", when="open")
        client = await world.session()
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(client.message(), 0.3)
        world.faults.clear()
        await client.handshake()


@asynchronous
async def test_an_upgrade_is_refused_so_often() -> None:
    async with World() as world:
        world.faults.fault("refuse", status=429, count=1)
        order = world.order()
        token = world.gateway.open_session(order)
        client = RawClient(world, order.session_id)
        with pytest.raises(InvalidStatus) as refused:
            await client.connect(token)
        assert refused.value.response.status_code == 429
        await client.connect(token)
        await client.handshake()


@asynchronous
async def test_tokens_expire_on_request() -> None:
    async with World() as world:
        order = world.order()
        token = world.gateway.open_session(order)
        world.faults.fault("expire_tokens")
        client = RawClient(world, order.session_id)
        await client.connect(token)
        assert (await client.closed())[0] == 1008
        token = world.gateway.resume_session(order.session_id) or ""
        await client.connect(token)
        await client.message()


@asynchronous
async def test_the_agents_side_can_be_refused_too() -> None:
    async with World() as world:
        world.faults.fault("refuse", side="agent", instance=INSTANCE, count=1)
        client = await world.ready()
        await client.send(b"x")
        assert await client.output(1) == b"x"
        assert any(entry[0] == "OpenDataChannel" and entry[2] == 503 for entry in world.log)


def test_bytes_are_counted_for_each_session_and_outlive_other_faults() -> None:
    faults = Faults()
    faults.fault("cut", after=2 * len(INPUT), count=0)

    def cut(session: str, direction: str) -> bool:
        plan = faults.plan(session, "i", direction)
        assert plan is not None
        return plan.cut(INPUT) is not None

    assert not cut("one", "up")
    assert not cut("two", "up")
    faults.fault("delay", seconds=1)
    assert cut("one", "down")
    assert not cut("one", "up")
    assert cut("two", "up")
