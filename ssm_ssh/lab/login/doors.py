"""One port for each of the services whose endpoint can be out of reach while the others answer.

All lead to the same API. `Faults.unreachable` shuts one: it refuses connections, takes them and stays silent, or shows
a certificate that the lab's CA has not signed.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from pathlib import Path

from ssm_ssh.lab.faults.faults import DOORS, SHUT
from ssm_ssh.lab.faults.plan import Rule
from ssm_ssh.lab.identity.ca import new_authority
from ssm_ssh.lab.wire.http import Handler, HttpServer

CLOSED, SILENT, UNTRUSTED = SHUT


class Doors:
    """The ports of the services. `follow` is a listener of the lab's faults, and `shut` tells how one is shut."""

    def __init__(self, handler: Handler, tls: ssl.SSLContext, folder: Path, shut: Callable[[str], str]) -> None:
        self._shut = shut
        self._tls = tls
        self._folder = folder
        self._handler = handler
        self._doors: dict[str, _Door] = {}

    async def start(self) -> dict[str, str]:
        """Open all doors; returns the URL of each service."""
        wrong = new_authority(self._folder).server_context
        for service in DOORS:
            self._doors[service] = _Door(self._handler, self._tls, wrong)
            await self._doors[service].open()
        return {service: f"https://127.0.0.1:{door.port}" for service, door in self._doors.items()}

    async def stop(self) -> None:
        """Close all doors."""
        for door in self._doors.values():
            await door.stop()

    def follow(self, _: Rule) -> None:
        """Open and shut the doors as the faults in force want it."""
        for service, door in self._doors.items():
            door.turn(self._shut(service))


class _Door:
    """One port of 127.0.0.1, open or shut."""

    def __init__(self, handler: Handler, tls: ssl.SSLContext, wrong: ssl.SSLContext) -> None:
        self._servers = {"": HttpServer(handler, tls), UNTRUSTED: HttpServer(handler, wrong)}
        self._how = CLOSED
        self._listener: socket.socket | None = None
        self._opening: asyncio.Task[None] | None = None
        self.port = 0

    async def open(self) -> None:
        self.turn("")
        if self._opening is not None:
            await self._opening

    def turn(self, how: str) -> None:
        """Be open (""), or shut as `how` says. The port refuses, or takes connections, when this returns."""
        if how == self._how:
            return
        self._close()
        self._how = how
        if how == CLOSED:
            return
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=128)
        self.port = self._listener.getsockname()[1]
        if how in self._servers:
            self._opening = asyncio.get_running_loop().create_task(self._servers[how].serve(self._listener))

    async def stop(self) -> None:
        self._close()
        for server in self._servers.values():
            await server.stop()

    def _close(self) -> None:
        if self._opening is not None:
            self._opening.cancel()
            self._opening = None
        for server in self._servers.values():
            server.close()
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        self._how = CLOSED
