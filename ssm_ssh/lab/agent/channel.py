"""The agent's side of a data channel: the rules of amazon-ssm-agent, agent/session/datachannel/datachannel.go.

They are kept also where they are inconvenient: only the oldest message is resent, one every 100 ms; stream data that
comes before the handshake counts as complete is acknowledged and dropped; what comes while the port's connection is
not up is not acknowledged at all.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, Protocol

from ssm_ssh.lab.agent.handshake import Handshake
from ssm_ssh.lab.agent.quirk import FAR_AHEAD, Quirk
from ssm_ssh.lab.agent.service import AgentService, ServiceError
from ssm_ssh.lab.agent.socket import AgentSocket, SocketGone
from ssm_ssh.lab.wire import message as am

# agent/session/config/config.go
PAYLOAD_SIZE = 1024
OUTGOING_CAPACITY = INCOMING_CAPACITY = 100_000
RESEND_INTERVAL = 0.1
DEFAULT_RTT, DEFAULT_RTO, MAX_RTO, GRANULARITY = 0.1, 0.2, 1.0, 0.01
RETRY_ATTEMPTS, RETRY_DELAY, RETRY_MAX = 5, 0.1, 5.0
HANDSHAKE_TIMEOUT = 15.0
CLOSE_PATIENCE = 2.0
# What is encrypted, when encryption is agreed.
_ENCRYPTED = (am.P_OUTPUT, am.P_STDERR, am.P_EXIT_CODE)
ALREADY_TERMINATED = "Session is already terminated"


class Timing(NamedTuple):
    """The times of a channel, in seconds, which tests shorten."""

    ready_delay: float = 0.0  # between sending HandshakeComplete and being ready for stream data
    ping: float = 54.0
    pong: float = 60.0
    handshake: float = HANDSHAKE_TIMEOUT
    doubles: bool = False  # see AgentOptions.doubles_on_break


class Handler(Protocol):
    """Where stream data goes: the session's plugin."""

    @property
    def one_by_one(self) -> bool:
        """True when each message must be written and acknowledged before the next is looked at."""

    def accept(self, message: am.Message) -> bool:
        """Accept one message in order, or return False when not ready, so that it is sent again."""

    async def flush(self) -> None:
        """Write what was accepted. Raises OSError when it cannot be written."""


async def retry(call: Callable[[], Awaitable[Any]]) -> Any:  # noqa: ANN401 -- whatever `call` returns
    """Call up to six times, with growing pauses, as agent/session/retry does. Raises the last ServiceError."""
    delay = RETRY_DELAY * (1 + random.random())  # noqa: S311 -- jitter
    for attempt in range(RETRY_ATTEMPTS + 1):
        try:
            return await call()
        except ServiceError as error:
            if attempt == RETRY_ATTEMPTS or ALREADY_TERMINATED in str(error):
                raise
        await asyncio.sleep(min(delay * 2**attempt, RETRY_MAX))
    raise AssertionError


class DataChannel:
    """One session's data channel. `cancelled` is set when the gateway closes the session."""

    def __init__(
        self,
        service: AgentService,
        session_id: str,
        instance_id: str,
        *,
        agent_version: str,
        handler: Handler,
        cancelled: asyncio.Event,
        timing: Timing,
        quirk: Quirk | None = None,
    ) -> None:
        self.active = asyncio.Event()  # cleared by pause_publication
        self.active.set()
        self._service = service
        self._session_id = session_id
        self._instance_id = instance_id
        self._handler = handler
        self._cancelled = cancelled
        self._timing = timing
        self._quirk = quirk or Quirk()
        self._socket: AgentSocket | None = None
        self._closing = False
        self.handshake = Handshake(
            agent_version,
            lambda payload_type, payload: self.send_stream(payload_type, [payload]),
            timeout=timing.handshake,
            ready_delay=timing.ready_delay,
        )
        self._expected = 0
        self._next = FAR_AHEAD if self._quirk.kind == "far_ahead" else 0
        self._incoming: dict[int, am.Message] = {}
        self._outgoing: dict[int, tuple[bytes, float]] = {}
        self._less = asyncio.Event()  # something was acknowledged
        self._rtt, self._rttv, self._rto = DEFAULT_RTT, 0.0, DEFAULT_RTO
        self._tasks: list[asyncio.Task[None]] = []

    # Opening and closing

    async def open(self) -> None:
        """Get a token, open the WebSocket, start receiving and resending. Raises ServiceError."""
        await retry(self._connect)
        self._tasks = [asyncio.create_task(self._receive()), asyncio.create_task(self._resend())]

    async def _connect(self) -> None:
        ids = {"MessageSchemaVersion": "1.0", "RequestId": am.new_id(), "ClientId": ""}
        token = await self._service.token("data-channel", self._session_id, json.dumps(ids).encode())
        if self._socket is not None:
            self._socket.close()
        self._socket = await self._service.open(
            "data-channel",
            self._session_id,
            "role=publish_subscribe",
            ping=self._timing.ping,
            pong=self._timing.pong,
        )
        opening = {
            "MessageSchemaVersion": "1.0",
            "RequestId": am.new_id(),
            "TokenValue": token,
            "ClientInstanceId": self._instance_id,
            "ClientId": "",
        }
        self._socket.send_text(json.dumps(opening))
        self.active.set()

    def send_state(self, session_state: str = "Connected") -> None:
        """Tell the gateway that the session is `session_state`: Connected or Terminating."""
        state = {"SchemaVersion": 1, "SessionState": session_state, "SessionId": self._session_id}
        self._send([am.encode_json(am.AGENT_SESSION_STATE, state, flags=3)])

    async def prepare_to_close(self) -> None:
        """Wait until everything is acknowledged, for two seconds at most."""
        deadline = time.monotonic() + CLOSE_PATIENCE
        while self._outgoing and (left := deadline - time.monotonic()) > 0:
            self._less.clear()
            try:
                await asyncio.wait_for(self._less.wait(), left)
            except asyncio.TimeoutError:
                return

    def close(self, *, abort: bool = False) -> None:
        """Close the WebSocket and stop."""
        self._closing = True
        for task in self._tasks:
            task.cancel()
        if self._socket is not None:
            (self._socket.abort if abort else self._socket.close)()

    # Sending

    def _send(self, frames: list[bytes]) -> None:
        if self._socket is not None:
            self._socket.send(frames)

    def send_stream(self, payload_type: int, payloads: list[bytes]) -> None:
        """Number, send and keep stream messages; while paused they are only kept."""
        frames = []
        now = time.monotonic()
        cipher = self.handshake.cipher if payload_type in _ENCRYPTED else None
        for payload in payloads:
            if cipher is not None:
                payload = cipher.encrypt(payload)  # noqa: PLW2901
            number = self._next
            frame = am.encode(am.OUTPUT, payload, sequence=number, flags=0 if number else 1, payload_type=payload_type)
            self._next = number + 1
            frames.append(frame)
            if len(self._outgoing) < OUTGOING_CAPACITY:
                self._outgoing[number] = (frame, now)
        if self.active.is_set() and self._quirk.kind != "hung":
            self._send(frames)

    async def drain(self, most: int = 0) -> None:
        """Wait until the socket is writable and, with `most`, fewer messages than that are unacknowledged."""
        if self._socket is not None:
            await self._socket.drain()
        while most and len(self._outgoing) >= most:
            self._less.clear()
            await self._less.wait()

    async def _resend(self) -> None:
        while True:
            await asyncio.sleep(RESEND_INTERVAL)
            if not self.active.is_set() or not self._outgoing or self._quirk.kind in ("hung", "mute"):
                continue
            number, (frame, sent) = next(iter(self._outgoing.items()))
            now = time.monotonic()
            if now - sent > self._rto:
                self._send([frame])
                self._outgoing[number] = (frame, now)

    # Receiving

    async def _receive(self) -> None:
        while True:
            assert self._socket is not None
            try:
                frames = await self._socket.receive()
            except SocketGone:
                try:
                    await retry(self._connect)
                except ServiceError:
                    return  # like the official agent: silent until the port or the gateway ends the session
                continue
            await self._batch(frames)

    async def _batch(self, frames: list[bytes]) -> None:
        if self._quirk.kind == "hung" or (self._quirk.kind == "mute" and self.handshake.answered):
            return
        acks: list[bytes] = []
        start = self._expected
        broken = self._timing.doubles and self._socket is not None and self._socket.gone
        for frame in frames:
            if broken and self._expected > start:
                break  # a later message than expected is not kept without an acknowledgement
            try:
                message = am.decode(frame)
            except ValueError:
                continue
            if message.kind == am.INPUT:
                self.active.set()
                before = self._expected
                ack = await self._input(message)
                if self._handler.one_by_one:
                    await self._write_one(before, ack)
                elif ack is not None:
                    acks.append(ack)
            elif message.kind == am.ACKNOWLEDGE:
                self.active.set()
                self._acknowledged(message)
            elif message.kind == am.CHANNEL_CLOSED:
                self._cancelled.set()
            elif message.kind == am.PAUSE_PUBLICATION:
                self.active.clear()
            elif message.kind == am.START_PUBLICATION:
                self.active.set()
        try:
            await self._handler.flush()
        except OSError:
            # What could not be written is not acknowledged, and stays expected.
            self._expected = start
            return
        if broken:
            self._expected = start
        if acks and self._quirk.kind != "no_acks":
            self._send(acks)

    async def _write_one(self, before: int, ack: bytes | None) -> None:
        """Write what one message brought, and acknowledge it only then."""
        try:
            await self._handler.flush()
        except OSError:
            self._expected = before
            return
        if ack is not None and self._quirk.kind != "no_acks":
            self._send([ack])

    async def _input(self, message: am.Message) -> bytes | None:
        """Handle one stream message; return its acknowledgement, None when it gets none."""
        number = message.sequence
        if number < self._expected:
            return am.acknowledge(message)
        if number > self._expected:
            if len(self._incoming) >= INCOMING_CAPACITY:
                return None
            self._incoming[number] = message
            return am.acknowledge(message)
        if not await self._process(message):
            return None
        self._expected += 1
        while (following := self._incoming.get(self._expected)) is not None and await self._process(following):
            del self._incoming[self._expected]
            self._expected += 1
        return am.acknowledge(message)

    async def _process(self, message: am.Message) -> bool:
        """Handle a message in order; False for what the official agent cannot process, and so does not acknowledge."""
        handshake = self.handshake
        try:
            if message.payload_type == am.P_OUTPUT and handshake.cipher is not None:
                message = message._replace(payload=handshake.cipher.decrypt(message.payload))
            if message.payload_type == am.P_HANDSHAKE_RESPONSE:
                if not await handshake.on_response(message.payload):
                    self._cancelled.set()
                return True
            if message.payload_type == am.P_ENC_CHALLENGE_RESPONSE:
                handshake.on_challenge(message.payload)
                return True
        except (ValueError, KeyError):
            return False
        return self._handler.accept(message) if handshake.complete else True

    def _acknowledged(self, message: am.Message) -> None:
        try:
            number = am.acknowledged(message.payload)
        except ValueError:
            return
        kept = self._outgoing.pop(number, None)
        if kept is None:
            return
        sample = time.monotonic() - kept[1]
        self._rttv = 0.75 * self._rttv + 0.25 * abs(self._rtt - sample)
        self._rtt = 0.875 * self._rtt + 0.125 * sample
        self._rto = min(self._rtt + max(GRANULARITY, 4 * self._rttv), MAX_RTO)
        self._less.set()
