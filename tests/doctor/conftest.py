"""The lab's API on a port, and this program's own client of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ssm_ssh.aws.api.client import Api
from ssm_ssh.aws.config.settings import load
from ssm_ssh.lab.cloud.faults import FAULTS
from tests.lab.api.conftest import Service


class Account:
    """An account with instances, of which a test changes the surroundings."""

    def __init__(self, service: Service) -> None:
        self.service = service

    def api(self, identity: str = "admin", region: str = "") -> Api:
        """A client with the credentials of `identity`."""
        who = self.service.state.identity(identity)
        env = {
            "AWS_ACCESS_KEY_ID": who.access_key,
            "AWS_SECRET_ACCESS_KEY": who.secret_key,
            "AWS_ENDPOINT_URL": f"https://127.0.0.1:{self.service.port}",
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
            **({"AWS_SESSION_TOKEN": who.token} if who.token else {}),
        }
        region = region or self.service.state.region
        return Api(load(region=region, ca_bundle=str(self.service.ca_file), env=env), sleep=lambda _: None)

    def fault(self, name: str, instance_id: str) -> None:
        """Change the surroundings of an instance, as `ssm-ssh lab --fault` does."""
        state, fault = self.service.state, FAULTS[name]

        def change() -> None:
            instance = state.instances[instance_id]
            fault.change(instance.site)
            instance.state = fault.state or instance.state
            if fault.agent:
                instance.agent_version = fault.agent
            if fault.offline:
                state.agent_gone(instance_id)

        self.service.call(change)

    def change(self, function: Callable[[], object]) -> None:
        """Call `function` in the thread that owns the state."""
        self.service.call(function)


@pytest.fixture
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "HTTPS_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    service = Service(tmp_path)
    yield Account(service)
    service.stop()
