"""The world of the agent's tests, with AWS's own session code in place of the lab's."""

from __future__ import annotations

import dataclasses
import ssl
from pathlib import Path

import pytest

from ssm_ssh.lab.accounts.accounts import Accounts
from ssm_ssh.lab.agent.options import AgentOptions
from ssm_ssh.lab.identity.ca import new_authority
from tests.lab.dataplane import World
from tests.official.conftest import WORKER


def use_official(monkeypatch: pytest.MonkeyPatch, module: str, programs: Path, folder: Path) -> None:
    """Let the tests of `module` run against AWS's session code, which talks to a gateway with TLS only."""
    authority = new_authority(folder)
    ca_file = folder / "ca.pem"
    ca_file.write_bytes(authority.pem)
    trusting = ssl.create_default_context(cadata=authority.pem.decode())

    def world(*, agent: AgentOptions, accounts: Accounts | None = None) -> World:
        options = dataclasses.replace(agent, worker=str(programs / WORKER))
        made = World(agent=options, accounts=accounts, tls=(authority.server_context, trusting))
        made.ca_file = str(ca_file)
        return made

    monkeypatch.setattr(f"{module}.World", world)
