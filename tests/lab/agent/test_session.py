"""Sessions that the official programs had, repeated: the lab's agent answers the recorded client alike."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from ssm_ssh.lab.accounts.accounts import Accounts
from ssm_ssh.lab.agent.api import AgentApi
from ssm_ssh.lab.wire import message as am
from tests.lab.agent.sessions import FAST, Ended, command, end, shell, status
from tests.lab.dataplane import RawClient, World, asynchronous

RECORDED = Path(__file__).parents[2] / "channel" / "recorded"
NAMES = (
    *("shell-failed", "shell-no-handshake", "interactive-command", "noninteractive-command"),
    *("noninteractive-command-separate", "noninteractive-command-missing"),
)


class Event(NamedTuple):
    """One stream message or the end, as the gateway saw it."""

    sender: str
    message: am.Message


def recorded(name: str) -> list[Event]:
    """Return the stream messages of a recorded session, each once, and its end."""
    events, seen = [], set()
    for line in (RECORDED / f"{name}.jsonl").read_text().splitlines():
        entry = json.loads(line)
        if "hex" not in entry:
            continue
        message = am.decode(bytes.fromhex(entry["hex"]))
        if message.kind not in (am.INPUT, am.OUTPUT, am.CHANNEL_CLOSED) or (message.kind, message.sequence) in seen:
            continue
        seen.add((message.kind, message.sequence))
        events.append(Event(entry["from"], message))
    return events


def told(messages: list[am.Message]) -> list[tuple[int, Any]]:
    """Return what the agent sent by type, without times and versions, and however its output was cut."""
    out: list[tuple[int, Any]] = []
    for message in messages:
        payload: Any = message.payload
        if message.payload_type in (am.P_HANDSHAKE_REQUEST, am.P_HANDSHAKE_COMPLETE):
            payload = json.loads(payload) | {"AgentVersion": "", "HandshakeTimeToComplete": 0}
        if out and out[-1][0] == message.payload_type:
            out[-1] = (message.payload_type, out[-1][1] + payload)
        else:
            out.append((message.payload_type, payload))
    return out


async def repeat(client: RawClient, events: list[Event]) -> tuple[list[am.Message], str]:
    """Send what the recorded client sent, each when the agent has said as much; return the agent's side."""
    messages: list[am.Message] = []
    size = wanted = 0
    for sender, message in events:
        if message.kind == am.OUTPUT:
            plain = message.payload_type not in (am.P_HANDSHAKE_REQUEST, am.P_HANDSHAKE_COMPLETE)
            wanted += len(message.payload) if plain else 1
        elif sender == "client":
            while size < wanted:
                messages.append(await client.in_order())
                plain = messages[-1].payload_type not in (am.P_HANDSHAKE_REQUEST, am.P_HANDSHAKE_COMPLETE)
                size += len(messages[-1].payload) if plain else 1
            await client.send(message.payload, payload_type=message.payload_type)
    while True:
        message = await client.message()
        if message.kind == am.OUTPUT:
            await client.acknowledge(message)
            if message.sequence == client.expected:
                client.expected += 1
                messages.append(message)
        elif message.kind == am.CHANNEL_CLOSED:
            return messages, json.loads(message.payload)["Output"]


ASK = "printf 'name? '; read n; echo hello $n; stty size; exit 5"
BOTH = "sh -c 'echo out; echo err >&2; exit 3'"
SEPARATE = {"separateOutputStream": "true", "stdOutSeparatorPrefix": "O:", "stdErrSeparatorPrefix": "E:"}


async def start(world: World, name: str) -> RawClient:
    """Start the session that was recorded."""
    if name == "shell-failed":
        return await shell(world, runAsEnabled=True, runAsDefaultUser="nosuchuser")
    if name.startswith("shell"):
        return await shell(world, runAsEnabled=True, runAsDefaultUser="ec2-user")
    if name == "interactive-command":
        return await command(world, ASK, "InteractiveCommands")
    if name == "noninteractive-command-missing":
        return await command(world, "/no/such/program")
    if name == "noninteractive-command-separate":
        return await command(world, "sh -c 'echo err >&2; sleep 0.1; echo out; printf part; exit 3'", **SEPARATE)
    return await command(world, BOTH)


@asynchronous
@pytest.mark.parametrize("name", NAMES)
async def test_a_recorded_session_is_repeated(accounts: Accounts, name: str) -> None:
    events = recorded(name)
    async with World(agent=FAST, accounts=accounts) as world:
        messages, reason = await repeat(await start(world, name), events)
    before = [message for sender, message in events if sender == "agent" and message.kind == am.OUTPUT]
    assert told(messages) == told(before)
    assert [message.flags for message in messages] == [int(at == 0) for at in range(len(messages))]
    # What a shell without an end was told is not in its record.
    ends = [message for _, message in events if message.kind == am.CHANNEL_CLOSED]
    assert [reason] == [json.loads(message.payload)["Output"] for message in ends] or not ends


# The Parameter Store


@asynchronous
async def test_references_in_parameters_are_resolved(accounts: Accounts, monkeypatch: pytest.MonkeyPatch) -> None:
    async def parameters(_: AgentApi, names: list[str]) -> tuple[dict[str, str], list[str]]:
        assert names == ["/a/b"]
        return {"/a/b": "value"}, []

    monkeypatch.setattr(AgentApi, "parameters", parameters)
    async with World(agent=FAST, accounts=accounts) as world:
        client = await command(world, "echo {{ssm:/a/b}} '{{.Names}}'")
        await client.handshake()
        ended: Ended = await end(client)
        assert ended.output == b"value {{.Names}}\n"


@asynchronous
async def test_a_job_with_an_unknown_reference_is_dropped(accounts: Accounts, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    async def parameters(_: AgentApi, names: list[str]) -> tuple[dict[str, str], list[str]]:
        asked.append(names)
        return {}, names

    monkeypatch.setattr(AgentApi, "parameters", parameters)
    async with World(agent=FAST, accounts=accounts) as world:
        client = await command(world, "echo {{ssm:/a/b}}")
        await world.until(lambda: asked and not world.agent._sessions)
        assert status(client) == ("Connecting", None)
