"""The data channel as a state machine: stream bytes and WebSocket frames in, frames and events out.

Pure: it has no socket, clock or thread. The caller tells the time (monotonic seconds) with each call and drives it:

    connected(now) once the text frame of open_message() is on its way, disconnected(heard) when the connection broke;
    receive() for each binary frame; send() for at most room() bytes of the stream;
    frames() after any of these, when timer() is due, and when the transport has taken what it was given.
"""

from __future__ import annotations

from random import getrandbits
from typing import TYPE_CHECKING

from ssm_ssh.channel import message as wire
from ssm_ssh.channel.events import Closed, Established, ExitCode, Notice, Output, Refused, StdErr
from ssm_ssh.channel.handshake import answer, closing_reason, customer_message, json_object, open_request
from ssm_ssh.channel.limits import BROKEN_FRAMES, HOLD
from ssm_ssh.channel.message import Message, MessageError, encode_ack, random_id, uuid_text
from ssm_ssh.channel.receiver import Receiver
from ssm_ssh.channel.sender import Sender
from ssm_ssh.errors import ProtocolError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ssm_ssh.channel.events import Event


class Channel:
    """One session's data channel, across all the connections it is resumed on.

    `client_id` is a UUID's text, `epoch` the wall clock minus the monotonic clock in seconds, `random_bits` gives an
    integer of so many random bits (for message ids, which need not be secret).
    """

    __slots__ = (
        "_agent_version",
        "_broken",
        "_client_id",
        "_client_version",
        "_closed",
        "_complete_at",
        "_epoch",
        "_established",
        "_online",
        "_port_closed",
        "_random_bits",
        "_receiver",
        "_refused",
        "_requested",
        "_sender",
    )

    def __init__(
        self,
        *,
        client_id: str,
        client_version: str = "1.2.764.0",
        epoch: float,
        random_bits: Callable[[int], int] = getrandbits,
    ) -> None:
        self._client_id = client_id
        self._client_version = client_version
        self._epoch = epoch
        self._random_bits = random_bits
        self._sender = Sender(random_bits)
        self._receiver = Receiver()
        self._online = False
        self._requested = False
        self._complete_at = 0.0
        self._established = False
        self._refused = False
        self._port_closed = False
        self._closed = False
        self._agent_version = ""
        self._broken = 0

    @property
    def established(self) -> bool:
        """The handshake is complete, or a session without one has sent its first output."""
        return self._established

    @property
    def agent_version(self) -> str:
        """The agent's version as the handshake told it, else empty."""
        return self._agent_version

    @property
    def unacknowledged(self) -> int:
        """Bytes of payload given to the channel that the agent has not acknowledged, sent or not."""
        return self._sender.unacknowledged

    @property
    def progress(self) -> int:
        """How many messages have arrived so far, there and here: what a connection is worth."""
        return self._sender.flight.arrived + self._receiver.expected

    @property
    def acknowledged(self) -> int:
        """How many messages of ours the agent has acknowledged."""
        return self._sender.flight.arrived

    @property
    def received(self) -> int:
        """How many messages of the agent's have arrived in order."""
        return self._receiver.expected

    @property
    def gap(self) -> bool:
        """Messages wait for an earlier one that has not come."""
        return self._receiver.waiting

    @property
    def away(self) -> bool:
        """The gateway has said that the agent is gone, and not that it is back."""
        return self._sender.flight.paused

    @property
    def drained(self) -> bool:
        """All that was to be sent has been acknowledged, the TerminateSession flag too."""
        return self._sender.drained

    @property
    def closed(self) -> bool:
        """The gateway has closed the channel: nothing is sent or delivered any more."""
        return self._closed

    def open_message(self, token: str) -> str:
        """The text frame to send first on a connection, with the TokenValue of StartSession or ResumeSession."""
        request_id = uuid_text(random_id(self._random_bits(128)))
        return open_request(token, request_id, self._client_id, self._client_version)

    def connected(self, now: float) -> None:
        """A connection is up and its text frame given to it: all that is unacknowledged becomes due again."""
        self._online = True
        self._sender.flight.connected(now)

    def disconnected(self, heard: float) -> None:
        """The connection broke, last known to live at `heard`: nothing is due until the next one is up."""
        if self._online:
            self._online = False
            self._receiver.lost(heard)

    def room(self) -> int:
        """Bytes of the stream that send() may be given now; 0 means: stop reading them."""
        return 0 if self._closed or self._refused else self._sender.room()

    def send(self, data: bytes, now: float) -> None:
        """Queue bytes of the stream; they are never dropped, and held back until the agent would not discard them."""
        self._sender.queue(data)

    def probe(self) -> None:
        """Queue an empty message: the agent writes nothing to the port, and acknowledges it like any other."""
        self._sender.control(wire.STREAM, b"")

    def terminate(self, now: float) -> None:
        """Queue the TerminateSession flag behind all stream bytes; it goes out even through a full window."""
        self._sender.terminate()

    def receive(self, frame: bytes, now: float) -> list[Event]:
        """Take in one binary frame; returns what it brought to light, in order.

        A broken frame is dropped and not acknowledged, so that it is sent again; raises ProtocolError when that goes on
        without any progress, and nothing else.
        """
        if self._closed:
            return []
        try:
            message = wire.decode(frame)
        except MessageError:
            self._broken += 1
            if self._broken >= BROKEN_FRAMES:
                raise
            return []
        kind = message.message_type
        if kind == wire.OUTPUT:
            return self._stream(message, now)
        if kind == wire.ACKNOWLEDGE:
            self._acknowledged(message.payload, now)
        elif kind == wire.CHANNEL_CLOSED:
            self._closed = True
            return [Closed(closing_reason(message.payload))]
        elif kind == wire.PAUSE_PUBLICATION:
            self._sender.flight.pause(now)
        elif kind == wire.START_PUBLICATION:
            self._sender.flight.unpause()
        return []

    def frames(self, now: float, budget: int) -> list[bytes]:
        """Binary frames to send now, about `budget` bytes; empty when nothing is due.

        Acknowledgements come first, then the stream, and last the acknowledgements that are repeated after a break.

        Ask for no more than the transport takes: what is handed out counts as sent, and its round trip begins.
        """
        frames: list[bytes] = []
        if not self._online or self._closed:
            return frames
        created = max(0, int((now + self._epoch) * 1000))
        receiver = self._receiver
        count = 0
        for sequence, message_id in receiver.acks:
            if budget <= 0:
                break
            budget -= self._acknowledge(frames, sequence, message_id, created)
            count += 1
        if count:
            receiver.sent(count, now)
        sender = self._sender
        if sender.held and self._established and now >= self._complete_at + HOLD:
            sender.held = False
        budget = sender.frames(frames, now, budget, created)
        while receiver.repeats and budget > 0:
            sequence, message_id = receiver.repeats.popleft()
            budget -= self._acknowledge(frames, sequence, message_id, created)
        return frames

    def _acknowledge(self, frames: list[bytes], sequence: int, message_id: bytes, created: int) -> int:
        frame = encode_ack(sequence, message_id, random_id(self._random_bits(128)), created)
        frames.append(frame)
        return len(frame)

    def timer(self) -> float | None:
        """The time at which frames() may have something new although nothing else happened; None: never."""
        if not self._online or self._closed:
            return None
        sender = self._sender
        at = sender.flight.timer()
        if sender.held and self._established and sender.waiting:
            release = self._complete_at + HOLD
            return release if at is None else min(at, release)
        return at

    def _stream(self, message: Message | None, now: float) -> list[Event]:
        self._sender.flight.alive()
        receiver = self._receiver
        events: list[Event] = []
        if message is not None and not receiver.accept(message):
            return events
        self._broken = 0
        while message is not None:
            if message.payload_type == wire.STREAM:
                if self._sender.held:
                    self._first_output(events)
                if message.payload and not self._refused:
                    events.append(Output(message.payload))
            else:
                self._special(message, events, now)
            message = receiver.following()
        return events

    def _first_output(self, events: list[Event]) -> None:
        # Output shows that the agent reads stream data, unless it is still in the handshake that it began.
        if self._requested and not self._established:
            return
        if not self._established:
            self._established = True
            events.append(Established(""))
        self._sender.held = False

    def _special(self, message: Message, events: list[Event], now: float) -> None:
        kind, payload = message.payload_type, message.payload
        if kind == wire.HANDSHAKE_REQUEST:
            self._handshake(payload, events)
        elif kind == wire.HANDSHAKE_COMPLETE:
            self._complete(payload, events, now)
        elif self._refused:
            return
        elif kind in (wire.STDERR, wire.ERROR):
            events.append(StdErr(payload))
        elif kind == wire.EXIT_CODE:
            if payload.isdigit() and len(payload) <= 10:
                events.append(ExitCode(int(payload)))
        elif kind == wire.FLAG and payload == wire.CONNECT_TO_PORT_ERROR and not self._port_closed:
            self._port_closed = True  # however often it is repeated: whoever hears it prints it
            events.append(Notice("The agent could not connect to the port on the instance"))

    def _handshake(self, payload: bytes, events: list[Event]) -> None:
        # One session has one handshake; another request would only make the queue of answers grow.
        if self._requested or self._established:
            return
        self._requested = True
        try:
            reply = answer(payload, self._client_version)
        except ProtocolError as error:
            self._refused = True
            events.append(Refused(error))
            return
        self._agent_version = reply.agent_version
        self._sender.control(wire.HANDSHAKE_RESPONSE, reply.response)
        if reply.refused is not None:
            self._refused = True
            events.append(Refused(reply.refused))

    def _complete(self, payload: bytes, events: list[Event], now: float) -> None:
        if self._established or self._refused:
            return
        self._established = True
        self._complete_at = now
        text = customer_message(payload)
        if text:
            events.append(Notice(text))
        events.append(Established(self._agent_version))

    def _acknowledged(self, payload: bytes, now: float) -> None:
        number = wire.acknowledged(payload)
        if number is None:
            try:
                value = json_object(payload).get("AcknowledgedMessageSequenceNumber")
            except ProtocolError:
                return
            if not isinstance(value, int) or isinstance(value, bool):
                return
            number = value
        if self._sender.flight.acknowledged(number, now):
            self._broken = 0
