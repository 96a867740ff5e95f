"""The tests of the lab's shells, against AWS's own session code: what the lab's agent does, the official one does."""

from __future__ import annotations

from pathlib import Path

import pytest

from ssm_ssh.lab.accounts.accounts import Accounts
from tests.lab.agent import test_shell
from tests.lab.agent.sessions import FAST, end, shell, until
from tests.lab.agent.test_shell import *  # noqa: F403 -- the same tests
from tests.lab.dataplane import asynchronous
from tests.official.worlds import use_official

pytestmark = pytest.mark.long

# These look into the lab's agent, or need an agent of another version.
del test_nothing_is_read_while_paused, test_a_quirk_leaves_a_shell_without_output  # noqa: F821
del test_a_machine_without_accounts_supports_no_shell  # noqa: F821
# The official agent takes any home to be below /home, and so the places of these are not the lab's.
del test_a_shell_is_that_of_ssm_user_and_no_login, test_the_shell_profile_is_typed_in  # noqa: F821
del test_an_elevated_command_runs_as_root  # noqa: F821


@pytest.fixture(autouse=True)
def _official(monkeypatch: pytest.MonkeyPatch, official: Path, folder: Path) -> None:
    use_official(monkeypatch, "tests.lab.agent.test_shell", official, folder)


@asynchronous
async def test_a_shell_is_that_of_ssm_user(accounts: Accounts) -> None:
    async with test_shell.World(agent=FAST, accounts=accounts) as world:
        client = await shell(world, shellProfile={"linux": "echo $((6 * 7))"})
        await until(client, b"42\r\n")
        await client.send(b'echo "<$HOME|$USER|$TERM|$0|$PWD>"; id -un; exit\r')
        ended = await end(client)
        assert b"</home/ssm-user||xterm-256color|sh|/usr/bin>" in ended.output
        assert b"\r\nssm-user\r\n" in ended.output
