"""The wire between server and instances: calls by number, errors with codes, ends on both sides."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import textwrap
from typing import Any

import pytest

from ssm_ssh.lab.wire.rpc import CallFailed, Client

_CHILD = """
import asyncio, sys
from ssm_ssh.lab.wire import rpc

class Child:
    def __init__(self, config):
        self.config = config
        self.event = asyncio.Event()

    def ready(self):
        return {"got": self.config}

    async def handle(self, op, args):
        if op == "wait":
            await self.event.wait()
        if op == "go":
            self.event.set()
        if op == "refuse":
            raise rpc.CallFailed("NotNow", "later")
        if op == "break":
            raise ZeroDivisionError
        if op == "die":
            import os
            os._exit(3)
        return {"op": op, **args}

    async def stop(self):
        print("stopped", flush=True)

async def start(config):
    if "error" in config:
        raise rpc.CallFailed("Cannot", "no way")
    return Child(config)

sys.exit(rpc.serve(start))
"""


class Process:
    """A child on a client."""

    def __init__(self) -> None:
        self.ours, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-c", textwrap.dedent(_CHILD)],
                stdin=theirs.fileno(),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )

    def end(self) -> tuple[int, str, str]:
        out, err = self.process.communicate(timeout=60)
        return self.process.returncode, out, err


def test_calls_are_answered_in_any_order() -> None:
    child = Process()

    async def run() -> None:
        client, ready = await Client.open(child.ours, {"a": 1})
        assert ready == {"got": {"a": 1}}
        waiting = asyncio.create_task(client.call("wait", n=1))
        assert await client.call("echo", n=2) == {"op": "echo", "n": 2}
        assert not waiting.done()
        await client.call("go")
        assert await waiting == {"op": "wait", "n": 1}
        with pytest.raises(CallFailed) as caught:
            await client.call("refuse")
        assert (caught.value.code, caught.value.message) == ("NotNow", "later")
        with pytest.raises(CallFailed) as caught:
            await client.call("break")
        assert caught.value.code == "InternalServerError"
        await client.close()

    asyncio.run(run())
    status, out, err = child.end()
    assert (status, out) == (0, "stopped\n")
    assert "ZeroDivisionError" in err


def test_a_child_that_cannot_start_says_why() -> None:
    child = Process()

    async def run() -> None:
        with pytest.raises(CallFailed) as caught:
            await Client.open(child.ours, {"error": True})
        assert (caught.value.code, "no way" in caught.value.message) == ("Cannot", True)

    asyncio.run(run())
    assert child.end()[0] == 0


def test_a_child_that_dies_fails_every_call() -> None:
    child = Process()

    async def run() -> None:
        client, _ = await Client.open(child.ours, {})
        waiting = asyncio.create_task(client.call("wait"))
        with pytest.raises(CallFailed, match="has ended"):
            await client.call("die")
        with pytest.raises(CallFailed, match="has ended"):
            await waiting
        with pytest.raises(CallFailed, match="has ended"):
            await client.call("echo")
        await client.ended()
        await client.close()

    asyncio.run(run())
    assert child.end()[0] == 3


def test_a_child_whose_server_dies_stops() -> None:
    child = Process()
    child.ours.sendall(b"{}\n")
    with child.ours.makefile("rb") as file:
        assert file.readline() == b'{"ready": {"got": {}}}\n'
    child.ours.close()
    assert child.end()[:2] == (0, "stopped\n")


def test_a_child_without_a_server_ends(capfd: pytest.CaptureFixture[str]) -> None:
    child = Process()
    child.ours.close()
    status: Any = child.end()
    assert status == (0, "", "")
