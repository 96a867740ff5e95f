"""Sessions on a terminal: Standard_Stream and InteractiveCommands, as the official agent runs them."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os

import pytest

from ssm_ssh.lab.accounts.accounts import Accounts
from ssm_ssh.lab.wire import message as am
from tests.lab.agent.sessions import FAST, command, end, shell, status, until
from tests.lab.dataplane import World, asynchronous

INTERACTIVE = "InteractiveCommands"


@asynchronous
async def test_a_shell_starts_without_a_handshake_and_ends_without_a_status(accounts: Accounts) -> None:
    async with World(agent=FAST, accounts=accounts) as world:
        client = await shell(world)
        first = await client.stream()
        assert (first.sequence, first.flags, first.payload_type) == (0, 1, am.P_OUTPUT)
        client.queue.append(first)
        await until(client, b"$ ")
        await client.send(b"echo $((6 * 7)); exit 3\r")
        ended = await end(client)
        assert b"\r\n42\r\n" in ended.output
        assert (ended.reason, set(ended.types)) == ("", {am.P_OUTPUT})
        assert status(client) == ("Terminated", "agent")


@asynchronous
async def test_a_shell_is_that_of_ssm_user_and_no_login(accounts: Accounts) -> None:
    async with World(agent=FAST, accounts=accounts) as world:
        client = await shell(world)
        await until(client, b"$ ")
        await client.send(b'echo "<$HOME|$USER|$TERM|$0|$PWD>"; id -un; exit\r')
        ended = await end(client)
        assert f"<{accounts.home('ssm-user')}||xterm-256color|sh|/usr/bin>".encode() in ended.output
        assert b"\r\nssm-user\r\n" in ended.output


@asynchronous
async def test_run_as_takes_the_named_user(accounts: Accounts) -> None:
    async with World(agent=FAST, accounts=accounts) as world:
        client = await shell(world, runAsEnabled=True, runAsDefaultUser="deploy")
        await until(client, b"$ ")
        await client.send(b"id -un; exit\r")
        assert b"\r\ndeploy\r\n" in (await end(client)).output


@asynchronous
@pytest.mark.parametrize(
    ("user", "reason"),
    [
        ("nobodyelse", "failed to start pty since RunAs user nobodyelse does not exist"),
        ("root", "invalid uid and gid"),
        (" ", "please set the RunAs default user"),
    ],
)
async def test_run_as_refuses_root_and_unknown_users(accounts: Accounts, user: str, reason: str) -> None:
    async with World(agent=FAST, accounts=accounts) as world:
        client = await shell(world, runAsEnabled="true", runAsDefaultUser=user)
        ended = await end(client)
        assert ended.reason == f"\n----------ERROR-------\nUnable to start command: {reason}\n"
        assert ended.types == []
        assert status(client) == ("Failed", "agent")


@asynchronous
@pytest.mark.parametrize(
    ("inputs", "reason"),
    [
        ({"cloudWatchLogGroupName": "/x", "cloudWatchEncryptionEnabled": True}, "We couldn't start the session"),
        ({"s3BucketName": "x", "s3EncryptionEnabled": "true"}, "Couldn't start the session"),
    ],
)
async def test_logs_that_must_be_encrypted_and_are_not_keep_a_shell_away(
    accounts: Accounts, inputs: dict[str, object], reason: str
) -> None:
    async with World(agent=FAST, accounts=accounts) as world:
        client = await shell(world, **inputs)
        ended = await end(client)
        assert ended.reason.startswith(reason)
        assert status(client) == ("Failed", "agent")


@asynchronous
async def test_logs_that_need_not_be_encrypted_keep_no_shell_away(accounts: Accounts) -> None:
    async with World(agent=FAST, accounts=accounts) as world:
        client = await shell(world, cloudWatchLogGroupName="/x", cloudWatchEncryptionEnabled=False, s3BucketName="x")
        await until(client, b"$ ")
        await client.send(b"exit\r")
        await end(client)


@asynchronous
async def test_the_shell_profile_is_typed_in(accounts: Accounts) -> None:
    async with World(agent=FAST, accounts=accounts) as world:
        client = await shell(world, shellProfile={"linux": "cd;pwd"})
        home = f"{accounts.home('ssm-user')}\r\n".encode()
        await until(client, home)
        await client.send(b"exit\r")
        await end(client)


@asynchronous
async def test_a_size_is_dropped_until_the_terminal_is_there(accounts: Accounts) -> None:
    async with World(agent=dataclasses.replace(FAST, start_delay=0.0), accounts=accounts) as world:
        client = await command(world, "stty size; read x; stty size", INTERACTIVE)
        # The first may come too early, as the plugin finds, too: what is not acknowledged is sent again.
        size = b'{"cols":120,"rows":40}'
        number = await client.send(size, payload_type=am.P_SIZE)
        while True:
            try:
                await asyncio.wait_for(client.acked(number), 0.2)
                break
            except asyncio.TimeoutError:
                await client.send(size, payload_type=am.P_SIZE, sequence=number)
        await client.send(b"\r")
        assert (await end(client)).output.endswith(b"\r\n40 120\r\n")


@asynchronous
async def test_an_unreadable_size_is_not_acknowledged(accounts: Accounts) -> None:
    async with World(agent=FAST, accounts=accounts) as world:
        client = await shell(world)
        await until(client, b"$ ")
        number = await client.send(b"large", payload_type=am.P_SIZE)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(client.acked(number), 0.2)
        await client.send(b"exit\r", sequence=number)
        await end(client)


@asynchronous
async def test_the_prompt_waits_for_the_agents_second(accounts: Accounts) -> None:
    async with World(agent=dataclasses.replace(FAST, prompt_delay=0.4), accounts=accounts) as world:
        client = await shell(world)
        loop = asyncio.get_running_loop()
        start = loop.time()
        await until(client, b"$ ")
        assert loop.time() - start >= 0.3
        await client.send(b"exit\r")
        await end(client)


@asynchronous
async def test_control_characters_are_the_terminals(accounts: Accounts) -> None:
    async with World(agent=FAST, accounts=accounts) as world:
        client = await command(world, 'trap "echo got INT" INT; echo ready; cat; echo done', INTERACTIVE)
        await until(client, b"ready")
        # Once cat has answered, it is cat that gets the signal.
        await client.send(b"running\r")
        await until(client, b"running\r\nrunning\r\n")
        await client.send(b"\x03")
        assert b"got INT\r\ndone" in (await end(client)).output


@asynchronous
async def test_a_full_terminal_stops_acknowledgements(accounts: Accounts) -> None:
    async with World(agent=FAST, accounts=accounts) as world:
        client = await command(world, "stty raw -echo; echo ready; sleep 60", INTERACTIVE)
        await until(client, b"ready")
        last = 0
        for _ in range(60):
            last = await client.send(bytes(1024))
        acknowledged = set()
        with contextlib.suppress(asyncio.TimeoutError):
            while True:
                message = await asyncio.wait_for(client.message(am.ACKNOWLEDGE), 0.5)
                acknowledged.add(am.acknowledged(message.payload))
        assert 0 in acknowledged
        assert last not in acknowledged
        # The control channel still ends the session.
        world.gateway.terminate_session(client.session_id)
        await world.until(lambda: status(client)[0] == "Terminated")


@asynchronous
async def test_output_comes_in_messages_of_1024_bytes_and_whole_characters(accounts: Accounts) -> None:
    async with World(agent=FAST, accounts=accounts) as world:
        client = await command(
            world, "stty -opost; awk 'BEGIN { for (i = 0; i < 3000; i++) printf \"é\" }'", INTERACTIVE
        )
        pieces = bytearray()
        while len(pieces) < 6000:
            message = await client.in_order()
            assert len(message.payload) <= 1024 + 3
            message.payload.decode()
            pieces += message.payload
        assert pieces.decode() == "é" * 3000


@asynchronous
async def test_nothing_is_read_while_paused(accounts: Accounts) -> None:
    async with World(agent=FAST, accounts=accounts) as world:
        client = await command(world, "stty -echo; echo begin; read x; echo $x; read y", INTERACTIVE)
        await until(client, b"begin")
        session = world.gateway._sessions[client.session_id]
        assert session.agent is not None
        channel = world.agent._sessions[client.session_id]._channel
        await world.until(lambda: not channel._outgoing)
        session.agent.send([am.encode_json(am.PAUSE_PUBLICATION, {})])
        await world.until(lambda: not channel.active.is_set())
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(client.stream(), 0.2)
        await client.send(b"go\r")  # any input lifts the pause
        await until(client, b"go")
        world.gateway.terminate_session(client.session_id)
        await world.until(lambda: status(client)[0] == "Terminated")


@asynchronous
async def test_the_end_from_outside_kills_the_shell(accounts: Accounts) -> None:
    async with World(agent=FAST, accounts=accounts) as world:
        client = await command(world, "echo $$; trap '' HUP; read x", INTERACTIVE)
        pid = int((await until(client, b"\n")).split()[0])
        world.gateway.terminate_session(client.session_id)
        assert (await end(client)).reason == ""
        await world.until(lambda: status(client) == ("Terminated", "api"))
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


@asynchronous
async def test_a_killed_agent_hangs_up(accounts: Accounts) -> None:
    async with World(agent=FAST, accounts=accounts) as world:
        client = await command(world, "echo $$; read x", INTERACTIVE)
        pid = int((await until(client, b"\n")).split()[0])
        await world.agent.kill()
        await client.message(am.PAUSE_PUBLICATION)

        def gone() -> bool:
            try:
                os.kill(pid, 0)
            except ProcessLookupError:
                return True
            return False

        await world.until(gone)


@asynchronous
async def test_a_quirk_leaves_a_shell_without_output(accounts: Accounts) -> None:
    async with World(agent=FAST, accounts=accounts) as world:
        world.agent.quirk.set("no_banner")
        client = await shell(world)
        session = world.agent._sessions[client.session_id]
        await world.until(lambda: session._plugin._discarding)  # type: ignore[union-attr]
        await client.acked(await client.send(b"exit\r"))
        world.gateway.terminate_session(client.session_id)
        assert (await end(client)).types == []


@asynchronous
async def test_an_empty_command_is_refused(accounts: Accounts) -> None:
    async with World(agent=FAST, accounts=accounts) as world:
        client = await command(world, " ", INTERACTIVE)
        assert (await end(client)).reason == "Commands cannot be empty for session type InteractiveCommands"


@asynchronous
async def test_an_elevated_command_runs_as_root(accounts: Accounts) -> None:
    async with World(agent=FAST, accounts=accounts) as world:
        client = await command(world, 'echo "<$HOME>"', INTERACTIVE, runAsElevated=True)
        assert f"<{accounts.root_home}>".encode() in (await end(client)).output


@asynchronous
async def test_a_machine_without_accounts_supports_no_shell() -> None:
    async with World(agent=dataclasses.replace(FAST, start_delay=0.2)) as world:
        client = await shell(world)
        assert "Plugin with name Standard_Stream is not supported" in (await end(client)).reason
