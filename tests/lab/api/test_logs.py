"""CloudWatch Logs through botocore."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from ssm_ssh.lab.api.logs import GROUP
from tests.lab.api.conftest import Service, code


def test_log_groups(service: Service) -> None:
    client = service.client("logs")
    [group] = client.describe_log_groups(logGroupNamePrefix=GROUP[:4])["logGroups"]
    assert group["logGroupName"] == GROUP
    assert group["arn"].endswith(f":log-group:{GROUP}:*")
    assert client.describe_log_groups(logGroupNamePattern="manager")["logGroups"] == [group]
    assert client.describe_log_groups(logGroupNamePrefix="/other")["logGroups"] == []
    with pytest.raises(ClientError) as error:
        client.describe_log_groups(logGroupNamePrefix="a", logGroupNamePattern="abc")
    assert code(error) == "InvalidParameterException"
