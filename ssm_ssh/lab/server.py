"""One lab: the API, the gateway and the remote control in this process, and the instances process as its child."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ssm_ssh.installation import module
from ssm_ssh.lab.api import preferences
from ssm_ssh.lab.api.context import ServiceContext
from ssm_ssh.lab.api.endpoints import ServiceEndpoints
from ssm_ssh.lab.api.server import Api
from ssm_ssh.lab.control import Control
from ssm_ssh.lab.faults.faults import Faults
from ssm_ssh.lab.folder import Endpoints, write_files, write_private
from ssm_ssh.lab.gateway.server import Gateway, GatewayOptions, NotOnline, Presence, SessionOrder, SessionView
from ssm_ssh.lab.identity.ca import new_authority
from ssm_ssh.lab.identity.verify import Request, SignatureRefused, signed, verify
from ssm_ssh.lab.options import LabOptions
from ssm_ssh.lab.state import LabState, SessionRecord
from ssm_ssh.lab.wire import rpc
from ssm_ssh.lab.wire.http import HttpServer

# Many instances on a slow machine need a while for their keys; a lab that takes longer than this hangs.
READY_SECONDS = 120.0
# Seconds after which an instances process that has not ended is killed.
STOP_SECONDS = 10.0


class Principal(NamedTuple):
    """Who signed a request to the gateway: "user" with its ARN, "instance" with its id, or "anonymous"."""

    kind: str
    name: str


class _Sessions:
    """The gateway, as the API sees it."""

    def __init__(self, gateway: Gateway, max_duration: float) -> None:
        self._gateway = gateway
        self._max_duration = max_duration
        self.resume_session = gateway.resume_session
        self.terminate_session = gateway.terminate_session
        self.stream_url = gateway.stream_url

    def open_session(self, session: SessionRecord, content: dict[str, Any]) -> str:
        inputs = content.get("inputs") or {}
        order = SessionOrder(
            session_id=session.session_id,
            instance_id=session.target,
            document_name=session.document,
            document_content=content,
            parameters=session.parameters,
            owner_arn=session.owner,
            reason=session.reason,
            idle_timeout=preferences.seconds(inputs, "idleSessionTimeout"),
            max_duration=preferences.seconds(inputs, "maxSessionDuration") or self._max_duration,
        )
        try:
            return self._gateway.open_session(order)
        except NotOnline:
            raise LookupError(session.target) from None


class Server:
    """One lab, from its first file to its last."""

    def __init__(self, folder: Path, options: LabOptions, environment: dict[str, str]) -> None:
        self.folder = folder
        self.options = options
        self.environment = environment
        self.state = LabState(options)
        self.faults = Faults()
        self._system_path = environment["PATH"].partition(os.pathsep)[2]
        self.control: Control
        self._stack = contextlib.AsyncExitStack()
        self._changed = asyncio.Event()
        self.ended = asyncio.Event()

    async def start(self) -> dict[str, Any]:
        """Start everything and return what the client is told. On any error all is stopped again."""
        async with contextlib.AsyncExitStack() as stack:
            ready = await asyncio.wait_for(self._start(stack), READY_SECONDS)
            self._stack = stack.pop_all()
        return ready

    async def stop(self) -> None:
        """Stop everything, in the reverse order."""
        await self._stack.aclose()

    async def _start(self, stack: contextlib.AsyncExitStack) -> dict[str, Any]:
        # The official plugin cannot be told another endpoint of KMS, but takes a proxy that leads here.
        authority = new_authority(self.folder, (f"kms.{self.state.region}.amazonaws.com",))
        ca_file = self.folder / "ca.pem"
        write_private(ca_file, authority.pem.decode())
        gateway = Gateway(
            authenticate=self._authenticate,
            options=GatewayOptions(
                idle_timeout=self.options.idle_timeout,
                allow_unsigned=not self.options.require_upgrade_signature,
                token_lifetime=self.options.token_lifetime,
                stream_origin=self.options.stream_origin,
                early_frames=self.options.early_frames,
            ),
            faults=self.faults,
            tls=authority.server_context,
            log=self._log,
        )
        gateway.on_presence, gateway.on_session = self._presence, self._session
        gateway_url = f"https://127.0.0.1:{await gateway.start()}"
        stack.push_async_callback(gateway.stop)
        instances, told = await self._start_instances(stack, gateway_url, ca_file)
        context = ServiceContext(self.state, _Sessions(gateway, self.options.max_duration), instances)
        api = Api(
            context,
            fault=self.faults.api_decision,
            denial=self.faults.denial,
            document_fault=self.faults.document_fault,
            simulated_denial=self.faults.simulated_denial,
        )
        stack.push_async_callback(api.stop)
        http = HttpServer(api.handle, authority.server_context, self.state.clock)
        api_url = f"https://127.0.0.1:{await http.start()}"
        api.logins.pages.base = api_url
        await instances.call("api_url", url=api_url)
        stack.push_async_callback(http.stop)
        endpoints = ServiceEndpoints(api.handle, authority.server_context, self.folder, self.faults.outage)
        service_urls = await endpoints.start()
        stack.push_async_callback(endpoints.stop)
        self.faults.listen(endpoints.update)
        self.control = Control(self.state, self.faults, instances, api)
        await self.control.prefer(self.options.preferences)
        for name, values in self.options.faults.items():
            await self.control.fault({"name": name, "values": values})
        for instance_id, facts in told.items():
            self.state.instances[instance_id].host_keys = tuple(facts["host_keys"])
        await self._agents_online()
        urls = Endpoints(api_url, gateway_url, service_urls)
        return write_files(self.folder, self.state, self.environment, urls, told, system_path=self._system_path)

    async def _start_instances(
        self, stack: contextlib.AsyncExitStack, gateway_url: str, ca_file: Path
    ) -> tuple[rpc.Client, dict[str, Any]]:
        ours, theirs = socket.socketpair()
        # On an instance, ssh and scp are the system's own. Root's lab gives its instances their own uids, which cannot
        # enter the lab's folder, so their files are in another folder.
        environment = {**self.environment, "PATH": self._system_path}
        if os.geteuid() == 0:
            del environment["TMPDIR"]
        command = module("ssm_ssh.lab.machines")
        with theirs:
            process = await asyncio.create_subprocess_exec(*command, stdin=theirs.fileno(), stdout=2, env=environment)
        stack.push_async_callback(_end_process, process)
        config = {
            "folder": str(self.folder),
            "options": self.options.to_json(),
            "region": self.state.region,
            "account": self.state.account,
            "gateway_url": gateway_url,
            "ca_file": str(ca_file),
            "instances": [
                {
                    "instance_id": instance.instance_id,
                    "options": options,
                    "access_key": instance.identity.access_key,
                    "secret_key": instance.identity.secret_key,
                    "token": instance.identity.token,
                    "address": instance.address,
                }
                for instance, options in zip(
                    self.state.instances.values(), self.options.to_json()["instances"], strict=True
                )
            ],
        }
        instances, ready = await rpc.Client.open(ours, config)
        stack.push_async_callback(instances.close)
        watch = asyncio.create_task(self._watch(instances))
        stack.callback(watch.cancel)
        return instances, ready["instances"]

    async def _watch(self, instances: rpc.Client) -> None:
        await instances.ended()
        self.ended.set()

    async def _agents_online(self) -> None:
        expected = [
            instance
            for instance in self.state.instances.values()
            if instance.options.connected and instance.state == "running"
        ]
        while not all(instance.online for instance in expected):
            self._changed.clear()
            await self._changed.wait()

    # What the gateway asks and tells

    def _authenticate(self, method: str, target: str, headers: Sequence[tuple[str, str]], body: bytes) -> Principal:
        request = Request(method, target, headers, body)
        if not signed(request):
            return Principal("anonymous", "")
        identity = verify(
            request,
            service="ssmmessages",
            region=self.state.region,
            lookup=self.state.identities.get,
            now=self.state.clock(),
        )
        if identity.instance_id:
            return Principal("instance", identity.instance_id)
        session_id = target.partition("?")[0].rpartition("/")[2]
        why = self.faults.denial("ssmmessages:OpenDataChannel")
        resource = f"arn:aws:ssm:{self.state.region}:{self.state.account}:session/{session_id}"
        if why or identity.refused("ssmmessages:OpenDataChannel", [resource], {}):
            sentence = identity.denied_sentence("ssmmessages:OpenDataChannel", resource, why)
            raise SignatureRefused("AccessDeniedException", sentence, 403)
        return Principal("user", identity.arn)

    def _presence(self, instance_id: str, presence: Presence | None) -> None:
        if presence is None:
            self.state.agent_gone(instance_id)
        else:
            self.state.agent_connected(instance_id, presence.agent_version)
        self._changed.set()

    def _session(self, view: SessionView) -> None:
        self.state.session_changed(view.session_id, view.status, view.ended_by, view.output)

    def _log(self, operation: str, parameters: dict[str, Any], status: int, error: str, who: str) -> None:
        key = next(
            (
                identity.access_key
                for identity in self.state.identities.values()
                if who in (identity.arn, identity.instance_id)
            ),
            "",
        )
        self.state.log("ssmmessages", operation, parameters, status=status, error=error, access_key=key if who else "")


async def _end_process(process: asyncio.subprocess.Process) -> None:
    """Wait for a process whose line is closed, and kill it when it does not end."""
    try:
        await asyncio.wait_for(process.wait(), STOP_SECONDS)
    except asyncio.TimeoutError:
        process.kill()
        await process.wait()
