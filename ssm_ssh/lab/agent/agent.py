"""The lab's agent: amazon-ssm-agent's session behaviour, as a client of the gateway on asyncio.

It holds a control channel, starts a session for every job that comes over it, and reports each session's end on it.
After amazon-ssm-agent, agent/session and agent/messageservice/interactor/mgsinteractor.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import ssl
from typing import Any

from ssm_ssh.lab.agent.channel import DataChannel, HandshakeFailed, Timing
from ssm_ssh.lab.agent.options import AgentOptions
from ssm_ssh.lab.agent.port import OpenPort, PortPlugin, Result
from ssm_ssh.lab.agent.quirk import EMPTY_INTERVAL, Quirk
from ssm_ssh.lab.agent.service import AgentCredentials, AgentService, ServiceError
from ssm_ssh.lab.agent.socket import AgentSocket, SocketGone
from ssm_ssh.lab.wire import message as am

CRASH_OUTPUT = (
    "document process failed unexpectedly: ipc messaging received timeout signal , "
    "check [ssm-document-worker]/[ssm-session-worker] log for crash reason"
)
# The result of a session is sent at most this often, at this interval (seconds), until it is acknowledged.
RESULT_SENDS = 3
RESULT_INTERVAL = 1.0


class Agent:
    """The agent of one instance. `open_port(instance_id, port)` connects to a port of it, or raises OSError."""

    def __init__(
        self,
        instance_id: str,
        *,
        gateway_url: str,
        region: str,
        credentials: AgentCredentials,
        open_port: OpenPort,
        tls: ssl.SSLContext | None = None,
        options: AgentOptions | None = None,
    ) -> None:
        self.instance_id = instance_id
        self.options = options or AgentOptions()
        self.quirk = Quirk()
        self._service = AgentService(gateway_url, region=region, credentials=credentials, tls=tls)
        self._open_port = open_port
        self._task: asyncio.Task[None] | None = None
        self._socket: AgentSocket | None = None
        self._sessions: dict[str, _AgentSession] = {}
        self._waiting: dict[str, asyncio.Event] = {}  # results that are not acknowledged yet

    # Starting and stopping

    def start(self) -> None:
        """Start connecting. The agent stays connected until it is stopped or killed."""
        if self._task is None:
            self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Stop as a service manager stops it: connections are closed, sessions end."""
        await self._end(abort=False)

    async def kill(self) -> None:
        """End as by SIGKILL, with every session worker: connections break, and no message is sent."""
        await self._end(abort=True)

    async def _end(self, *, abort: bool) -> None:
        tasks = [session.task for session in self._sessions.values()]
        if self._task is not None:
            tasks.append(self._task)
        for session in list(self._sessions.values()):
            session.drop(abort=abort)
        for task in tasks:
            task.cancel()
        if self._socket is not None:
            (self._socket.abort if abort else self._socket.close)()
        self._task, self._socket = None, None
        self._sessions.clear()
        await asyncio.gather(*tasks, return_exceptions=True)

    # Control channel

    async def _run(self) -> None:
        base = self.options.control_retry
        attempt = 0
        while True:
            try:
                socket = await self._connect()
            except ServiceError:
                delay = base * (1 + random.random()) * 2 ** min(attempt, 8)  # noqa: S311 -- jitter
                attempt += 1
                await asyncio.sleep(delay)
                continue
            attempt = 0
            self._socket = socket
            with contextlib.suppress(SocketGone):
                while True:
                    for frame in await socket.receive():
                        self._control(frame)
            await asyncio.sleep(base / 2 * random.random())  # noqa: S311 -- jitter

    async def _connect(self) -> AgentSocket:
        ids = {"MessageSchemaVersion": "1.0", "RequestId": am.new_id()}
        token = await self._service.token("control-channel", self.instance_id, json.dumps(ids).encode())
        socket = await self._service.open(
            "control-channel",
            self.instance_id,
            "role=subscribe&stream=input",
            ping=self.options.ping,
            pong=self.options.pong,
        )
        opening = {
            "Cookie": None,
            "MessageSchemaVersion": "1.0",
            "RequestId": am.new_id(),
            "TokenValue": token,
            "AgentVersion": self.options.version,
            "PlatformType": self.options.platform,
        }
        socket.send_text(json.dumps(opening))
        return socket

    def _control(self, frame: bytes) -> None:
        try:
            message = am.decode(frame)
            values = json.loads(message.payload)
            if message.kind == am.START_SESSION:
                self._start_session(json.loads(values["Content"]))
            elif message.kind == am.CHANNEL_CLOSED:
                session = self._sessions.get(values["SessionId"])
                if session is not None:
                    session.cancelled.set()
            elif message.kind == am.TASK_ACKNOWLEDGE:
                acknowledged = self._waiting.get(values["MessageId"])
                if acknowledged is not None:
                    acknowledged.set()
        except (ValueError, KeyError, TypeError):
            return  # the official agent logs what it cannot read, and goes on

    def _start_session(self, job: dict[str, Any]) -> None:
        session_id = job["SessionId"]
        if session_id not in self._sessions:
            session = _AgentSession(
                self.instance_id,
                session_id,
                job,
                service=self._service,
                open_port=self._open_port,
                options=self.options,
                quirk=self.quirk,
            )
            self._sessions[session_id] = session
            session.task = asyncio.create_task(self._session(session))

    async def _session(self, session: _AgentSession) -> None:
        try:
            result = await session.run()
            await self._report(session.session_id, result)
        finally:
            self._sessions.pop(session.session_id, None)

    async def _report(self, session_id: str, result: Result) -> None:
        """Send agent_task_complete until it is acknowledged, three times at most."""
        message_id = am.new_id()
        acknowledged = self._waiting[message_id] = asyncio.Event()
        try:
            for number in range(RESULT_SENDS):
                content = {
                    "SchemaVersion": 1,
                    "TaskId": session_id,
                    "Topic": "agent_task_complete",
                    "FinalTaskStatus": result.status,
                    "IsRoutingFailure": False,
                    "AwsAccountId": "",
                    "InstanceId": self.instance_id,
                    "Output": result.output,
                    **dict.fromkeys(("S3Bucket", "S3UrlSuffix", "CwlGroup", "CwlStream"), ""),
                    "RetryNumber": number + 1,
                }
                if self._socket is not None:
                    self._socket.send([am.encode_json(am.TASK_COMPLETE, content, message_id=message_id)])
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(acknowledged.wait(), RESULT_INTERVAL)
                    return
        finally:
            del self._waiting[message_id]


class _AgentSession:
    """One session on the instance, for which the official agent starts a process."""

    def __init__(
        self,
        instance_id: str,
        session_id: str,
        job: dict[str, Any],
        *,
        service: AgentService,
        open_port: OpenPort,
        options: AgentOptions,
        quirk: Quirk,
    ) -> None:
        self.session_id = session_id
        self.cancelled = asyncio.Event()
        self.task: asyncio.Task[None]
        self._instance_id = instance_id
        self._job = job
        self._open_port = open_port
        self._options = options
        self._quirk = quirk
        self._plugin = PortPlugin(self.cancelled, pacing=options.pacing)
        self._channel = DataChannel(
            service,
            session_id,
            instance_id,
            agent_version=options.version,
            handler=self._plugin,
            cancelled=self.cancelled,
            timing=Timing(options.ready_delay, options.ping, options.pong, options.handshake, options.doubles_on_break),
            quirk=quirk,
        )

    def drop(self, *, abort: bool) -> None:
        """End the data channel's socket."""
        self._channel.close(abort=abort)

    async def run(self) -> Result:
        """Run the session and return its result."""
        document = self._job.get("DocumentContent") or {}
        properties = resolve(document, self._job.get("Parameters") or {})
        session_type = str(document.get("sessionType"))
        await asyncio.sleep(self._options.start_delay)
        if session_type != "Port":
            return Result("Failed", f"Plugin with name {session_type} is not supported by this agent")
        try:
            await self._channel.open()
        except ServiceError as error:
            self._channel.close()
            return _error(f"Setting up data channel with id {self.session_id} failed: {error}")
        try:
            return await self._converse(session_type, properties)
        finally:
            self._channel.close()

    async def _converse(self, session_type: str, properties: dict[str, Any]) -> Result:
        channel = self._channel
        channel.send_state()
        if self._quirk.kind == "no_handshake":
            await self.cancelled.wait()
            return Result("Cancelled")
        try:
            await channel.handshake(session_type, properties)
            if self.cancelled.is_set():
                result = Result("Cancelled")
            else:
                result = await self._port(properties)
        except HandshakeFailed as error:
            result = _error(f"Encountered error while initiating handshake. {error}")
        await channel.prepare_to_close()
        channel.close()
        return result

    async def _port(self, properties: dict[str, Any]) -> Result:
        port = str(properties.get("portNumber") or "")
        if properties.get("type") == "LocalPortForwarding":
            return Result("Failed", "Port forwarding is not built into the lab's agent: only AWS-StartSSHSession is")
        if not port.isdigit() or not 0 < int(port) < 65536:
            return Result("Failed", f"Unable to connect to specified port: dial tcp: address {port}: invalid port")
        if self._quirk.kind in ("no_banner", "mute", "empty"):
            return await self._never_connect()
        try:
            return await self._plugin.run(self._channel, self._open_port, self._instance_id, int(port))
        except OSError:
            if self._options.closed_port == "report":
                reason = f"dial tcp 127.0.0.1:{port}: connect: connection refused"
                return Result("Failed", f"Unable to connect to specified port: {reason}")
            self._channel.close(abort=True)
            await asyncio.sleep(self._options.crash_report)
            return Result("Failed", CRASH_OUTPUT)

    async def _never_connect(self) -> Result:
        self._plugin.discard()
        while not self.cancelled.is_set():
            if self._quirk.kind == "empty":
                self._channel.send_stream(am.P_OUTPUT, [b""])
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self.cancelled.wait(), EMPTY_INTERVAL)
        return Result("Cancelled")


def resolve(document: dict[str, Any], parameters: dict[str, Any]) -> dict[str, Any]:
    """Return the document's properties with every `{{ name }}` replaced by its parameter, else by its default."""
    definitions = document.get("parameters") or {}
    values = {name: definition.get("default", "") for name, definition in definitions.items()} | parameters
    out = {}
    for key, value in (document.get("properties") or {}).items():
        if isinstance(value, str):
            for name, replacement in values.items():
                for spelled in (f"{{{{ {name} }}}}", f"{{{{{name}}}}}"):
                    value = value.replace(spelled, str(replacement))  # noqa: PLW2901
        out[key] = value
    return out


def _error(text: str) -> Result:
    return Result("Failed", f"\n----------ERROR-------\n{text}")
