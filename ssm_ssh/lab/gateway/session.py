"""One session in the gateway: its two sockets, and the frames relayed between them.

It behaves as AWS's gateway observably does. A second client replaces the first when it has a token of ResumeSession and
the same ClientId. Frames for a side that is not connected are lost; retransmission exists for that. A session ends with
the agent's task result on its control channel, not with a socket.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from ssm_ssh.lab.faults.faults import Faults
from ssm_ssh.lab.faults.plan import Plan, Rule
from ssm_ssh.lab.gateway.direction import Direction
from ssm_ssh.lab.gateway.records import SessionOrder, SessionView
from ssm_ssh.lab.gateway.socket import GatewaySocket
from ssm_ssh.lab.wire import message as am

# What the service tells a client whose session has been idle for the timeout.
IDLE_OUTPUT = "Your session timed out due to inactivity and has been terminated."
# What it tells one whose session has lasted as long as the account allows. AWS has not published its words.
DURATION_OUTPUT = "Your session reached the maximum session duration and has been terminated."
# Seconds that the agent has to report the end of a terminated session before it counts as ended without a report.
TERMINATING = 5.0
# While an agent waits for its client, it sends only its handshake request, repeatedly.
EARLY_FRAMES = 100
# Who ends a session without its having failed, whatever the agent reports then.
_LIMITS = ("api", "idle", "duration")
_UP = frozenset((am.INPUT, am.ACKNOWLEDGE))
_DOWN = frozenset((am.OUTPUT, am.ACKNOWLEDGE))


class Session:
    """One session and its relay. `changed` is called after every change that `view` shows."""

    def __init__(
        self,
        order: SessionOrder,
        *,
        faults: Faults,
        idle_timeout: float,
        changed: Callable[[Session], None],
        tell_agent: Callable[[bytes], object],
        early_frames: bool = False,
    ) -> None:
        self.order = order
        self.status = "Connecting"
        self.ended_by: str | None = None
        self.output = ""
        self.client: GatewaySocket | None = None
        self.agent: GatewaySocket | None = None
        self.client_id = ""
        self.client_version = ""
        self.connections = 0
        self.bytes_up = self.bytes_down = 0
        self.started_at = time.time()
        self.ended_at = 0.0
        self._faults = faults
        self._plans: tuple[int, Plan | None, Plan | None] = (-1, None, None)
        self._idle_timeout = idle_timeout if order.idle_timeout is None else order.idle_timeout
        self._changed = changed
        self._tell_agent = tell_agent
        self._flagged = False
        self._early: list[bytes] | None = [] if early_frames else None
        self._directions = (
            Direction(lambda frames: self._pass(True, frames), lambda held: self._hold("client", held)),
            Direction(lambda frames: self._pass(False, frames), lambda held: self._hold("agent", held)),
        )
        loop = asyncio.get_running_loop()
        self._last_input = loop.time()
        self._idle = loop.call_later(self._idle_timeout, self._idle_check)
        self._longest = (
            loop.call_later(order.max_duration, self.terminate, "duration", DURATION_OUTPUT)
            if order.max_duration
            else None
        )
        self._terminating: asyncio.TimerHandle | None = None

    @property
    def over(self) -> bool:
        """True when no client or agent can join any more."""
        return self.status in ("Terminating", "Terminated", "Failed")

    def view(self) -> SessionView:
        """Return what others may see."""
        return SessionView(
            self.order.session_id,
            self.order.instance_id,
            self.status,
            self.ended_by,
            self.output,
            self.client_id,
            self.client_version,
            self.started_at,
            self.ended_at,
            self.client is not None,
            self.agent is not None,
            self.connections,
            self.bytes_up,
            self.bytes_down,
        )

    # Coming and going

    def join_client(self, socket: GatewaySocket, opening: dict[str, Any]) -> None:
        """Connect a client whose token was valid, and replace the previous client."""
        resumed = self.connections > 0
        old, self.client = self.client, socket
        socket.owner = self
        socket.side = "client"
        if old is not None:
            old.hold("flow", False)
            old.close(1000, "Bye")
        self.connections += 1
        self.client_id = str(opening.get("ClientId") or "")
        self.client_version = str(opening.get("ClientVersion") or "")
        self._touch()
        self._arrived(socket, self.agent, resumed=resumed)

    def join_agent(self, socket: GatewaySocket) -> None:
        """Connect the agent, whose token was valid."""
        old, self.agent = self.agent, socket
        socket.owner = self
        socket.side = "agent"
        if old is not None:
            old.close(1000, "Bye")
        self._arrived(socket, self.client, resumed=False)

    def _arrived(self, socket: GatewaySocket, other: GatewaySocket | None, *, resumed: bool) -> None:
        order = self.order
        if self._faults.stalled(socket.side, order.session_id, order.instance_id):
            socket.stall(True)
        if other is not None:
            start = am.encode_json(am.START_PUBLICATION, {"SessionId": order.session_id})
            socket.send([start])
            other.send([start])
            self._flow()
        if socket is self.client:
            if self._early:
                socket.send(self._early)
            self._early = None
        self._changed(self)
        rule = self._faults.cut_at_open(socket.side, order.session_id, order.instance_id, resumed=resumed)
        if rule is not None:
            socket.cut(rule.how)

    def on_lost(self, socket: GatewaySocket) -> None:
        """Tell the other side to pause, because this socket is gone."""
        if socket is self.client:
            self.client, other = None, self.agent
        elif socket is self.agent:
            self.agent, other = None, self.client
        else:
            return
        if other is not None and not self.over:
            other.send([am.encode_json(am.PAUSE_PUBLICATION, {"SessionId": self.order.session_id})])
        self._flow()
        self._changed(self)

    # Relaying

    def on_text(self, socket: GatewaySocket, text: str) -> None:
        """Ignore text: only the first frame is expected to be text."""

    def on_binary(self, socket: GatewaySocket, frames: list[bytes]) -> None:
        """Relay the messages for the other side, and consume those for the gateway."""
        up = socket is self.client
        if not up and socket is not self.agent:
            return
        wanted = _UP if up else _DOWN
        passed: list[bytes] = []
        for frame in frames:
            kind = am.kind_of(frame)
            if kind in wanted:
                if up and kind == am.INPUT:
                    self._note_input(frame)
                passed.append(frame)
            elif not up and kind == am.AGENT_SESSION_STATE and self.status == "Connecting":
                self.status = "Connected"
                self._changed(self)
        if not passed:
            return
        if up:
            self.bytes_up += sum(map(len, passed))
        else:
            self.bytes_down += sum(map(len, passed))
        direction, plan = self._directions[not up], self._plan(up)
        if plan is None and direction.idle:
            self._pass(up, passed)
        else:
            direction.push(passed, plan)

    def _note_input(self, frame: bytes) -> None:
        self._last_input = asyncio.get_running_loop().time()
        if am.payload_type_of(frame) == am.P_FLAG and frame.endswith(am.TERMINATE_SESSION.to_bytes(4, "big")):
            self._flagged = True

    def _plan(self, up: bool) -> Plan | None:
        version, upward, downward = self._plans
        if version != self._faults.version:
            ids = (self.order.session_id, self.order.instance_id)
            upward, downward = self._faults.plan(*ids, "up"), self._faults.plan(*ids, "down")
            self._plans = (self._faults.version, upward, downward)
        return upward if up else downward

    def _pass(self, up: bool, frames: list[bytes]) -> None:
        plan = self._plan(up)
        if plan is not None:
            for number, frame in enumerate(frames):
                cut = plan.cut(frame)
                if cut is not None:
                    self._send(up, frames[:number])
                    self._cut(up, frame, *cut)
                    frames = frames[number + 1 :]
                    break
            else:
                number = -1
            if number >= 0:
                if frames:
                    self._pass(up, frames)
                return
        self._send(up, frames)

    def _send(self, up: bool, frames: list[bytes]) -> None:
        socket = self.agent if up else self.client
        if socket is not None and frames:
            ids = (self.order.session_id, self.order.instance_id)
            if not up and not socket.unfinished and self._faults.unfinished_now(*ids):
                socket.begin(frames[0])
            socket.send(frames)
        elif not up and self._early is not None and len(self._early) < EARLY_FRAMES:
            self._early += frames

    def _cut(self, up: bool, frame: bytes, rule: Rule, offset: int) -> None:
        target = self.agent if up else self.client
        if rule.mid_frame and target is not None and rule.side in (target.side, "both"):
            target.send_part(frame, offset)
        self.cut(rule.side, rule.how)

    def cut(self, side: str, how: str) -> None:
        """Cut the socket of `side`, or of both."""
        for socket in (self.client, self.agent):
            if socket is not None and side in (socket.side, "both"):
                socket.cut(how)

    # Back-pressure

    def on_writable(self, socket: GatewaySocket) -> None:
        """Pause the other side while one side's socket is full."""
        self._flow()

    def _flow(self) -> None:
        client, agent = self.client, self.agent
        if client is not None:
            client.hold("flow", agent is not None and not agent.writable)
        if agent is not None:
            agent.hold("flow", client is not None and not client.writable)

    def _hold(self, side: str, held: bool) -> None:
        socket = self.client if side == "client" else self.agent
        if socket is not None:
            socket.hold("queue", held)

    # The end

    def _touch(self) -> None:
        self._last_input = asyncio.get_running_loop().time()

    def _idle_check(self) -> None:
        loop = asyncio.get_running_loop()
        left = self._last_input + self._idle_timeout - loop.time()
        if left > 0:
            self._idle = loop.call_later(left, self._idle_check)
        else:
            self.terminate("idle", IDLE_OUTPUT)

    def terminate(self, ended_by: str, output: str = "") -> None:
        """End the session for a reason other than the agent's report, and tell both sides."""
        if self.over:
            return
        self.status, self.ended_by, self.output = "Terminating", ended_by, output
        closed = self._closed()
        if self.agent is not None:
            self.agent.send([am.encode_json(am.CHANNEL_CLOSED, closed)])
        self._tell_agent(am.encode_json(am.CHANNEL_CLOSED, closed))
        self._close_client()
        self._terminating = asyncio.get_running_loop().call_later(TERMINATING, self._finish, "Terminated")
        self._changed(self)

    def task_complete(self, status: str, output: str) -> None:
        """Handle the agent's report that its task has ended. `status` is its result: Success, Failed, ..."""
        if self.status in ("Terminated", "Failed"):
            return
        if self.ended_by is None:
            self.ended_by = "flag" if self._flagged else "agent"
            self.output = output
        self._finish("Terminated" if status == "Success" or self.ended_by in _LIMITS else "Failed")

    def _finish(self, status: str) -> None:
        self.status = status
        self._close_client()
        self.stop()
        agent, self.agent = self.agent, None
        if agent is not None:
            agent.close(1000)
        self._changed(self)

    def _close_client(self) -> None:
        self.ended_at = self.ended_at or time.time()
        client, self.client = self.client, None
        if client is not None:
            client.send([am.encode_json(am.CHANNEL_CLOSED, {**self._closed(), "Output": self.output})])
            client.close(1000)

    def _closed(self) -> dict[str, Any]:
        # SchemaVersion is a number and CreatedDate a string: the agent rejects them otherwise.
        return {
            "MessageType": am.CHANNEL_CLOSED.decode(),
            "MessageId": am.new_id(),
            "DestinationId": self.order.instance_id,
            "SessionId": self.order.session_id,
            "SchemaVersion": 1,
            "CreatedDate": time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime()),
        }

    def stop(self) -> None:
        """Cancel every timer."""
        self._idle.cancel()
        if self._longest is not None:
            self._longest.cancel()
        if self._terminating is not None:
            self._terminating.cancel()
        for direction in self._directions:
            direction.close()
