# Over 350 lines: agent, network and driver of one simulation share its clock.
"""A data channel in simulated time: an honest agent, a faulty network, and a driver in the place of the relay."""

from __future__ import annotations

import heapq
import json
from collections import deque
from random import Random
from typing import TYPE_CHECKING, Any

from ssm_ssh.channel.events import Output
from ssm_ssh.channel.message import (
    ACKNOWLEDGE,
    FLAG,
    HANDSHAKE_COMPLETE,
    HANDSHAKE_REQUEST,
    HANDSHAKE_RESPONSE,
    INPUT,
    OUTPUT,
    STREAM,
    TERMINATE_SESSION,
    Message,
    acknowledged_number,
    decode,
    encode,
    random_id,
    uuid_text,
)
from ssm_ssh.channel.session import Channel

if TYPE_CHECKING:
    from collections.abc import Callable

    from ssm_ssh.channel.events import Event

BANNER = b"SSH-2.0-simulated\r\n"
REQUEST = {
    "AgentVersion": "3.3.0.0",
    "RequestedClientActions": [
        {
            "ActionType": "SessionType",
            "ActionParameters": {"SessionType": "Port", "Properties": {"portNumber": "22"}},
        }
    ],
}
COMPLETE = {"HandshakeTimeToComplete": 2244200, "CustomerMessage": ""}


class World:
    """The clock and the events scheduled on it."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._events: list[tuple[float, int, Callable[..., object], tuple[object, ...]]] = []
        self._count = 0

    def at(self, when: float, action: Callable[..., object], *arguments: object) -> None:
        self._count += 1
        heapq.heappush(self._events, (max(when, self.now), self._count, action, arguments))

    def run(self, until: Callable[[], bool]) -> None:
        """Run until `until()` is true. Fails if no event is left, or after an hour."""
        start = self.now
        while not until():
            assert self._events, "no event is left"
            self.now, _, action, arguments = heapq.heappop(self._events)
            assert self.now < start + 3600, "an hour has passed"
            action(*arguments)

    def pass_time(self, seconds: float) -> None:
        end = self.now + seconds
        while self._events and self._events[0][0] <= end:
            self.now, _, action, arguments = heapq.heappop(self._events)
            action(*arguments)
        self.now = end


class Link:
    """One direction: `rate` bytes per second (None: no limit), `delay` seconds, and faults by probability."""

    def __init__(
        self,
        world: World,
        deliver: Callable[[bytes], None],
        *,
        delay: float = 0.01,
        rate: float | None = None,
        lose: float = 0.0,
        double: float = 0.0,
        reorder: float = 0.0,
        rng: Random | None = None,
    ) -> None:
        self.world = world
        self.deliver = deliver
        self.delay = delay
        self.rate = rate
        self.lose, self.double, self.reorder = lose, double, reorder
        self.rng = rng or Random(0)
        self.free_at = 0.0
        self.generation = 0
        self.sent = 0

    def send(self, frames: list[bytes]) -> None:
        now = self.world.now
        for frame in frames:
            self.sent += 1
            if self.rate is not None:
                self.free_at = max(self.free_at, now) + (len(frame) + 8) / self.rate
            arrival = max(self.free_at, now) + self.delay
            if self.rng.random() < self.lose:
                continue
            if self.rng.random() < self.reorder:
                arrival += self.delay * 2 * self.rng.random()
            self.world.at(arrival, self._arrive, self.generation, frame)
            if self.rng.random() < self.double:
                self.world.at(arrival + self.delay * self.rng.random(), self._arrive, self.generation, frame)

    def cut(self) -> None:
        """Lose everything that is on its way."""
        self.generation += 1
        self.free_at = 0.0

    def _arrive(self, generation: int, frame: bytes) -> None:
        if generation == self.generation:
            self.deliver(frame)


class Agent:
    """The agent's session code, as in the public source, and a program behind it that gets `received`."""

    def __init__(
        self,
        world: World,
        *,
        handshake: bool = True,
        complete_lag: float = 0.001,
        port_lag: float = 0.005,
        on_data: Callable[[bytes], object] = len,
    ) -> None:
        self.world = world
        self.link: Link
        self.handshake = handshake
        self.complete = not handshake
        self.complete_lag, self.port_lag = complete_lag, port_lag
        self.port_up = False
        self.acknowledging = True
        self.on_data = on_data
        self.received = bytearray()
        self.terminated = False
        self.response = b""
        self.discarded = 0
        self.duplicates = 0
        self.stream_messages = 0
        self.expected = 0
        self.buffered: dict[int, Message] = {}
        self.number = 0
        self.unacked: dict[int | None, list[Any]] = {}
        self.rng = Random(1)
        self._resending = False
        self.stalled_until = 0.0

    def start(self) -> None:
        if self.handshake:
            self.write(json.dumps(REQUEST).encode(), HANDSHAKE_REQUEST)
        else:
            self._connect()

    def write(self, payload: bytes, payload_type: int = STREAM) -> None:
        """Send one stream message and keep it until it is acknowledged."""
        flags = 1 if self.number == 0 else 0
        frame = self._frame(OUTPUT, self.number, flags, payload_type, payload)
        self.unacked[self.number] = [frame, self.world.now]
        self.number += 1
        self.link.send([frame])
        if not self._resending:
            self._resending = True
            self.world.at(self.world.now + 0.1, self._resend)

    def output(self, data: bytes) -> None:
        for start in range(0, len(data), 1024):
            self.write(data[start : start + 1024])

    def stall(self, seconds: float) -> None:
        """Let the program stop reading for a while, so that the agent processes no frames."""
        self.stalled_until = self.world.now + seconds

    def receive(self, frame: bytes) -> None:
        if self.world.now < self.stalled_until:
            self.world.at(self.stalled_until, self.receive, frame)
            return
        message = decode(frame)
        if message.message_type == ACKNOWLEDGE:
            self.unacked.pop(acknowledged_number(message.payload), None)
            return
        assert message.message_type == INPUT
        self.stream_messages += 1
        number = message.sequence
        if number == self.expected:
            if not self._process(message):
                return
            self._acknowledge(message)
            self.expected += 1
            while self.expected in self.buffered and self._process(self.buffered[self.expected]):
                del self.buffered[self.expected]
                self.expected += 1
        elif number > self.expected:
            self.duplicates += number in self.buffered
            self.buffered[number] = message
            self._acknowledge(message)
        else:
            self.duplicates += 1
            self._acknowledge(message)

    def _process(self, message: Message) -> bool:
        if message.payload_type == HANDSHAKE_RESPONSE:
            self.response = message.payload
            self.world.at(self.world.now, self._complete)
            return True
        if not self.complete:
            self.discarded += len(message.payload)
            return True
        if not self.port_up:
            return False
        if message.payload_type == FLAG:
            self.terminated = message.payload == TERMINATE_SESSION
        elif message.payload_type == STREAM:
            assert len(message.payload) <= 1024
            self.received += message.payload
            self.on_data(message.payload)
        return True

    def _complete(self) -> None:
        self.write(json.dumps(COMPLETE).encode(), HANDSHAKE_COMPLETE)
        self.world.at(self.world.now + self.complete_lag, self._connect)

    def _connect(self) -> None:
        self.complete = True
        self.world.at(self.world.now + self.port_lag, self._port_up)

    def _port_up(self) -> None:
        self.port_up = True
        self.output(BANNER)

    def _acknowledge(self, message: Message) -> None:
        if not self.acknowledging:
            return
        payload = {
            "AcknowledgedMessageType": INPUT,
            "AcknowledgedMessageId": uuid_text(message.message_id),
            "AcknowledgedMessageSequenceNumber": message.sequence,
            "IsSequentialMessage": True,
        }
        data = json.dumps(payload, separators=(",", ":")).encode()
        self.link.send([self._frame(ACKNOWLEDGE, 0, 3, 0, data)])

    def _resend(self) -> None:
        if not self.unacked:
            self._resending = False
            return
        number = min(self.unacked)
        entry = self.unacked[number]
        if self.world.now - entry[1] > 0.2:
            entry[1] = self.world.now
            self.link.send([entry[0]])
        self.world.at(self.world.now + 0.1, self._resend)

    def _frame(self, message_type: str, number: int, flags: int, payload_type: int, payload: bytes) -> bytes:
        return encode(
            message_type,
            sequence=number,
            flags=flags,
            message_id=random_id(self.rng.getrandbits(128)),
            payload_type=payload_type,
            payload=payload,
            created=int(self.world.now * 1000),
        )


class Relay:
    """Drives a channel like the real loop: stream bytes go in while there is room, frames come out when due."""

    def __init__(self, world: World, channel: Channel, *, budget: int = 64 * 1024) -> None:
        self.world = world
        self.channel = channel
        self.link: Link
        self.budget = budget
        self.pipe: deque[bytes] = deque()
        self.output = bytearray()
        self.events: list[Event] = []
        self.online = False
        self.sent: list[tuple[float, bytes]] = []
        self.keep_sent = False
        self.endless = False
        self._timer = 0

    def write(self, data: bytes) -> None:
        """Put bytes into the unbounded pipe in front of the channel."""
        self.pipe.append(data)
        self.turn()

    def receive(self, frame: bytes) -> None:
        if not self.online:
            return
        for event in self.channel.receive(frame, self.world.now):
            if isinstance(event, Output):
                self.output += event.data
            else:
                self.events.append(event)
        self.turn()

    def connect(self) -> None:
        self.online = True
        self.channel.connected(self.world.now)
        self.turn()

    def disconnect(self) -> None:
        self.online = False
        self.channel.disconnected(self.world.now)

    def upload(self) -> None:
        """Start a copy that keeps the pipe of 64 KiB full."""
        self.endless = True
        self.turn()

    def turn(self) -> None:
        channel, now = self.channel, self.world.now
        while True:
            if self.endless:
                while sum(map(len, self.pipe)) <= 60 * 1024:
                    self.pipe.append(bytes(4096))
            while self.pipe and (room := channel.room()) > 0:
                data = self.pipe.popleft()
                if len(data) > room:
                    self.pipe.appendleft(data[room:])
                channel.send(data[:room], now)
            frames = channel.frames(now, self.budget)
            if not frames:
                break
            assert self.online
            if self.keep_sent:
                self.sent += [(now, frame) for frame in frames]
            self.link.send(frames)
        self._timer += 1
        at = channel.timer()
        if at is not None:
            self.world.at(max(at, now), self._due, self._timer)

    def _due(self, timer: int) -> None:
        if timer == self._timer:
            self.turn()


class Session:
    """Channel, relay, network and agent. `up` and `down` are the keyword arguments of the two links."""

    def __init__(
        self,
        *,
        up: dict[str, Any] | None = None,
        down: dict[str, Any] | None = None,
        relay: dict[str, Any] | None = None,
        **agent: Any,  # noqa: ANN401
    ) -> None:
        self.world = World()
        self.channel = Channel(client_id="c", epoch=0.0, random_bits=Random(2).getrandbits)
        self.relay = Relay(self.world, self.channel, **(relay or {}))
        self.agent = Agent(self.world, **agent)
        self.up = self.relay.link = Link(self.world, self.agent.receive, **(up or {}))
        self.down = self.agent.link = Link(self.world, self.relay.receive, **(down or {}))

    def start(self) -> None:
        self.relay.connect()
        self.agent.start()

    def cut(self, outage: float) -> None:
        """Lose the connection now and resume after `outage` seconds. A second cut in that time changes nothing."""
        if self.relay.online:
            self.up.cut()
            self.down.cut()
            self.relay.disconnect()
            self.world.at(self.world.now + outage, self.relay.connect)

    def established(self) -> None:
        """Run until the first output of the program behind the agent has arrived."""
        self.world.run(lambda: len(self.relay.output) >= len(BANNER))
