"""The gateway's one-time tokens: each opens one WebSocket, on one side of one channel, for a limited time."""

from __future__ import annotations

import base64
import secrets
import time
from collections.abc import Callable
from typing import NamedTuple


class _Token(NamedTuple):
    """What a token opens: `channel` is a session or an instance. `expires` is in the clock's seconds."""

    channel: str
    side: str
    expires: float


class Tokens:
    """The tokens that have been issued and not used. `clock` returns monotonic seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._tokens: dict[str, _Token] = {}

    def issue(self, channel: str, side: str, lifetime: float) -> str:
        """Return a new token, valid for `lifetime` seconds.

        Like AWS's it contains `+`, `/` and `=`, so a client must treat it as opaque.
        """
        now = self._clock()
        self._tokens = {key: token for key, token in self._tokens.items() if token.expires > now}
        key = base64.b64encode(secrets.token_bytes(100)).decode()
        self._tokens[key] = _Token(channel, side, now + lifetime)
        return key

    def redeem(self, key: object, channel: str, side: str) -> bool:
        """Return whether `key` is valid for `side` of `channel`. A valid token is used up by this."""
        if not isinstance(key, str) or (token := self._tokens.get(key)) is None:
            return False
        if (token.channel, token.side) != (channel, side) or token.expires < self._clock():
            return False
        del self._tokens[key]
        return True

    def revoke_all(self) -> None:
        """Invalidate every token."""
        self._tokens.clear()
