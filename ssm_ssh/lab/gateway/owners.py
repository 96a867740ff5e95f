"""Who a socket of the gateway's belongs to when it is no session's: nobody yet, or an agent's control channel."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from ssm_ssh.lab.gateway.socket import GatewaySocket
from ssm_ssh.lab.wire import message as am

if TYPE_CHECKING:
    from ssm_ssh.lab.gateway.server import Gateway

# The close code for a bad token. Which one AWS sends is not documented and not visible in the public sources.
BAD_TOKEN = 1008


class Presence(NamedTuple):
    """An agent whose control channel is open, since `since` (seconds since the epoch)."""

    agent_version: str
    platform: str
    since: float


class Control:
    """An agent's control channel, as the owner of its socket."""

    def __init__(self, gateway: Gateway, instance_id: str, presence: Presence) -> None:
        self._gateway = gateway
        self._instance_id = instance_id
        self.presence = presence

    def on_text(self, link: GatewaySocket, text: str) -> None:
        """Nothing but the first frame is text."""

    def on_binary(self, link: GatewaySocket, frames: list[bytes]) -> None:
        """Take task results; whatever else an agent reports is of no use here."""
        for frame in frames:
            try:
                message = am.decode(frame)
                values = json.loads(message.payload) if message.payload else {}
            except ValueError:
                continue
            if message.kind == am.TASK_COMPLETE:
                content = {"SchemaVersion": 1, "MessageId": message.message_id}
                content |= {"TaskId": values.get("TaskId", ""), "Topic": values.get("Topic", "")}
                link.send([am.encode_json(am.TASK_ACKNOWLEDGE, content)])
                self._gateway.task_complete(self._instance_id, values)
            elif self._gateway.on_agent_message is not None:
                self._gateway.on_agent_message(self._instance_id, message.kind.decode("latin-1"), values)

    def on_room(self, link: GatewaySocket) -> None:
        """Control messages are few and small."""

    def on_lost(self, link: GatewaySocket) -> None:
        """The agent is not online any more."""
        self._gateway.control_lost(self._instance_id, link)


class Opening:
    """Owns a socket until its first text frame has been judged."""

    def __init__(self, gateway: Gateway, kind: str, name: str) -> None:
        self._gateway = gateway
        self._kind = kind
        self._name = name

    def on_text(self, link: GatewaySocket, text: str) -> None:
        """Judge the first text frame."""
        try:
            opening = json.loads(text)
        except ValueError:
            opening = None
        if link.owner is self and not (
            isinstance(opening, dict) and self._gateway.opened(link, self._kind, self._name, opening)
        ):
            link.close(BAD_TOKEN, "Invalid token")

    def on_binary(self, link: GatewaySocket, frames: list[bytes]) -> None:
        """Refuse data from one that has not shown a token; what came in the same read belongs to the new owner."""
        if link.owner is not self:
            link.owner.on_binary(link, frames)
        else:
            link.close(BAD_TOKEN, "Invalid token")

    def on_room(self, link: GatewaySocket) -> None:
        """Nothing is sent yet."""

    def on_lost(self, link: GatewaySocket) -> None:
        """Nobody knew it."""


def close_unopened(link: GatewaySocket) -> None:
    """Close a socket that has not shown its token by now."""
    if isinstance(link.owner, Opening):
        link.close(BAD_TOKEN, "Invalid token")
