"""Sessions of the type NonInteractiveCommands, as the official agent runs them."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import re
import shlex
from pathlib import Path

import pytest

from ssm_ssh.lab.accounts.accounts import Accounts
from ssm_ssh.lab.agent.result import CRASH_OUTPUT
from ssm_ssh.lab.wire import message as am
from tests.lab.agent.sessions import FAST, command, end, status
from tests.lab.dataplane import RawClient, World, asynchronous


async def run(client: RawClient) -> None:
    """Answer the handshake, which a command always has."""
    complete = await client.handshake()
    assert json.loads(complete.payload)["CustomerMessage"] == ""


@asynchronous
async def test_the_request_names_the_type_and_no_properties(accounts: Accounts) -> None:
    async with World(agent=FAST, accounts=accounts) as world:
        client = await command(world, "true")
        request = json.loads((await client.in_order()).payload)
        action = {"SessionType": "NonInteractiveCommands", "Properties": None}
        assert request["RequestedClientActions"] == [{"ActionType": "SessionType", "ActionParameters": action}]
        await client.respond()
        await end(client)


@asynchronous
async def test_both_streams_come_merged_at_the_end_without_a_status(accounts: Accounts) -> None:
    async with World(agent=FAST, accounts=accounts) as world:
        client = await command(world, "sh -c 'echo out; echo err >&2; exit 3'")
        await run(client)
        ended = await end(client)
        assert ended.output == b"out\nerr\n"
        assert (set(ended.types), ended.reason) == ({am.P_OUTPUT}, "")
        assert status(client) == ("Terminated", "agent")


@asynchronous
async def test_there_is_no_shell_and_no_input(accounts: Accounts) -> None:
    async with World(agent=FAST, accounts=accounts) as world:
        client = await command(world, "echo $HOME '*' && cat")
        await run(client)
        assert (await end(client)).output == b"$HOME * && cat\n"
        client = await command(world, "cat")
        await run(client)
        assert (await end(client)).output == b""


@asynchronous
async def test_separate_streams_have_prefixes_and_the_exit_code_comes_last(accounts: Accounts) -> None:
    async with World(agent=FAST, accounts=accounts) as world:
        script = "echo out; printf part; echo err >&2; exit 3"
        client = await command(
            world,
            f"sh -c '{script}'",
            separateOutputStream="true",
            stdOutSeparatorPrefix="O:",
            stdErrSeparatorPrefix="E:",
        )
        await run(client)
        ended = await end(client)
        # A prefix comes again only after output that ended a line.
        assert re.sub(rb"\nO:part$", b"\npart", ended.output) == b"O:out\npart"
        assert ended.stderr == b"E:err\n"
        assert ended.code == "EXIT_CODE: 3"
        assert ended.types[-1] == am.P_EXIT_CODE


@asynchronous
async def test_separate_streams_come_at_once(accounts: Accounts, folder: Path) -> None:
    async with World(agent=FAST, accounts=accounts) as world:
        gate = folder / "gate"
        script = f"echo begun; while [ ! -e {gate} ]; do sleep 0.01; done"
        client = await command(world, shlex.join(["sh", "-c", script]), separateOutputStream=True)
        await run(client)
        assert (await client.in_order()).payload == b"begun\n"
        gate.touch()
        assert (await end(client)).code == "EXIT_CODE: 0"


@asynchronous
async def test_death_by_a_signal_is_minus_1(accounts: Accounts) -> None:
    async with World(agent=FAST, accounts=accounts) as world:
        client = await command(world, "sh -c 'kill -9 $$'", separateOutputStream=True)
        await run(client)
        assert (await end(client)).code == "EXIT_CODE: -1"


@asynchronous
@pytest.mark.parametrize("byte", [b"\x03", b"\x1c"])
async def test_two_bytes_of_input_are_signals_to_the_process(accounts: Accounts, byte: bytes) -> None:
    async with World(agent=FAST, accounts=accounts) as world:
        client = await command(world, "sh -c 'echo begun; exec sleep 60'", separateOutputStream=True)
        await run(client)
        assert (await client.in_order()).payload == b"begun\n"
        await client.send(b"x")
        await client.send(b"y" + byte)
        # Whether the agent still learns of the signal is left to chance.
        assert (await end(client)).code in ("EXIT_CODE: 1", "EXIT_CODE: -1")


@asynchronous
async def test_after_a_signal_nothing_is_read_until_the_end(accounts: Accounts, folder: Path) -> None:
    async with World(agent=FAST, accounts=accounts) as world:
        gate = folder / "gate"
        script = f'trap "" INT; echo begun; while [ ! -e {gate} ]; do sleep 0.01; done'
        client = await command(world, shlex.join(["sh", "-c", script]), separateOutputStream=True)
        await run(client)
        assert (await client.in_order()).payload == b"begun\n"
        number = await client.send(b"\x03")
        await client.send(b"x")
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(client.acked(number), 0.3)
        gate.touch()
        await client.acked(number)
        assert (await end(client)).code in ("EXIT_CODE: 1", "EXIT_CODE: 0")


@asynchronous
@pytest.mark.parametrize(("race", "code", "final"), [("lost", 1, "Failed"), ("kept", -1, "Terminated")])
async def test_a_signal_costs_the_exit_code_unless_chance_keeps_it(
    accounts: Accounts, race: str, code: int, final: str
) -> None:
    async with World(agent=dataclasses.replace(FAST, signal_race=race), accounts=accounts) as world:
        client = await command(world, "sh -c 'echo begun; exec sleep 60'", separateOutputStream=True)
        await run(client)
        assert (await client.in_order()).payload == b"begun\n"
        await client.send(b"\x03")
        assert (await end(client)).code == f"EXIT_CODE: {code}"
        assert status(client) == (final, "agent")


@asynchronous
@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("/no/such/program x", "fork/exec /no/such/program: no such file or directory"),
        ("/etc/passwd", "fork/exec /etc/passwd: permission denied"),
        ("no-such-program", 'exec: "no-such-program": executable file not found in $PATH'),
    ],
)
async def test_a_missing_program_is_told_as_stderr(accounts: Accounts, words: str, text: str) -> None:
    async with World(agent=FAST, accounts=accounts) as world:
        client = await command(world, words)
        await run(client)
        ended = await end(client)
        assert (ended.stderr.decode(), ended.types, ended.reason) == (text, [am.P_STDERR], "")
        assert status(client) == ("Failed", "agent")
        client = await command(world, words, separateOutputStream=True)
        await run(client)
        ended = await end(client)
        assert (ended.stderr.decode(), ended.code) == (text, "EXIT_CODE: 1")
        assert ended.types == [am.P_EXIT_CODE, am.P_STDERR]


@asynchronous
@pytest.mark.parametrize("separate", [False, True])
@pytest.mark.parametrize(
    ("printed", "passed"),
    [
        (r"\377abc", b"\xffabc"),
        (r"abc\377", b"abc"),  # held as the beginning of a character, and lost
        (r"\357\277\275abc", b"\xefabc"),  # a true U+FFFD
    ],
)
async def test_what_is_not_utf8_is_damaged(accounts: Accounts, printed: str, passed: bytes, separate: bool) -> None:
    async with World(agent=FAST, accounts=accounts) as world:
        client = await command(world, shlex.join(["printf", printed]), separateOutputStream=separate)
        await run(client)
        assert (await end(client)).output == passed


@asynchronous
async def test_an_open_quote_cannot_be_started(accounts: Accounts) -> None:
    text = "Unable to start command: Failed to parse commands input: EOF found when expecting closing quote\n\n"
    async with World(agent=FAST, accounts=accounts) as world:
        client = await command(world, "echo 'x")
        await run(client)
        ended = await end(client)
        assert (ended.stderr.decode(), ended.reason) == (text, f"\n----------ERROR-------\n{text}")


@asynchronous
async def test_a_command_of_no_word_crashes_the_worker(accounts: Accounts) -> None:
    async with World(agent=FAST, accounts=accounts) as world:
        client = await command(world, "# nothing")
        await run(client)
        assert (await end(client)).reason == CRASH_OUTPUT


@asynchronous
async def test_a_strange_prefix_is_refused(accounts: Accounts) -> None:
    async with World(agent=FAST, accounts=accounts) as world:
        client = await command(world, "true", separateOutputStream=True, stdErrSeparatorPrefix="a b")
        await run(client)
        assert (await end(client)).reason == "invalid stderrSeparatorPrefix a b"


@asynchronous
async def test_a_pause_ends_the_reading_of_separate_streams(accounts: Accounts) -> None:
    async with World(agent=FAST, accounts=accounts) as world:
        client = await command(
            world, "sh -c 'echo begun; sleep 0.3; echo more; sleep 0.3; echo lost'", separateOutputStream=True
        )
        await run(client)
        assert (await client.in_order()).payload == b"begun\n"
        channel = world.agent._sessions[client.session_id]._channel
        await world.until(lambda: not channel._outgoing)
        session = world.gateway._sessions[client.session_id]
        assert session.agent is not None
        session.agent.send([am.encode_json(am.PAUSE_PUBLICATION, {})])
        await world.until(lambda: not channel.active.is_set())
        # What a read that had begun brings is kept; nothing is read after it.
        await world.until(lambda: channel._outgoing)
        session.agent.send([am.encode_json(am.START_PUBLICATION, {})])
        ended = await end(client)
        assert b"lost" not in ended.output
        assert status(client) == ("Failed", "agent")


@asynchronous
async def test_an_old_agent_knows_neither_separate_streams_nor_the_exit_code(accounts: Accounts) -> None:
    async with World(agent=dataclasses.replace(FAST, version="3.1.1476.0"), accounts=accounts) as world:
        client = await command(world, "sh -c 'echo out; echo err >&2; exit 3'", separateOutputStream=True)
        await run(client)
        ended = await end(client)
        assert (ended.output, set(ended.types)) == (b"out\nerr\n", {am.P_OUTPUT})


@asynchronous
async def test_a_very_old_agent_runs_no_commands(accounts: Accounts) -> None:
    async with World(
        agent=dataclasses.replace(FAST, version="3.0.1035.0", start_delay=0.2), accounts=accounts
    ) as world:
        client = await command(world, "true")
        assert "Plugin with name NonInteractiveCommands is not supported" in (await end(client)).reason


@asynchronous
@pytest.mark.parametrize("separate", [False, True])
async def test_the_end_from_outside_kills_the_command(accounts: Accounts, separate: bool) -> None:
    async with World(agent=FAST, accounts=accounts) as world:
        client = await command(world, "sh -c 'echo begun; exec sleep 60'", separateOutputStream=separate)
        await run(client)
        session = world.agent._sessions[client.session_id]
        await world.until(lambda: session._plugin._program is not None)  # type: ignore[union-attr]
        program = session._plugin._program  # type: ignore[union-attr]
        assert program is not None
        world.gateway.terminate_session(client.session_id)
        assert (await end(client)).code == ""
        assert await program.ended == -9
