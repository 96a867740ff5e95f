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
from collections.abc import Callable
from typing import Any

from ssm_ssh.lab.agent.api import AgentApi
from ssm_ssh.lab.agent.options import AgentOptions
from ssm_ssh.lab.agent.quirk import Quirk
from ssm_ssh.lab.agent.result import Result
from ssm_ssh.lab.agent.service import AgentCredentials, AgentService, ServiceError
from ssm_ssh.lab.agent.session import AgentSession, Machine
from ssm_ssh.lab.agent.socket import AgentSocket, SocketGone
from ssm_ssh.lab.agent.worker import Surroundings, WorkerSession
from ssm_ssh.lab.wire import message as am

# The result of a session is sent at most this often, at this interval (seconds), until it is acknowledged.
RESULT_SENDS = 3
RESULT_INTERVAL = 1.0


class Agent:
    """The agent of one instance. `machine` is what it can do there; `api_url` is asked when the API is called."""

    def __init__(
        self,
        instance_id: str,
        *,
        gateway_url: str,
        region: str,
        credentials: AgentCredentials,
        machine: Machine,
        api_url: Callable[[], str] = str,
        ca_file: str = "",
        tls: ssl.SSLContext | None = None,
        options: AgentOptions | None = None,
    ) -> None:
        self.instance_id = instance_id
        self.options = options or AgentOptions()
        self.quirk = Quirk()
        self._service = AgentService(gateway_url, region=region, credentials=credentials, tls=tls)
        self._machine = machine
        self._surroundings: Callable[[], Surroundings] = lambda: Surroundings(
            gateway_url, api_url(), region, ca_file, credentials
        )
        self._api = lambda: AgentApi(api_url(), region=region, credentials=credentials, tls=tls)
        self._task: asyncio.Task[None] | None = None
        self._socket: AgentSocket | None = None
        self._sessions: dict[str, AgentSession | WorkerSession] = {}
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
            session = self._new_session(session_id, job)
            self._sessions[session_id] = session
            session.task = asyncio.create_task(self._session(session))

    def _new_session(self, session_id: str, job: dict[str, Any]) -> AgentSession | WorkerSession:
        if self.options.worker and self._machine.accounts is not None:
            return WorkerSession(
                self.instance_id,
                session_id,
                job,
                surroundings=self._surroundings(),
                open_port=self._machine.open_port,
                accounts=self._machine.accounts,
                options=self.options,
            )
        return AgentSession(
            self.instance_id,
            session_id,
            job,
            service=self._service,
            api=self._api,
            machine=self._machine,
            options=self.options,
            quirk=self.quirk,
        )

    async def _session(self, session: AgentSession | WorkerSession) -> None:
        try:
            result = await session.run()
            if result is not None:
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
