"""paramiko's server transport, which also reports when a request of a channel has been answered."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import ClassVar

import paramiko
from paramiko.common import MSG_CHANNEL_REQUEST

# What a channel may raise whenever it has something to send, and the client has gone: reading, too, makes room.
GONE = (OSError, EOFError, paramiko.SSHException)


def close(channel: paramiko.Channel) -> None:
    """Close a channel, whose client may have gone already."""
    with contextlib.suppress(*GONE):
        channel.close()


def _request(channel: paramiko.Channel, message: paramiko.Message) -> None:
    channel._handle_request(message)  # type: ignore[attr-defined]
    channel.get_transport().answered(channel.get_id())  # type: ignore[attr-defined]


class Transport(paramiko.Transport):
    """Calls `answered` with the number of a channel when a request of it has been answered."""

    answered: Callable[[int], None]
    _channel_handler_table: ClassVar[dict[int, Callable[..., object]]] = {
        **paramiko.Transport._channel_handler_table,  # type: ignore[attr-defined]
        MSG_CHANNEL_REQUEST: _request,
    }
