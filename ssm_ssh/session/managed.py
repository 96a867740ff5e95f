"""A Session Manager session, from StartSession to TerminateSession.

Every method blocks and is called in a thread of its own. The session does not change: the relay holds it and drops
it when it has ended.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ssm_ssh.aws.services.sessions import resume_session, start_session, terminate_session

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ssm_ssh.aws.api.client import Api
    from ssm_ssh.aws.services.sessions import StartedSession
    from ssm_ssh.channel.session import Channel
    from ssm_ssh.log import Log
    from ssm_ssh.session.gateway import Gateway
    from ssm_ssh.transport.websocket import WebSocket

# Seconds for StartSession or ResumeSession with all retries, and again for the gateway. The relay reconnects or gives
# up after that.
_CALL_LIMIT = 25.0


class ManagedSession:
    """A session that AWS has started. Its repr shows the id alone, because the token opens the data channel."""

    def __init__(
        self, api: Api, started: StartedSession, gateway: Gateway, log: Log, on_connected: Callable[[], None]
    ) -> None:
        """`gateway`: where the data channel is, perhaps connected already; `on_connected`: called once it is open."""
        self.id = started.id
        self._api = api
        self._started = started
        self._gateway = gateway
        self._log = log
        self._on_connected = on_connected

    def __repr__(self) -> str:
        return f"ManagedSession({self.id!r})"

    def connect(self, channel: Channel) -> WebSocket:
        """Open the data channel and send the opening message of `channel`. Raises what Gateway.enter raises."""
        socket = self._gateway.enter(self._started, channel, time.monotonic() + _CALL_LIMIT)
        self._on_connected()
        return socket

    def resume(self, channel: Channel) -> WebSocket:
        """Open the data channel again, with a new token. Raises SessionGone, and what Api.call and `connect` raise."""
        from ssm_ssh.session.gateway import Gateway

        gateway = Gateway(self._api.settings, self._api, self._log)
        resumed = resume_session(self._api, self.id, deadline=time.monotonic() + _CALL_LIMIT)
        self._log.info(f"session {self.id} resumed")
        return gateway.enter(resumed, channel, time.monotonic() + _CALL_LIMIT)

    def terminate(self, patience: float) -> None:
        """End the session at AWS, within `patience` seconds or not at all. Raises what Api.call raises."""
        terminate_session(self._api, self.id, deadline=time.monotonic() + patience)
        self._log.info(f"session {self.id} terminated")


def start(
    api: Api,
    gateway: Gateway,
    instance_id: str,
    document: str,
    parameters: Mapping[str, Sequence[str]],
    *,
    reason: str = "",
    log: Log,
    on_connected: Callable[[], None] = lambda: None,
) -> ManagedSession:
    """Start a session of any document; `gateway` connects meanwhile. Raises what start_session raises."""
    started = start_session(
        api, instance_id, document, parameters, reason=reason, deadline=time.monotonic() + _CALL_LIMIT
    )
    return ManagedSession(api, started, gateway, log, on_connected)
