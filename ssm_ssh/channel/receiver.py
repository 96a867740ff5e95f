"""The receiving half: puts the agent's numbered messages in order and queues their acknowledgements.

Each message is acknowledged by its own number, in order or not. A duplicate is acknowledged again, or the agent would
resend it forever. A message that does not fit into the buffer is not acknowledged, so the agent resends it.
"""

from __future__ import annotations

from collections import deque

from ssm_ssh.channel.limits import ACKS, REORDER_BYTES, REORDER_MESSAGES, REORDER_OVERHEAD, REPEAT_AGE, REPEATED_ACKS
from ssm_ssh.startup import TYPE_CHECKING

if TYPE_CHECKING:
    from ssm_ssh.channel.message import Message


class Receiver:
    """A reorder buffer and a queue of acknowledgements, both bounded."""

    __slots__ = ("_buffered", "_buffered_bytes", "_sent", "acks", "expected", "repeats")

    def __init__(self) -> None:
        self.expected = 0
        """The sequence number that is delivered next."""
        self.acks: list[tuple[int, bytes]] = []
        """(sequence number, MessageId as on the wire) of messages to acknowledge, oldest first."""
        self.repeats: deque[tuple[int, bytes]] = deque(maxlen=REPEATED_ACKS)
        """Acknowledgements that the previous connection may have lost, to be repeated on this one."""
        # When each acknowledgement was sent (monotonic seconds), then as in `acks`.
        self._sent: deque[tuple[float, int, bytes]] = deque(maxlen=REPEATED_ACKS)
        self._buffered: dict[int, Message] = {}
        self._buffered_bytes = 0

    @property
    def waiting(self) -> bool:
        """Messages wait in the buffer for an earlier one."""
        return bool(self._buffered)

    def acks_sent(self, count: int, now: float) -> None:
        """Note that the `count` oldest acknowledgements were sent. The connection may still lose them."""
        self._sent.extend((now, sequence, message_id) for sequence, message_id in self.acks[:count])
        del self.acks[:count]

    def connection_lost(self, heard: float) -> None:
        """Queue the acknowledgements that a lost connection may not have delivered; `heard`: its last sign of life.

        These are the ones sent at most REPEAT_AGE before `heard`, or after it. A repetition is not repeated again, or
        connections that break immediately would carry nothing else. The agent resends what remains unacknowledged.
        """
        self.repeats.extend(
            (sequence, message_id) for at, sequence, message_id in self._sent if at >= heard - REPEAT_AGE
        )
        self._sent.clear()

    def accept(self, message: Message) -> bool:
        """Accept a stream message. True: it is the next in order; deliver it, then those from `next_buffered`."""
        sequence = message.sequence
        expected = self.expected
        if sequence == expected:
            self.expected = expected + 1
        elif sequence > expected:
            if not self._buffer(sequence, message):
                return False
        elif sequence < 0:
            return False
        if len(self.acks) < ACKS:
            self.acks.append((sequence, message.message_id))
        return sequence == expected

    def next_buffered(self) -> Message | None:
        """Return the next message in order if it is in the buffer, else None."""
        if not self._buffered:
            return None
        message = self._buffered.pop(self.expected, None)
        if message is not None:
            self._buffered_bytes -= len(message.payload) + REORDER_OVERHEAD
            self.expected += 1
        return message

    def _buffer(self, sequence: int, message: Message) -> bool:
        # The bound on the distance also bounds the count, and keeps out numbers that are never reached.
        if sequence in self._buffered:
            return True
        size = len(message.payload) + REORDER_OVERHEAD
        if sequence - self.expected > REORDER_MESSAGES or self._buffered_bytes + size > REORDER_BYTES:
            return False
        self._buffered[sequence] = message
        self._buffered_bytes += size
        return True
