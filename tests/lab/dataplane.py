"""The lab's gateway and one agent in this process, with a raw client that speaks the data channel by hand."""

from __future__ import annotations

import asyncio
import functools
import json
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from ssm_ssh.lab.accounts.accounts import Accounts
from ssm_ssh.lab.agent.agent import Agent
from ssm_ssh.lab.agent.options import AgentOptions
from ssm_ssh.lab.agent.remote_host import Network
from ssm_ssh.lab.agent.service import AgentCredentials
from ssm_ssh.lab.agent.session import Machine
from ssm_ssh.lab.faults.faults import Faults
from ssm_ssh.lab.gateway.server import Gateway, GatewayOptions, SessionOrder
from ssm_ssh.lab.identity.identities import Identity, agent_role, user
from ssm_ssh.lab.identity.verify import Request, signed, verify
from ssm_ssh.lab.wire import message as am
from tests.lab.transports import close_transports

ACCOUNT = "123456789012"
REGION = "eu-central-1"
INSTANCE = "i-0123456789abcdef0"
BANNER = b"SSH-2.0-lab\r\n"
SSH_DOCUMENT = {
    "schemaVersion": "1.0",
    "sessionType": "Port",
    "parameters": {"portNumber": {"type": "String", "default": "22"}},
    "properties": {"portNumber": "{{ portNumber }}"},
}
QUICK = AgentOptions(pacing=False, start_delay=0.0, ready_delay=0.005, control_retry=0.05, crash_report=0.05)


class Who(NamedTuple):
    kind: str
    name: str


def asynchronous(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Run a coroutine test to its end, within a bound."""

    @functools.wraps(test)
    def run(*args: object, **kwargs: object) -> None:
        async def bounded() -> None:
            try:
                await asyncio.wait_for(test(*args, **kwargs), 60)
            finally:
                await close_transports()

        asyncio.run(bounded())

    return run


class Port:
    """What listens on the instance: it greets as sshd does, then echoes, or does what `serve` says."""

    def __init__(self) -> None:
        self.open = True
        self.banner = BANNER
        self.serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]] = self.echo
        self.received = bytearray()
        self.gate = asyncio.Event()  # connecting waits for it
        self.gate.set()
        self.connections = 0
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._client, "127.0.0.1", 0)

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()

    async def connect(self, instance_id: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        await self.gate.wait()
        if not self.open:
            raise ConnectionRefusedError
        assert self._server is not None
        return await asyncio.open_connection(*self._server.sockets[0].getsockname()[:2])

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            writer.write(self.banner)
            await self.serve(reader, writer)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def echo(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            self.received += data
            writer.write(data)
            await writer.drain()


class World:
    """A gateway, an agent on INSTANCE, its port, and who may call."""

    def __init__(
        self,
        *,
        options: GatewayOptions | None = None,
        agent: AgentOptions = QUICK,
        tls: tuple[Any, Any] | None = None,
        accounts: Accounts | None = None,
    ) -> None:
        self.accounts = accounts
        self.api_url = ""
        self.ca_file = ""
        self.people = {one.name: one for one in (user("admin", ACCOUNT), user("other", ACCOUNT))}
        self.role = agent_role(ACCOUNT, INSTANCE)
        self.faults = Faults()
        self.log: list[tuple[str, dict[str, Any], int, str, str]] = []
        self.gateway = Gateway(
            authenticate=self.authenticate,
            options=options,
            faults=self.faults,
            tls=tls[0] if tls else None,
            log=lambda *entry: self.log.append(entry),
        )
        self.port = Port()
        self.resolved: list[str] = []
        self.client_tls = tls[1] if tls else None
        self._agent_options = agent
        self._number = 0

    def authenticate(self, method: str, target: str, headers: Sequence[tuple[str, str]], body: bytes) -> Who:
        request = Request(method, target, headers, body)
        if not signed(request):
            return Who("anonymous", "")
        found = {one.access_key: one for one in (*self.people.values(), self.role)}
        who = verify(request, service="ssmmessages", region=REGION, lookup=found.get, now=time.time())
        return Who("instance", who.instance_id) if who.instance_id else Who("user", who.arn)

    async def __aenter__(self) -> World:
        await self.port.start()
        number = await self.gateway.start()
        self.url = f"{'https' if self.client_tls else 'http'}://127.0.0.1:{number}"
        await self.start_agent()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.agent.stop()
        await self.gateway.stop()
        await self.port.stop()

    async def start_agent(self) -> None:
        """Start an agent, and wait until the gateway knows it: a token is sent before the gateway has read it."""
        before = self.gateway.presence(INSTANCE)
        role = self.role
        self.agent = Agent(
            INSTANCE,
            gateway_url=self.url,
            region=REGION,
            credentials=AgentCredentials(role.access_key, role.secret_key, role.token),
            machine=Machine(self.port.connect, Network(self.resolve, self.open_address), self.accounts),
            api_url=lambda: self.api_url,
            ca_file=self.ca_file,
            tls=self.client_tls,
            options=self._agent_options,
        )
        self.agent.start()
        await self.until(lambda: self.gateway.presence(INSTANCE) not in (None, before))

    async def resolve(self, instance_id: str, host: str) -> list[str]:
        self.resolved.append(host)
        if host.endswith(".invalid"):
            raise OSError(f"lookup {host}: no such host")
        return [host if host[0].isdigit() else "10.0.0.9"]

    async def open_address(
        self, instance_id: str, address: str, port: int
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await self.port.connect(instance_id, port)

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until something has come about. The test's own time limit bounds the wait."""
        while not condition():
            await asyncio.sleep(0.002)

    def order(self, port: str = "22", **changes: Any) -> SessionOrder:  # noqa: ANN401 -- fields of the order
        self._number += 1
        order = SessionOrder(
            f"admin-{self._number:026d}", INSTANCE, "AWS-StartSSHSession", SSH_DOCUMENT, {"portNumber": [port]}
        )
        return order._replace(**changes)

    async def session(self, **changes: Any) -> RawClient:  # noqa: ANN401
        """Open a session and connect a client to it, not yet through the handshake."""
        order = self.order(**changes)
        token = self.gateway.open_session(order)
        client = RawClient(self, order.session_id)
        await client.connect(token)
        return client

    async def ready(self, **changes: Any) -> RawClient:  # noqa: ANN401
        """Open a session and take it through the handshake to sshd's banner."""
        client = await self.session(**changes)
        await client.handshake()
        await client.output(len(self.port.banner))
        return client

    def headers(self, url: str, who: Identity) -> dict[str, str]:
        """Return the signature headers of a GET upgrade of `url` (wss or ws)."""
        request = AWSRequest(method="GET", url=url.replace("ws", "http", 1))
        keys = Credentials(who.access_key, who.secret_key, who.token or None)
        SigV4Auth(keys, "ssmmessages", REGION).add_auth(request)
        return dict(request.headers.items())


class RawClient:
    """A client by hand: nothing is acknowledged or answered unless the test says so, except by the helpers."""

    def __init__(self, world: World, session_id: str) -> None:
        self.world = world
        self.session_id = session_id
        self.client_id = am.new_id()
        self.socket: ClientConnection
        self.queue: deque[am.Message] = deque()  # passed over while something else was waited for
        self.early: dict[int, am.Message] = {}
        self.sent = 0
        self.received = bytearray()
        self.expected = 0

    async def connect(
        self, token: str, *, who: str = "admin", client_id: str = "", sign: bool = True, url: str = ""
    ) -> None:
        url = url or self.world.gateway.stream_url(self.session_id).partition("&")[0]
        headers = self.world.headers(url, self.world.people[who]) if sign else {}
        self.socket = await connect(
            url,
            additional_headers=headers,
            ssl=self.world.client_tls if url.startswith("wss") else None,
            compression=None,
            ping_interval=None,
            max_queue=None,
            proxy=None,
        )
        opening = {
            "MessageSchemaVersion": "1.0",
            "RequestId": am.new_id(),
            "TokenValue": token,
            "ClientId": client_id or self.client_id,
            "ClientVersion": "1.2.764.0",
        }
        await self.socket.send(json.dumps(opening))

    async def resume(self) -> None:
        token = self.world.gateway.resume_session(self.session_id)
        assert token is not None
        await self.connect(token)

    async def message(self, *kinds: bytes) -> am.Message:
        """Return the next message, of one of `kinds` when given; of others, the stream is kept."""
        for message in self.queue:
            if not kinds or message.kind in kinds:
                self.queue.remove(message)
                return message
        while True:
            frame = await self.socket.recv()
            assert isinstance(frame, bytes)
            message = am.decode(frame)
            if not kinds or message.kind in kinds:
                return message
            if message.kind in (am.OUTPUT, am.ACKNOWLEDGE):
                self.queue.append(message)

    async def stream(self) -> am.Message:
        """Return the next stream message from the agent, unacknowledged."""
        return await self.message(am.OUTPUT)

    async def closed(self) -> tuple[int | None, list[am.Message]]:
        """Read to the end; return the close code (None: no close frame) and what came before."""
        messages = []
        try:
            while True:
                messages.append(await self.message())
        except ConnectionClosed as end:
            return (end.rcvd.code if end.rcvd else None), messages

    async def flood(self) -> None:
        """Send until the connection has taken nothing for a second. Raises TimeoutError then."""
        for _ in range(3000):
            await asyncio.wait_for(self.send(bytes(60_000)), 1.0)

    async def acknowledge(self, message: am.Message) -> None:
        await self.socket.send(am.acknowledge(message))

    async def send(self, payload: bytes, *, payload_type: int = am.P_OUTPUT, sequence: int | None = None) -> int:
        """Send one stream message and return its number."""
        number = self.sent if sequence is None else sequence
        if sequence is None:
            self.sent += 1
        await self.socket.send(am.encode(am.INPUT, payload, sequence=number, payload_type=payload_type))
        return number

    async def handshake(self, *, status: int = 1, error: str = "") -> am.Message:
        """Answer the request, acknowledge all, and return HandshakeComplete."""
        request = await self.in_order()
        assert request.payload_type == am.P_HANDSHAKE_REQUEST
        await self.respond(status=status, error=error)
        return await self.in_order()

    async def respond(self, *, status: int = 1, error: str = "") -> None:
        action = {"ActionType": "SessionType", "ActionStatus": status, "ActionResult": None, "Error": error}
        response = {"ClientVersion": "1.2.764.0", "ProcessedClientActions": [action], "Errors": None}
        await self.send(json.dumps(response).encode(), payload_type=am.P_HANDSHAKE_RESPONSE)

    async def in_order(self) -> am.Message:
        """Return the next stream message in order; all that come are acknowledged, repeated ones too."""
        while self.expected not in self.early:
            message = await self.stream()
            await self.acknowledge(message)
            if message.sequence >= self.expected:
                self.early[message.sequence] = message
        self.expected += 1
        return self.early.pop(self.expected - 1)

    async def output(self, size: int) -> bytes:
        """Return the next `size` bytes of output, acknowledged as they come."""
        while len(self.received) < size:
            message = await self.in_order()
            if message.payload_type == am.P_OUTPUT:
                self.received += message.payload
        out, self.received = bytes(self.received[:size]), self.received[size:]
        return out

    async def acked(self, number: int) -> am.Message:
        """Wait for the acknowledgement of `number`."""
        while True:
            message = await self.message(am.ACKNOWLEDGE)
            if am.acknowledged(message.payload) == number:
                return message
