"""The lab's API without a network, and this program's own client of it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping

import pytest

from ssm_ssh.aws.api import http
from ssm_ssh.aws.api.client import Api
from ssm_ssh.aws.config.endpoints import Endpoint
from ssm_ssh.aws.config.settings import load
from ssm_ssh.lab.api.context import ServiceContext
from ssm_ssh.lab.api.server import Api as Services
from ssm_ssh.lab.cloud.faults import FAULTS
from ssm_ssh.lab.faults.faults import Faults
from ssm_ssh.lab.identity.verify import Request
from ssm_ssh.lab.options import LabOptions
from ssm_ssh.lab.state import LabState
from tests.lab.api.conftest import EDGE, INSTANCES, WEB, Gateway, Instances


class Account:
    """An account with instances, of which a test changes the surroundings."""

    def __init__(self) -> None:
        self.state = LabState(LabOptions(instances=INSTANCES))
        for instance_id in (WEB, EDGE):
            self.state.agent_connected(instance_id)
        self.faults = Faults()
        self.services = Services(
            ServiceContext(self.state, Gateway(), Instances()),
            denial=self.faults.denial,
            document_fault=self.faults.document_fault,
            simulated_denial=self.faults.simulated_denial,
        )

    def api(self, identity: str = "admin", region: str = "") -> Api:
        """A client with the credentials of `identity`."""
        who = self.state.identity(identity)
        env = {
            "AWS_ACCESS_KEY_ID": who.access_key,
            "AWS_SECRET_ACCESS_KEY": who.secret_key,
            "AWS_ENDPOINT_URL": "https://127.0.0.1:1",
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
            **({"AWS_SESSION_TOKEN": who.token} if who.token else {}),
        }
        return Api(load(region=region or self.state.region, env=env), sleep=lambda _: None)

    def fault(self, name: str, instance_id: str) -> None:
        """Change the surroundings of an instance, as `ssm-ssh lab --fault` does."""
        instance, fault = self.state.instances[instance_id], FAULTS[name]
        fault.change(instance.site)
        instance.state = fault.state or instance.state
        if fault.agent:
            instance.agent_version = fault.agent
        if fault.offline:
            self.state.agent_gone(instance_id)

    def heal(self, instance_id: str) -> None:
        """Undo all faults of an instance."""
        instance = self.state.instances[instance_id]
        instance.site = self.state.new_site(instance_id, instance.address)
        instance.state = instance.options.state
        self.state.agent_connected(instance_id, instance.options.agent_version)

    def answer(self, headers: Mapping[str, str], body: bytes) -> http.Response:
        """Answer one request, in whatever thread it is made."""
        request = Request("POST", "/", list(headers.items()), body)
        response = asyncio.run(self.services.handle(request))
        names = {name.lower(): value for name, value in response.headers}
        return http.Response(response.status, names, response.body)


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Account:
    """An account that every client in this process reaches."""
    made = Account()

    def connect(*_: object, **__: object) -> socket.socket:
        return socket.socket()

    def exchange(
        sock: socket.socket, _: Endpoint, headers: Mapping[str, str], body: bytes, __: http.Deadlines
    ) -> http.Response:
        sock.close()
        return made.answer(headers, body)

    monkeypatch.setattr(http, "connect", connect)
    monkeypatch.setattr(http, "exchange", exchange)
    return made
