"""The receiving half: the agent's numbered messages into order, and what must be acknowledged.

Each message is acknowledged by its own number, in order or not. A duplicate is acknowledged again, or the agent would
resend it for ever; what cannot be kept is not acknowledged, so that the agent resends it.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from ssm_ssh.channel.limits import ACKS, REORDER_BYTES, REORDER_MESSAGES, REORDER_OVERHEAD, REPEAT_AGE, REPEATED_ACKS

if TYPE_CHECKING:
    from ssm_ssh.channel.message import Message


class Receiver:
    """Reorder buffer and queue of acknowledgements, both bounded."""

    __slots__ = ("_ahead", "_ahead_bytes", "_sent", "acks", "expected", "repeats")

    def __init__(self) -> None:
        self.expected = 0
        """The number that is delivered next."""
        self.acks: list[tuple[int, bytes]] = []
        """(sequence number, MessageId on the wire) still to be acknowledged, oldest first."""
        self.repeats: deque[tuple[int, bytes]] = deque(maxlen=REPEATED_ACKS)
        """Acknowledgements that the connection before may have lost, still to be repeated on this one."""
        # When each was given to the connection (monotonic seconds), then as in `acks`.
        self._sent: deque[tuple[float, int, bytes]] = deque(maxlen=REPEATED_ACKS)
        self._ahead: dict[int, Message] = {}
        self._ahead_bytes = 0

    @property
    def waiting(self) -> bool:
        """Messages are kept until those before them come."""
        return bool(self._ahead)

    def sent(self, count: int, now: float) -> None:
        """Note that the `count` oldest acknowledgements were given to the connection, which may yet lose them."""
        self._sent.extend((now, sequence, message_id) for sequence, message_id in self.acks[:count])
        del self.acks[:count]

    def lost(self, heard: float) -> None:
        """Queue for repetition what the connection may have lost; it was last known to live at `heard`.

        Only what it was given within REPEAT_AGE before that or later is in doubt. A repetition is not itself repeated,
        or connections that break at once would carry nothing else: the agent resends what that leaves unacknowledged.
        """
        self.repeats.extend(
            (sequence, message_id) for at, sequence, message_id in self._sent if at >= heard - REPEAT_AGE
        )
        self._sent.clear()

    def accept(self, message: Message) -> bool:
        """Take in one stream message; True if it is the expected one: deliver it now, then those from `following`."""
        sequence = message.sequence
        expected = self.expected
        if sequence == expected:
            self.expected = expected + 1
        elif sequence > expected:
            if not self._keep(sequence, message):
                return False
        elif sequence < 0:
            return False
        if len(self.acks) < ACKS:
            self.acks.append((sequence, message.message_id))
        return sequence == expected

    def following(self) -> Message | None:
        """The next message in order, if it has been waiting for those before it."""
        if not self._ahead:
            return None
        message = self._ahead.pop(self.expected, None)
        if message is not None:
            self._ahead_bytes -= len(message.payload) + REORDER_OVERHEAD
            self.expected += 1
        return message

    def _keep(self, sequence: int, message: Message) -> bool:
        # The bound on the distance also bounds the count, and no number that can never be reached takes up room.
        if sequence in self._ahead:
            return True
        size = len(message.payload) + REORDER_OVERHEAD
        if sequence - self.expected > REORDER_MESSAGES or self._ahead_bytes + size > REORDER_BYTES:
            return False
        self._ahead[sequence] = message
        self._ahead_bytes += size
        return True
