"""Sessions that another program carries out."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path

import pytest

from ssm_ssh.lab.accounts.accounts import Accounts
from ssm_ssh.lab.agent.options import AgentOptions
from ssm_ssh.lab.agent.result import CRASH_OUTPUT
from tests.lab.agent.sessions import FAST, command, end, status
from tests.lab.dataplane import INSTANCE, REGION, World, asynchronous

PROGRAM = """#!{python}
import json, os, sys
order = json.loads(sys.stdin.readline())
{code}
"""


def worker(folder: Path, code: str) -> AgentOptions:
    """Return an agent whose sessions a Python program carries out."""
    program = folder / "worker"
    program.write_text(PROGRAM.format(python=sys.executable, code=code))
    program.chmod(0o755)
    return dataclasses.replace(FAST, worker=str(program))


REPORT = """
print("some noise")
print(json.dumps({"Status": "Failed", "Output": json.dumps([order, dict(os.environ)])}))
"""


@asynchronous
async def test_the_program_gets_the_job_and_its_surroundings(accounts: Accounts, folder: Path) -> None:
    async with World(agent=worker(folder, REPORT), accounts=accounts) as world:
        client = await command(world, "id")
        order, environment = json.loads((await end(client)).reason)
        assert order["Job"]["SessionId"] == client.session_id
        assert order["Job"]["Parameters"] == {"command": "id"}
        assert (order["InstanceId"], order["Region"], order["Gateway"]) == (INSTANCE, REGION, world.url)
        assert order["AccessKey"] == world.role.access_key
        assert "AWS_ACCESS_KEY_ID" not in environment
        assert "ssm-user" in accounts.users
        assert status(client) == ("Failed", "agent")


@asynchronous
async def test_a_cancelled_session_is_told_on_standard_input(accounts: Accounts, folder: Path) -> None:
    code = 'sys.stdin.readline()\nprint(json.dumps({"Status": "Success", "Output": "cancelled"}))'
    async with World(agent=worker(folder, code), accounts=accounts) as world:
        client = await command(world, "id")
        world.gateway.terminate_session(client.session_id)
        await world.until(lambda: status(client) == ("Terminated", "api"))


@asynchronous
async def test_a_program_that_dies_has_crashed(accounts: Accounts, folder: Path) -> None:
    async with World(agent=worker(folder, "sys.exit(1)"), accounts=accounts) as world:
        assert (await end(await command(world, "id"))).reason == CRASH_OUTPUT


@asynchronous
async def test_a_job_that_the_program_cannot_read_is_dropped(accounts: Accounts, folder: Path) -> None:
    async with World(agent=worker(folder, "sys.exit(3)"), accounts=accounts) as world:
        client = await command(world, "id")
        await world.until(lambda: not world.agent._sessions)
        assert status(client) == ("Connecting", None)


CONNECT = """
import socket
with socket.create_connection(("127.0.0.1", int(order["Job"]["Parameters"]["portNumber"]))) as sock:
    print(json.dumps({"Status": "Failed", "Output": sock.recv(100).decode()}))
"""


@asynchronous
@pytest.mark.parametrize("port", ["22", "2222"])
async def test_a_port_of_the_instance_is_one_of_this_machine(accounts: Accounts, folder: Path, port: str) -> None:
    async with World(agent=worker(folder, CONNECT), accounts=accounts) as world:
        client = await world.session(port=port)
        assert (await end(client)).reason == world.port.banner.decode()
