"""The lab's API behind a real TLS port, with a gateway and instances that only note what they are asked."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import botocore.session
import pytest
from botocore.config import Config
from botocore.loaders import create_loader

from ssm_ssh.lab.api.context import ServiceContext
from ssm_ssh.lab.api.server import Api
from ssm_ssh.lab.faults.faults import Faults
from ssm_ssh.lab.identity.ca import new_authority
from ssm_ssh.lab.options import InstanceOptions, LabOptions
from ssm_ssh.lab.state import LabState, SessionRecord
from ssm_ssh.lab.wire.http import HttpServer
from ssm_ssh.lab.wire.rpc import CallFailed
from tests.lab.transports import close_transports

T = TypeVar("T")
# botocore makes its clients while it runs; no type tells what they are.
Dynamic: TypeAlias = Any

INSTANCES = (
    InstanceOptions(name="web", instance_id="i-0123456789abcdef0"),
    InstanceOptions(name="off", instance_id="i-0aaaaaaaaaaaaaaaa", connected=False),
    InstanceOptions(name="stopped", instance_id="i-0bbbbbbbbbbbbbbbb", state="stopped", connected=False),
    InstanceOptions(name="edge", instance_id="mi-0123456789abcdef0", hybrid=True, users=("admin",)),
)
# The models take longer to load than a test to run.
LOADER = create_loader()
WEB, OFF, STOPPED, EDGE = (one.instance_id for one in INSTANCES)


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        import time

        self._time = time.time
        self.offset = 0.0

    def __call__(self) -> float:
        return self._time() + self.offset


class Gateway:
    """Notes what it is asked."""

    def __init__(self) -> None:
        self.opened: list[tuple[SessionRecord, dict[str, Any]]] = []
        self.resumed: list[str] = []
        self.terminated: list[str] = []
        self.away = False

    def open_session(self, session: SessionRecord, content: dict[str, Any]) -> str:
        if self.away:
            raise LookupError
        self.opened.append((session, content))
        return "token-1"

    def resume_session(self, session_id: str) -> str | None:
        self.resumed.append(session_id)
        return "token-2"

    def terminate_session(self, session_id: str) -> bool:
        self.terminated.append(session_id)
        return True

    def stream_url(self, session_id: str) -> str:
        return f"wss://127.0.0.1:1/v1/data-channel/{session_id}?role=publish_subscribe"


class Instances:
    """Notes what it is asked; `answers` by operation, `gate` holds commands back until a test opens it."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.failure: CallFailed | None = None
        self.answers: dict[str, dict[str, Any]] = {
            "send_command": {
                "status": "Success",
                "response_code": 0,
                "stdout": "o" * 30_000,
                "stderr": "e" * 30_000,
            },
            "console_output": {"output": "login: \udcff", "timestamp": 1_700_000_000.0},
            "push_key": {},
        }

    async def call(self, op: str, **args: object) -> dict[str, Any]:
        self.calls.append((op, args))
        await asyncio.to_thread(self.gate.wait)
        if self.failure:
            raise self.failure
        return self.answers[op]


class Service:
    """The API on a port, served by a thread."""

    def __init__(self, folder: Path) -> None:
        self.clock = Clock()
        self.state = LabState(LabOptions(instances=INSTANCES, invocation_delay=5.0), clock=self.clock)
        for instance_id in (WEB, EDGE):
            self.state.agent_connected(instance_id)
        self.gateway, self.instances = Gateway(), Instances()
        self.fault: Any = None
        authority = new_authority(folder)
        self.ca_file = folder / "ca.pem"
        self.ca_file.write_bytes(authority.pem)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self.faults = Faults()
        self.api = Api(
            ServiceContext(self.state, self.gateway, self.instances),
            fault=lambda _: self.fault,
            denial=self.faults.denial,
            document_fault=self.faults.document_fault,
            simulated_denial=self.faults.simulated_denial,
        )
        self._server = HttpServer(self.api.handle, authority.server_context)
        self.port = self._run(self._server.start())
        self.api.logins.pages.base = f"https://127.0.0.1:{self.port}"
        self._clients: list[Any] = []

    def _run(self, coroutine: Dynamic) -> Dynamic:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(30)

    def call(self, function: Callable[[], T]) -> T:
        """Call `function` in the thread that owns the state."""

        async def call() -> T:
            return function()

        return self._run(call())

    def stop(self) -> None:
        for client in self._clients:
            client.close()
        self.instances.gate.set()
        self._run(self._server.stop())
        self._run(self.api.stop())
        self._run(close_transports())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def client(self, service: str, identity: str = "admin", **changes: Dynamic) -> Dynamic:
        """A botocore client with the credentials of `identity`; `changes` replace any argument of create_client."""
        who = self.state.identity(identity)
        arguments = {
            "region_name": self.state.region,
            "endpoint_url": f"https://127.0.0.1:{self.port}",
            "verify": str(self.ca_file),
            "aws_access_key_id": who.access_key,
            "aws_secret_access_key": who.secret_key,
            "aws_session_token": who.token or None,
            "config": Config(retries={"total_max_attempts": 1}, parameter_validation=False),
        }
        session = botocore.session.Session()
        session.register_component("data_loader", LOADER)
        client = session.create_client(service, **{**arguments, **changes})
        self._clients.append(client)
        return client


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "HTTPS_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    service = Service(tmp_path)
    yield service
    service.stop()


def code(error: pytest.ExceptionInfo[Any]) -> str:
    """AWS's code of a ClientError."""
    return str(error.value.response["Error"]["Code"])


def message(error: pytest.ExceptionInfo[Any]) -> str:
    """AWS's message of a ClientError."""
    return str(error.value.response["Error"]["Message"])
