"""One port for each service whose endpoint can be unreachable while the others answer.

All lead to the same API. The fault `unreachable` makes one refuse connections, accept them and stay silent, or show a
certificate that the lab's CA has not signed.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from pathlib import Path

from ssm_ssh.lab.faults.choices import OUTAGES, SERVICES
from ssm_ssh.lab.faults.plan import Rule
from ssm_ssh.lab.identity.ca import new_authority
from ssm_ssh.lab.wire.http import Handler, HttpServer

CLOSED, SILENT, UNTRUSTED = OUTAGES


class ServiceEndpoints:
    """The ports of the services. `outage` returns how a service is to be unreachable, "" for not at all."""

    def __init__(self, handler: Handler, tls: ssl.SSLContext, folder: Path, outage: Callable[[str], str]) -> None:
        self._handler = handler
        self._tls = tls
        self._folder = folder
        self._outage = outage
        self._endpoints: dict[str, _Endpoint] = {}

    async def start(self) -> dict[str, str]:
        """Open all ports; return the URL of each service."""
        untrusted = new_authority(self._folder).server_context
        for service in SERVICES:
            self._endpoints[service] = _Endpoint(self._handler, self._tls, untrusted)
            await self._endpoints[service].start()
        return {service: f"https://127.0.0.1:{endpoint.port}" for service, endpoint in self._endpoints.items()}

    async def stop(self) -> None:
        """Close all ports and connections."""
        for endpoint in self._endpoints.values():
            await endpoint.stop()

    def update(self, _: Rule) -> None:
        """Apply the faults in force: a listener for Faults.listen."""
        for service, endpoint in self._endpoints.items():
            endpoint.switch(self._outage(service))


class _Endpoint:
    """One port on 127.0.0.1."""

    def __init__(self, handler: Handler, tls: ssl.SSLContext, untrusted: ssl.SSLContext) -> None:
        self._servers = {"": HttpServer(handler, tls), UNTRUSTED: HttpServer(handler, untrusted)}
        self._outage = CLOSED
        self._listener: socket.socket | None = None
        self._starting: asyncio.Task[None] | None = None
        self.port = 0

    async def start(self) -> None:
        self.switch("")
        if self._starting is not None:
            await self._starting

    def switch(self, outage: str) -> None:
        """Serve (""), or be unreachable as `outage` says.

        The port refuses or accepts connections accordingly when this returns.
        """
        if outage == self._outage:
            return
        self._close()
        self._outage = outage
        if outage == CLOSED:
            return
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=128)
        self.port = self._listener.getsockname()[1]
        if outage in self._servers:
            self._starting = asyncio.get_running_loop().create_task(self._servers[outage].serve(self._listener))

    async def stop(self) -> None:
        self._close()
        for server in self._servers.values():
            await server.stop()

    def _close(self) -> None:
        if self._starting is not None:
            self._starting.cancel()
            self._starting = None
        for server in self._servers.values():
            server.close()
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        self._outage = CLOSED
