"""CloudWatch Logs through botocore."""

from __future__ import annotations

import asyncio
import ssl

import pytest
from botocore.exceptions import ClientError

from ssm_ssh.lab.agent.api import AgentApi
from ssm_ssh.lab.agent.service import AgentCredentials
from ssm_ssh.lab.api.logs import GROUP, OPEN_GROUP
from tests.lab.api.conftest import WEB, Service, code
from tests.lab.transports import close_transports


def test_log_groups(service: Service) -> None:
    client = service.client("logs")
    [group] = client.describe_log_groups(logGroupNamePrefix=GROUP[:4])["logGroups"]
    assert group["logGroupName"] == GROUP
    assert ":key/" in group["kmsKeyId"]
    [other] = client.describe_log_groups(logGroupNamePrefix=OPEN_GROUP)["logGroups"]
    assert "kmsKeyId" not in other
    assert group["arn"].endswith(f":log-group:{GROUP}:*")
    assert client.describe_log_groups(logGroupNamePattern="manager")["logGroups"] == [group]
    assert client.describe_log_groups(logGroupNamePrefix="/other")["logGroups"] == []
    with pytest.raises(ClientError) as error:
        client.describe_log_groups(logGroupNamePrefix="a", logGroupNamePattern="abc")
    assert code(error) == "InvalidParameterException"


def test_an_agent_asks_whether_a_group_is_encrypted(service: Service) -> None:
    role = service.state.instances[WEB].identity
    api = AgentApi(
        f"https://127.0.0.1:{service.port}",
        region=service.state.region,
        credentials=AgentCredentials(role.access_key, role.secret_key, role.token),
        tls=ssl.create_default_context(cafile=str(service.ca_file)),
    )

    async def answer(group: str) -> bool:
        try:
            return await api.log_group_is_encrypted(group)
        finally:
            await close_transports()

    for group, encrypted in ((GROUP, True), (OPEN_GROUP, False), ("/missing", False)):
        assert asyncio.run(answer(group)) is encrypted
