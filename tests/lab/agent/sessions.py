"""Shells and commands on an instance, for the tests of the agent: documents, and readers of what comes back."""

from __future__ import annotations

import dataclasses
import json
from typing import Any, NamedTuple

from ssm_ssh.lab.wire import message as am
from tests.lab.dataplane import QUICK, RawClient, World

FAST = dataclasses.replace(QUICK, prompt_delay=0.0, failure_delay=0.01, error_delay=0.01)
_SHELL: dict[str, Any] = {"schemaVersion": "1.0", "sessionType": "Standard_Stream"}
_COMMAND: dict[str, Any] = {"schemaVersion": "1.0", "parameters": {"command": {"type": "String"}}}


class Ended(NamedTuple):
    """All that a client was told: payloads by type, joined, and the reason that channel_closed gave."""

    output: bytes
    stderr: bytes
    code: str
    reason: str
    types: list[int]


async def shell(world: World, **inputs: object) -> RawClient:
    """Start a shell under these preferences."""
    return await world.session(document_content={**_SHELL, "inputs": inputs}, parameters={})


async def command(
    world: World,
    words: str,
    kind: str = "NonInteractiveCommands",
    inputs: dict[str, object] | None = None,
    **linux: object,
) -> RawClient:
    """Start a command, with more properties for Linux."""
    properties = {"linux": {"commands": "{{command}}", **linux}}
    content = {**_COMMAND, "sessionType": kind, "properties": properties, "inputs": inputs or {}}
    return await world.session(document_content=content, parameters={"command": [words]})


async def until(client: RawClient, text: bytes) -> bytes:
    """Read output, acknowledged, until it contains `text`."""
    seen = bytearray()
    while text not in seen:
        message = await client.in_order()
        assert message.payload_type == am.P_OUTPUT, message
        seen += message.payload
    return bytes(seen)


async def end(client: RawClient) -> Ended:
    """Read to the end of the session, acknowledging everything."""
    seen: dict[int, bytearray] = {}
    types = []
    while True:
        message = await client.message()
        if message.kind == am.OUTPUT:
            await client.acknowledge(message)
            if message.sequence == client.expected:
                client.expected += 1
                types.append(message.payload_type)
                seen.setdefault(message.payload_type, bytearray()).extend(message.payload)
        elif message.kind == am.CHANNEL_CLOSED:
            reason = json.loads(message.payload)["Output"]
            return Ended(
                bytes(seen.get(am.P_OUTPUT, b"")),
                bytes(seen.get(am.P_STDERR, b"")),
                seen.get(am.P_EXIT_CODE, bytearray()).decode(),
                reason,
                types,
            )


def status(client: RawClient) -> tuple[str, str | None]:
    """Return how the gateway sees the session."""
    view = client.world.gateway.session(client.session_id)
    assert view is not None
    return view.status, view.ended_by
