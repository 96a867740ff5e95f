"""A WebSocket that has not shown its token yet."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from ssm_ssh.lab.gateway.socket import GatewaySocket

# The close code for a bad token. Which one AWS sends is not documented and not visible in the public sources.
BAD_TOKEN = 1008


class PendingSocket:
    """Owns a socket until its first text frame. `admit` gets the frame's JSON object.

    It gives the socket to its new owner and returns True, or returns False when the token is not valid.
    """

    def __init__(self, admit: Callable[[GatewaySocket, dict[str, Any]], bool]) -> None:
        self._admit = admit

    def on_text(self, socket: GatewaySocket, text: str) -> None:
        """Check the first text frame."""
        try:
            opening = json.loads(text)
        except ValueError:
            opening = None
        if socket.owner is self and not (isinstance(opening, dict) and self._admit(socket, opening)):
            socket.close(BAD_TOKEN, "Invalid token")

    def on_binary(self, socket: GatewaySocket, frames: list[bytes]) -> None:
        """Refuse data before the token; data that came in the same read as the token belongs to the new owner."""
        if socket.owner is not self:
            socket.owner.on_binary(socket, frames)
        else:
            socket.close(BAD_TOKEN, "Invalid token")

    def on_writable(self, socket: GatewaySocket) -> None:
        """Do nothing: nothing is sent yet."""

    def on_lost(self, socket: GatewaySocket) -> None:
        """Do nothing: no session knows the socket."""


def close_if_pending(socket: GatewaySocket) -> None:
    """Close a socket that has not shown its token by now."""
    if isinstance(socket.owner, PendingSocket):
        socket.close(BAD_TOKEN, "Invalid token")
