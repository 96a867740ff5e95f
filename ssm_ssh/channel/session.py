# Over 350 lines: the one state machine that everything of a channel passes, and its properties.
"""The data channel as a state machine: stream bytes and WebSocket frames in, frames and events out.

It is pure: no socket, clock or thread. The caller passes the time (monotonic seconds) and calls:

- connected(now) when the text frame of open_message() is on its way, disconnected(heard) when it is lost;
- receive() for each binary frame, send() for at most room() bytes of the stream;
- frames() after any of these, when timer() is due, and when the transport has accepted the previous ones.
"""

from __future__ import annotations

from _random import Random

from ssm_ssh.channel import handshake
from ssm_ssh.channel import message as wire
from ssm_ssh.channel.events import Closed, ConnectFailed, Established, ExitCode, Notice, Output, Refused, StdErr
from ssm_ssh.channel.handshake import PORT
from ssm_ssh.channel.limits import BROKEN_FRAMES, HOLD
from ssm_ssh.channel.message import Message, MessageError, encode_ack, random_id, uuid_text
from ssm_ssh.channel.negotiation import Negotiation
from ssm_ssh.channel.receiver import Receiver
from ssm_ssh.channel.sender import Sender
from ssm_ssh.startup import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from ssm_ssh.channel.encryption import DataKey, Encryption
    from ssm_ssh.channel.events import Event, KeyRequest
    from ssm_ssh.errors import SsmSshError

# The core of the random module, whose import takes a millisecond.
_RANDOM = Random()


class Channel:
    """The data channel of one session, across all connections that it is resumed on.

    `client_id` is the text of a UUID, `epoch` the wall clock minus the monotonic clock in seconds. `random_bits(n)`
    returns an integer of n random bits, for message ids, which need not be secret. The handshake accepts
    `session_types` and no agent older than `least_agent`; a session without a handshake does not tell its type.
    `encryption`: a request for encryption by KMS becomes a KeyRequest instead of a refusal.
    """

    __slots__ = (
        "_broken_frames",
        "_client_id",
        "_client_version",
        "_closed",
        "_complete_at",
        "_connections",
        "_encryption",
        "_epoch",
        "_established",
        "_heard_again",
        "_made_at",
        "_negotiation",
        "_online",
        "_random_bits",
        "_receiver",
        "_resumed_at",
        "_sender",
        "_size",
    )

    def __init__(
        self,
        *,
        client_id: str,
        client_version: str = "1.2.764.0",
        epoch: float,
        session_types: Collection[str] = (PORT,),
        encryption: bool = False,
        least_agent: str = "",
        random_bits: Callable[[int], int] = _RANDOM.getrandbits,
    ) -> None:
        self._client_id = client_id
        self._client_version = client_version
        self._epoch = epoch
        self._random_bits = random_bits
        self._sender = Sender(random_bits)
        self._receiver = Receiver()
        self._online = False
        self._negotiation = Negotiation(client_version, session_types, encryption=encryption, least_agent=least_agent)
        self._encryption: Encryption | None = None
        self._complete_at = 0.0
        self._established = False
        self._closed = False
        self._size = b""
        self._broken_frames = 0
        self._connections = 0
        self._heard_again = False
        # In the milliseconds of the agent and of the gateway: the newest message, and the latest resume.
        self._made_at = self._resumed_at = 0

    @property
    def established(self) -> bool:
        """The handshake is complete, or a session without a handshake has sent its first output."""
        return self._established

    @property
    def agent_version(self) -> str:
        """The agent's version from the handshake, or empty."""
        return self._negotiation.agent_version

    @property
    def session_type(self) -> str:
        """The session type (handshake.PORT and so on) once the handshake was answered with success, or empty."""
        return self._negotiation.session_type

    @property
    def properties(self) -> dict[str, object]:
        """The properties of the session type from the handshake, or empty. They are unchecked JSON."""
        return self._negotiation.properties

    @property
    def unacknowledged(self) -> int:
        """Payload bytes given to the channel, sent or not, that the agent has not acknowledged."""
        return self._sender.unacknowledged

    @property
    def progress(self) -> int:
        """Number of messages that have arrived on either side so far."""
        return self._sender.flight.acknowledged_count + self._receiver.expected

    @property
    def acknowledged(self) -> int:
        """Number of messages that the agent has acknowledged."""
        return self._sender.flight.acknowledged_count

    @property
    def received(self) -> int:
        """Number of messages from the agent that have arrived in order."""
        return self._receiver.expected

    @property
    def gap(self) -> bool:
        """Messages from the agent wait for an earlier one that is missing."""
        return self._receiver.waiting

    @property
    def only_stale(self) -> bool:
        """All that has come since the latest resume was made before it."""
        return self._heard_again and self._made_at < self._resumed_at

    @property
    def away(self) -> bool:
        """The gateway has reported that the agent is disconnected, and not yet that it is back."""
        return self._sender.flight.paused

    @property
    def drained(self) -> bool:
        """Everything has been sent and acknowledged, including the TerminateSession flag."""
        return self._sender.drained

    @property
    def closed(self) -> bool:
        """The gateway has closed the channel for good."""
        return self._closed

    def open_message(self, token: str) -> str:
        """Return the first text frame of a connection. `token` is the TokenValue of StartSession or ResumeSession."""
        request_id = uuid_text(random_id(self._random_bits(128)))
        return handshake.open_request(token, request_id, self._client_id, self._client_version)

    def connected(self, now: float) -> None:
        """Note a new connection, whose text frame is on its way: all unacknowledged messages become due again."""
        self._online = True
        self._connections += 1
        self._heard_again = self.only_stale
        self._sender.flight.connected(now)
        if self._size:
            self._sender.queue_size(self._size)

    def disconnected(self, heard: float) -> None:
        """Note that the connection is lost; its last sign of life was at `heard`. Nothing is due until the next one."""
        if self._online:
            self._online = False
            self._receiver.connection_lost(heard)

    def room(self) -> int:
        """Return how many stream bytes send() accepts now; 0 means: stop reading."""
        return 0 if self._closed or self._negotiation.refused else self._sender.room()

    def send(self, data: bytes, now: float) -> None:
        """Queue stream bytes. They are never dropped, and wait until the agent is ready for them."""
        self._sender.queue(data)

    def use_key(self, key: DataKey, challenge: str) -> None:
        """Answer a KeyRequest: from now on the session is encrypted."""
        from ssm_ssh.channel.encryption import Encryption, key_result

        self._encryption = Encryption(key.incoming, key.outgoing, key.random_bits)
        self._sender.seal = self._encryption.encrypt
        self._respond(self._negotiation.answer(key_result(key.blob, challenge)), [])

    def refuse_key(self, error: SsmSshError) -> None:
        """Answer a KeyRequest with the reason why there is no key. The agent ends the session."""
        self._respond(self._negotiation.answer(error), [])

    def resize(self, columns: int, rows: int) -> None:
        """Tell the pty how large the terminal is: now, and again after each resume.

        Before the first output it goes out at once, and again after it: a handshake discards what comes meanwhile.
        """
        self._size = handshake.size_payload(columns, rows)
        self._sender.queue_size(self._size, early=not self._negotiation.begun)

    def probe(self) -> None:
        """Queue an empty message. The agent acknowledges it like any other and writes nothing to the port."""
        self._sender.queue_control(wire.STREAM, b"")

    def disconnect_port(self) -> bool:
        """End the connection of an agent without smux; returns False while stream bytes wait."""
        return self._sender.queue_disconnect()

    def terminate(self, now: float) -> None:
        """Queue the TerminateSession flag behind all stream bytes. It is sent even through a full window."""
        self._sender.terminate()

    def receive(self, frame: bytes, now: float) -> list[Event]:
        """Process one binary frame and return its events, in order.

        A broken frame is dropped and not acknowledged, so that the agent resends it. Raises ProtocolError, and nothing
        else, if that continues without any progress.
        """
        if self._closed:
            return []
        try:
            message = wire.decode(frame)
        except MessageError:
            self._broken_frames += 1
            if self._broken_frames >= BROKEN_FRAMES:
                raise
            return []
        kind = message.message_type
        if kind == wire.OUTPUT:
            return self._stream_message(message, now)
        if kind == wire.ACKNOWLEDGE:
            self._acknowledged(message.payload, now)
        elif kind == wire.CHANNEL_CLOSED:
            self._closed = True
            return [Closed(handshake.closing_reason(message.payload))]
        elif kind == wire.PAUSE_PUBLICATION:
            self._sender.flight.pause(now)
        elif kind == wire.START_PUBLICATION:
            self._sender.flight.unpause()
            if self._connections > 1:
                self._resumed_at = message.created
        return []

    def frames(self, now: float, budget: int) -> list[bytes]:
        """Return the binary frames to send now, about `budget` bytes; empty if nothing is due.

        Acknowledgements come first, then the stream, then acknowledgements repeated after a lost connection.
        Ask for no more than the transport accepts: returned frames count as sent, and their round trips begin.
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
            budget -= self._send_ack(frames, sequence, message_id, created)
            count += 1
        if count:
            receiver.acks_sent(count, now)
        sender = self._sender
        if sender.held and self._established and now >= self._complete_at + HOLD:
            sender.release()
        budget = sender.frames(frames, now, budget, created)
        while receiver.repeats and budget > 0:
            sequence, message_id = receiver.repeats.popleft()
            budget -= self._send_ack(frames, sequence, message_id, created)
        return frames

    def _send_ack(self, frames: list[bytes], sequence: int, message_id: bytes, created: int) -> int:
        frame = encode_ack(sequence, message_id, random_id(self._random_bits(128)), created)
        frames.append(frame)
        return len(frame)

    def timer(self) -> float | None:
        """Return when frames() may have something new even if nothing else happens; None means never."""
        if not self._online or self._closed:
            return None
        sender = self._sender
        at = sender.flight.timer()
        if sender.held and self._established and sender.waiting:
            release = self._complete_at + HOLD
            return release if at is None else min(at, release)
        return at

    def _stream_message(self, message: Message | None, now: float) -> list[Event]:
        self._sender.flight.heard()
        receiver = self._receiver
        events: list[Event] = []
        if message is not None and not receiver.accept(message):
            return events
        self._broken_frames = 0
        while message is not None:
            self._made_at, self._heard_again = message.created, self._connections > 1
            if message.payload_type == wire.STREAM:
                payload = message.payload if self._encryption is None else self._encryption.decrypt(message.payload)
                if self._sender.held:
                    self._first_output(events)
                if payload and not self._negotiation.silent:
                    events.append(Output(payload))
            else:
                self._control_message(message, events, now)
            message = receiver.next_buffered()
        return events

    def _first_output(self, events: list[Event]) -> None:
        # Output shows that the agent reads stream data, unless it is still in a handshake.
        if self._negotiation.begun and not self._established:
            return
        if not self._established:
            self._established = True
            events.append(Established(""))
        self._sender.release()

    def _control_message(self, message: Message, events: list[Event], now: float) -> None:
        kind, payload = message.payload_type, message.payload
        if kind == wire.HANDSHAKE_REQUEST:
            self._handshake(payload, events)
        elif kind == wire.HANDSHAKE_COMPLETE:
            self._complete(payload, events, now)
        elif self._negotiation.silent:
            return
        elif kind in (wire.STDERR, wire.ERROR):
            events.append(StdErr(payload if self._encryption is None else self._encryption.decrypt(payload)))
        elif kind == wire.ENC_CHALLENGE_REQUEST and self._encryption is not None:
            self._sender.queue_control(wire.ENC_CHALLENGE_RESPONSE, self._encryption.answer(payload))
        elif kind == wire.EXIT_CODE:
            if self._encryption is not None:
                payload = self._encryption.decrypt(payload)
            if (code := handshake.exit_code(payload)) is not None:
                events.append(ExitCode(code))
        elif kind == wire.FLAG and payload == wire.CONNECT_TO_PORT_ERROR:
            events.append(ConnectFailed())

    def _handshake(self, payload: bytes, events: list[Event]) -> None:
        # A session has one handshake: answering more would let the queue grow without bound.
        if not self._negotiation.begun and not self._established:
            self._respond(self._negotiation.begin(payload), events)

    def _respond(self, step: tuple[bytes, Refused | KeyRequest | None], events: list[Event]) -> None:
        if step[0]:
            self._sender.queue_control(wire.HANDSHAKE_RESPONSE, step[0])
        if step[1] is not None:
            events.append(step[1])

    def _complete(self, payload: bytes, events: list[Event], now: float) -> None:
        if self._established or self._negotiation.refused or self._negotiation.waits_for_key:
            return
        self._established = True
        self._complete_at = now
        text = handshake.customer_message(payload)
        if text:
            events.append(Notice(text))
        events.append(Established(self.agent_version))

    def _acknowledged(self, payload: bytes, now: float) -> None:
        number = handshake.acknowledged_number(payload)
        if number is not None and self._sender.flight.acknowledged(number, now):
            self._broken_frames = 0
