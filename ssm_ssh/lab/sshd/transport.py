"""paramiko's server transport, which also reports when a request of a channel has been answered."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import paramiko
from paramiko.common import MSG_CHANNEL_REQUEST


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
