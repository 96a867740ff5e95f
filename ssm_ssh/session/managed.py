"""A Session Manager session, from StartSession to TerminateSession.

Every method blocks and is called in a thread of its own, except as noted. The session does not change: the relay holds
it and drops it when it has ended. From its start to its end there is a record of it (records.py), so that it is ended
even though this process is killed.
"""

from __future__ import annotations

import time

from ssm_ssh.aws.services.sessions import resume_session, start_session, terminate_session
from ssm_ssh.errors import EncryptionRefused, SsmSshError
from ssm_ssh.startup import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ssm_ssh.aws.api.client import Api
    from ssm_ssh.aws.services.sessions import StartedSession
    from ssm_ssh.channel.encryption import DataKey
    from ssm_ssh.channel.events import KeyRequest
    from ssm_ssh.channel.session import Channel
    from ssm_ssh.log import Log
    from ssm_ssh.session.gateway import Gateway
    from ssm_ssh.session.guard import Guard
    from ssm_ssh.transport.websocket import WebSocket

# Seconds for StartSession or ResumeSession with all retries, and again for the gateway. The relay reconnects or gives
# up after that.
_CALL_LIMIT = 25.0


def _no_key(session_id: str, request: KeyRequest) -> DataKey:
    raise EncryptionRefused(f"session {session_id} asks for encryption by KMS, which it was not started for")


class ManagedSession:
    """A session that AWS has started. Its repr shows the id alone, because the token opens the data channel."""

    def __init__(
        self,
        api: Api,
        started: StartedSession,
        gateway: Gateway,
        log: Log,
        on_connected: Callable[[], None],
        *,
        record: str = "",
        make_key: Callable[[str, KeyRequest], DataKey] = _no_key,
    ) -> None:
        """`gateway`: where the data channel is, perhaps connected already; `on_connected`: called once it is open.

        `record`: the name of the session's record, "" for none. `make_key` returns the data key of a session's id, or
        raises SsmSshError.
        """
        self.id = started.id
        self._api = api
        self._started = started
        self._gateway = gateway
        self._log = log
        self._on_connected = on_connected
        self._record = record
        self._guard: Guard | None = None
        self._make_key = make_key

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

    def guard(self) -> None:
        """Have the session ended also if this process is killed; end those that killed processes have left behind.

        For a session that has begun: no start waits for it. Raises nothing.
        """
        from ssm_ssh.session import guard

        if self._record:
            self._guard = guard.Guard(self._record, self._api.settings.env, self._log)
        guard.end_left_behind(self._api.settings.env, self._log)

    def data_key(self, request: KeyRequest) -> DataKey:
        """Return the data key that the agent asks for. Raises EncryptionRefused, and what Api.call raises."""
        return self._make_key(self.id, request)

    def terminate(self, patience: float) -> None:
        """End the session at AWS, within `patience` seconds or not at all. Raises what Api.call raises."""
        terminate_session(self._api, self.id, deadline=time.monotonic() + patience)
        self._log.info(f"session {self.id} terminated")
        self.forget()

    def forget(self) -> None:
        """Remove the record of the session: it has ended. Does not block, and raises nothing."""
        record, self._record = self._record, ""
        if not record:
            return
        from ssm_ssh.session import records

        try:
            records.closed(record)
        except SsmSshError as error:
            self._log.info(f"the session's record is left: {error.sentence()}")
        if self._guard is not None:
            self._guard.release()


def start(
    api: Api,
    gateway: Gateway,
    instance_id: str,
    document: str,
    parameters: Mapping[str, Sequence[str]],
    *,
    purpose: str = "",
    reason: str = "",
    log: Log,
    on_connected: Callable[[], None] = lambda: None,
    make_key: Callable[[str, KeyRequest], DataKey] = _no_key,
    reached: Callable[[bool], None] | None = None,
) -> ManagedSession:
    """Start a session of any document; `gateway` connects meanwhile. Raises what start_session raises.

    `purpose` is for the session's record on this machine, `reason` for the audit trail. `make_key`: that of
    ManagedSession; `reached`: that of Api.call.
    """
    started = start_session(
        api,
        instance_id,
        document,
        parameters,
        reason=reason,
        deadline=time.monotonic() + _CALL_LIMIT,
        reached=reached,
    )
    from ssm_ssh.session import records

    record = ""
    try:
        record = records.opened(started.id, instance_id, document, api.settings, time.time(), purpose=purpose)
    except SsmSshError as error:
        log.info(f"the session is not recorded: {error.sentence()}")
    return ManagedSession(api, started, gateway, log, on_connected, record=record, make_key=make_key)
