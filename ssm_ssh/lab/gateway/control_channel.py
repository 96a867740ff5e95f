"""The control channels of agents: which agents are online, and the messages between them and the gateway."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from ssm_ssh.lab.gateway.socket import GatewaySocket
from ssm_ssh.lab.wire import message as am


class Presence(NamedTuple):
    """An agent whose control channel is open, since `since` (seconds since the epoch)."""

    agent_version: str
    platform: str
    since: float


class ControlChannels:
    """All open control channels, at most one for each instance.

    `presence_changed` is called when an agent comes (with its presence) or goes (with None), `task_complete` with the
    result of a session's task, and `message_received` with the type and JSON value of any other message.
    """

    def __init__(
        self,
        *,
        presence_changed: Callable[[str, Presence | None], None],
        task_complete: Callable[[str, dict[str, Any]], None],
        message_received: Callable[[str, str, Any], None],
    ) -> None:
        self._presence_changed = presence_changed
        self._task_complete = task_complete
        self._message_received = message_received
        self._channels: dict[str, _ControlChannel] = {}

    def presence(self, instance_id: str) -> Presence | None:
        """Return the agent's presence, None when it is not online."""
        channel = self._channels.get(instance_id)
        return channel.presence if channel else None

    def send(self, instance_id: str, frame: bytes) -> bool:
        """Send `frame` to an agent; return False when it is not online."""
        channel = self._channels.get(instance_id)
        if channel is not None:
            channel.socket.send([frame])
        return channel is not None

    def join(self, socket: GatewaySocket, instance_id: str, opening: dict[str, Any]) -> None:
        """Make `socket`, whose token was valid, the agent's control channel, and close the previous one."""
        presence = Presence(str(opening.get("AgentVersion")), str(opening.get("PlatformType")), time.time())
        previous = self._channels.get(instance_id)
        channel = self._channels[instance_id] = _ControlChannel(self, instance_id, socket, presence)
        socket.owner = channel
        if previous is not None:
            previous.socket.close(1000, "Bye")
        self._presence_changed(instance_id, presence)

    def lost(self, channel: _ControlChannel) -> None:
        """Forget a channel whose socket is gone."""
        if self._channels.get(channel.instance_id) is channel:
            del self._channels[channel.instance_id]
            self._presence_changed(channel.instance_id, None)

    def received(self, channel: _ControlChannel, message: am.Message) -> None:
        """Handle one message of an agent. Raises ValueError for one that cannot be read."""
        values = json.loads(message.payload) if message.payload else {}
        if message.kind != am.TASK_COMPLETE:
            self._message_received(channel.instance_id, message.kind.decode("latin-1"), values)
            return
        content = {"SchemaVersion": 1, "MessageId": message.message_id}
        content |= {"TaskId": values.get("TaskId", ""), "Topic": values.get("Topic", "")}
        channel.socket.send([am.encode_json(am.TASK_ACKNOWLEDGE, content)])
        self._task_complete(channel.instance_id, values)


class _ControlChannel:
    """Owns the socket of one agent's control channel."""

    def __init__(self, channels: ControlChannels, instance_id: str, socket: GatewaySocket, presence: Presence) -> None:
        self._channels = channels
        self.instance_id = instance_id
        self.socket = socket
        self.presence = presence

    def on_text(self, socket: GatewaySocket, text: str) -> None:
        """Ignore text: only the first frame is expected to be text."""

    def on_binary(self, socket: GatewaySocket, frames: list[bytes]) -> None:
        """Handle messages, and skip those that cannot be read."""
        for frame in frames:
            try:
                self._channels.received(self, am.decode(frame))
            except ValueError:
                continue

    def on_writable(self, socket: GatewaySocket) -> None:
        """Do nothing: control messages are few and small."""

    def on_lost(self, socket: GatewaySocket) -> None:
        """Mark the agent as offline."""
        self._channels.lost(self)
