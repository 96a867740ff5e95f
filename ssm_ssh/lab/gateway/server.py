"""The lab's message gateway (`ssmmessages`): the data channels of sessions and the control channels of agents.

One TLS port on 127.0.0.1 serves what the public sources of agent and plugin ask of it:

POST /v1/control-channel/INSTANCE, POST /v1/data-channel/SESSION    an agent gets its one-time token (201, XML)
GET  /v1/control-channel/INSTANCE?role=subscribe&stream=input       an agent's control channel (WebSocket)
GET  /v1/data-channel/SESSION?role=publish_subscribe                one side of a session (WebSocket)
"""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ssm_ssh.lab.faults.faults import Faults
from ssm_ssh.lab.faults.plan import Rule
from ssm_ssh.lab.gateway.control_channel import ControlChannels, Presence
from ssm_ssh.lab.gateway.http import CONTROL, Authenticate, ChannelRequests, Log, Path
from ssm_ssh.lab.gateway.pending import PendingSocket, close_if_pending
from ssm_ssh.lab.gateway.records import SessionOrder, SessionView, job_parameters
from ssm_ssh.lab.gateway.session import Session
from ssm_ssh.lab.gateway.socket import GatewaySocket
from ssm_ssh.lab.gateway.tokens import Tokens
from ssm_ssh.lab.wire import message as am
from ssm_ssh.lab.wire.http import HttpServer

__all__ = ["Gateway", "GatewayOptions", "NotOnline", "Presence", "SessionOrder", "SessionView"]

# Seconds after which a socket that has not shown its token is closed.
TOKEN_TIMEOUT = 10.0
# Requests of agents are a few hundred bytes.
MAX_BODY = 64 * 1024
# Ended sessions stay visible; beyond this number the oldest are dropped.
SESSIONS_KEPT = 10_000


@dataclass(frozen=True)
class GatewayOptions:
    """How the gateway behaves; times in seconds."""

    idle_timeout: float = 1200.0  # Session Manager's default
    allow_unsigned: bool = False  # plugins before 1.2.764 do not sign the upgrade of the data channel
    token_lifetime: float = 60.0
    stream_origin: str = ""  # what StreamUrl begins with, if not with the gateway itself: wss://HOST:PORT
    early_frames: bool = False  # keep what an agent sends before a client ever came
    connection_lifetime: float = 3600.0  # the service closes each WebSocket about once an hour: 1000, "Bye"


class NotOnline(Exception):
    """The instance's agent has no control channel open."""


class Gateway:
    """The gateway of one lab. Everything happens on the loop that `start` runs on.

    `on_presence(instance_id, Presence | None)`, `on_session(SessionView)` and `on_agent_message(instance_id, type,
    JSON)` are called at every change, when set.
    """

    def __init__(
        self,
        *,
        authenticate: Authenticate,
        options: GatewayOptions | None = None,
        faults: Faults | None = None,
        tls: ssl.SSLContext | None = None,
        log: Log | None = None,
    ) -> None:
        self.options = options or GatewayOptions()
        self.faults = faults or Faults()
        self.on_presence: Callable[[str, Presence | None], None] | None = None
        self.on_session: Callable[[SessionView], None] | None = None
        self.on_agent_message: Callable[[str, str, Any], None] | None = None
        self.port = 0
        self._scheme = "wss" if tls else "ws"
        requests = ChannelRequests(self, authenticate, log)
        self._http = HttpServer(requests.handle, tls, max_body=MAX_BODY)
        self._sessions: dict[str, Session] = {}
        self._tokens = Tokens()
        self._control_channels = ControlChannels(
            presence_changed=self._presence_changed,
            task_complete=self._task_complete,
            message_received=self._agent_message,
        )
        self._sockets: set[GatewaySocket] = set()
        self.faults.listen(self._fault)

    async def start(self, port: int = 0) -> int:
        """Listen on loopback and return the port."""
        self.port = await self._http.start(port)
        return self.port

    async def stop(self) -> None:
        """Close every socket and stop listening."""
        for session in self._sessions.values():
            session.stop()
        for socket in list(self._sockets):
            socket.cut("eof")
        await self._http.stop()
        await asyncio.sleep(0)

    # For the API

    def stream_url(self, session_id: str) -> str:
        """Return the StreamUrl of a session. Like AWS's, its query has more in it than the role, unescaped base64."""
        cell = base64.b64encode(bytes((0, 1, 0, 1)) + secrets.token_bytes(56)).decode()
        origin = self.options.stream_origin or f"{self._scheme}://127.0.0.1:{self.port}"
        return f"{origin}/v1/data-channel/{session_id}?role=publish_subscribe&cell-number={cell}"

    def presence(self, instance_id: str) -> Presence | None:
        """Return the agent's presence, None when it is not online."""
        return self._control_channels.presence(instance_id)

    def open_session(self, order: SessionOrder) -> str:
        """Open a session: send the job to the agent and return the client's token. Raises NotOnline."""
        if self._control_channels.presence(order.instance_id) is None:
            raise NotOnline(order.instance_id)
        self._drop_old_sessions()
        self._sessions[order.session_id] = Session(
            order,
            faults=self.faults,
            idle_timeout=self.options.idle_timeout,
            changed=self._session_changed,
            tell_agent=lambda frame: self._control_channels.send(order.instance_id, frame),
            early_frames=self.options.early_frames,
        )
        content = {
            "DocumentName": order.document_name,
            "DocumentContent": order.document_content,
            "SessionId": order.session_id,
            "Parameters": job_parameters(order),
            "RunAsUser": "",
            "SessionOwner": order.owner_arn,
        }
        job = {
            "Content": json.dumps(content),
            "TaskId": order.session_id,
            "Topic": "aws.ssm.startSession",
            "SchemaVersion": 1,
        }
        self._control_channels.send(order.instance_id, am.encode_json(am.START_SESSION, job))
        return self.issue_token(order.session_id, "client")

    def _drop_old_sessions(self) -> None:
        while len(self._sessions) >= SESSIONS_KEPT:
            ended = (key for key, session in self._sessions.items() if session.over)
            del self._sessions[next(ended, next(iter(self._sessions)))]

    def resume_session(self, session_id: str) -> str | None:
        """Return a new token for a session, None when it has ended."""
        session = self._sessions.get(session_id)
        return None if session is None or session.over else self.issue_token(session_id, "client")

    def terminate_session(self, session_id: str) -> bool:
        """End a session on behalf of TerminateSession; False when it was not there or over already."""
        session = self._sessions.get(session_id)
        if session is None or session.over:
            return False
        session.terminate("api")
        return True

    def session(self, session_id: str) -> SessionView | None:
        """Return one session."""
        session = self._sessions.get(session_id)
        return session.view() if session else None

    def sessions(self) -> list[SessionView]:
        """Return all sessions, ended ones too, in the order in which they were opened."""
        return [session.view() for session in self._sessions.values()]

    def send_to_agent(self, instance_id: str, kind: str, values: object) -> None:
        """Send one JSON message on an agent's control channel (agent_job, for instance). Raises NotOnline."""
        if not self._control_channels.send(instance_id, am.encode_json(kind.encode(), values)):
            raise NotOnline(instance_id)

    def _session_changed(self, session: Session) -> None:
        if self.on_session is not None:
            self.on_session(session.view())

    # For requests: http.Channels

    def instance_of(self, path: Path) -> str:
        """Return the instance that a channel belongs to, "" where there is none."""
        if path.kind == CONTROL:
            return path.name
        session = self._sessions.get(path.name)
        return session.order.instance_id if session else ""

    def is_over(self, session_id: str) -> bool:
        """Return whether a session has ended."""
        session = self._sessions.get(session_id)
        return session is not None and session.over

    def allows_unsigned(self) -> bool:
        """Return whether clients may open data channels without a signature."""
        return self.options.allow_unsigned

    def upgrade_refusal(self, side: str, path: Path) -> int:
        """Return the HTTP status by which a fault refuses an upgrade of `side`, 0 for none."""
        return self.faults.refusal(side, "" if path.kind == CONTROL else path.name, self.instance_of(path))

    def issue_token(self, channel: str, side: str) -> str:
        """Return a new token for `side` of a session or of an instance's control channel."""
        return self._tokens.issue(channel, side, self.options.token_lifetime)

    def pending(self, path: Path) -> PendingSocket:
        """Return the owner of a new WebSocket until it has shown its token."""

        def admit(socket: GatewaySocket, opening: dict[str, Any]) -> bool:
            if path.kind == CONTROL:
                return self._admit_agent(socket, path.name, opening)
            return self._admit_to_session(socket, path.name, opening)

        return PendingSocket(admit)

    def upgraded(self, socket: GatewaySocket) -> None:
        """Start the timers of a new WebSocket."""
        self._sockets = {other for other in self._sockets if not other.gone}
        self._sockets.add(socket)
        loop = asyncio.get_running_loop()
        socket.timers.append(loop.call_later(TOKEN_TIMEOUT, close_if_pending, socket))
        socket.timers.append(loop.call_later(self.options.connection_lifetime, socket.close, 1000, "Bye"))

    # Sockets that have shown a token

    def _admit_agent(self, socket: GatewaySocket, instance_id: str, opening: dict[str, Any]) -> bool:
        valid = self._tokens.redeem(opening.get("TokenValue"), instance_id, "control")
        if valid:
            self._control_channels.join(socket, instance_id, opening)
        return valid

    def _admit_to_session(self, socket: GatewaySocket, session_id: str, opening: dict[str, Any]) -> bool:
        session = self._sessions.get(session_id)
        if session is None or session.over:
            return False
        if not self._tokens.redeem(opening.get("TokenValue"), session_id, socket.side):
            return False
        if socket.side == "agent":
            session.join_agent(socket)
            return True
        if session.connections and opening.get("ClientId") != session.client_id:
            return False
        session.join_client(socket, opening)
        return True

    # Reports of agents

    def _presence_changed(self, instance_id: str, presence: Presence | None) -> None:
        if self.on_presence is not None:
            self.on_presence(instance_id, presence)

    def _task_complete(self, instance_id: str, values: dict[str, Any]) -> None:
        session = self._sessions.get(str(values.get("TaskId")))
        if session is not None and session.order.instance_id == instance_id:
            session.task_complete(str(values.get("FinalTaskStatus")), str(values.get("Output") or ""))

    def _agent_message(self, instance_id: str, kind: str, values: object) -> None:
        if self.on_agent_message is not None:
            self.on_agent_message(instance_id, kind, values)

    # Faults

    def _fault(self, rule: Rule) -> None:
        if rule.name == "expire_tokens":
            self._tokens.revoke_all()
        elif rule.name == "clear":
            for session in self._sessions.values():
                for socket in (session.client, session.agent):
                    if socket is not None:
                        socket.stall(
                            self.faults.stalled(socket.side, session.order.session_id, session.order.instance_id)
                        )
        elif rule.name in ("cut", "stall") and rule.when == "now":
            for session in list(self._sessions.values()):
                if not session.over and rule.concerns(session.order.session_id, session.order.instance_id):
                    self._strike(rule, session)
            if rule.name == "cut":
                rule.done = True

    def _strike(self, rule: Rule, session: Session) -> None:
        if rule.name == "cut":
            rule.hits += 1
            session.cut(rule.side, rule.how)
            return
        for socket in (session.client, session.agent):
            if socket is not None and rule.side in (socket.side, "both"):
                socket.stall(True)
