"""The account's settings of Systems Manager, through botocore."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from ssm_ssh.lab.api.managed import HOST_MANAGEMENT, TIER
from ssm_ssh.lab.cloud.faults import FAULTS
from tests.lab.api.conftest import EDGE, WEB, Service, code


def test_settings(service: Service) -> None:
    client = service.client("ssm")
    tier = client.get_service_setting(SettingId=TIER)["ServiceSetting"]
    assert (tier["SettingValue"], tier["Status"]) == ("advanced", "Customized")
    by_arn = client.get_service_setting(SettingId=tier["ARN"])["ServiceSetting"]
    assert by_arn == tier
    assert client.get_service_setting(SettingId=HOST_MANAGEMENT)["ServiceSetting"]["SettingValue"] == "$None"
    with pytest.raises(ClientError) as error:
        client.get_service_setting(SettingId="/ssm/other")
    assert code(error) == "ServiceSettingNotFound"


def test_the_standard_tier_has_no_sessions_on_managed_nodes(service: Service) -> None:
    client = service.client("ssm")
    service.call(lambda: FAULTS["standard_tier"].change(service.state.instances[EDGE].site))
    assert client.get_service_setting(SettingId=TIER)["ServiceSetting"]["SettingValue"] == "standard"
    with pytest.raises(ClientError) as error:
        client.start_session(Target=EDGE)
    assert code(error) == "BadRequest"
    client.start_session(Target=WEB)


def test_activations(service: Service) -> None:
    client = service.client("ssm")
    [node] = client.describe_instance_information(Filters=[{"Key": "InstanceIds", "Values": [EDGE]}])[
        "InstanceInformationList"
    ]
    wanted = [{"FilterKey": "ActivationIds", "FilterValues": [node["ActivationId"]]}]
    [activation] = client.describe_activations(Filters=wanted)["ActivationList"]
    assert activation["Expired"] is False
    service.call(lambda: FAULTS["activation_expired"].change(service.state.instances[EDGE].site))
    [activation] = client.describe_activations(Filters=wanted)["ActivationList"]
    assert activation["Expired"] is True
    none = [{"FilterKey": "IamRole", "FilterValues": ["x"]}]
    assert client.describe_activations(Filters=none)["ActivationList"] == []
    with pytest.raises(ClientError) as error:
        client.describe_activations(Filters=[{"FilterKey": "Colour", "FilterValues": ["x"]}])
    assert code(error) in ("InvalidFilter", "ValidationException")


def test_an_agent_that_never_registered_is_not_listed(service: Service) -> None:
    service.call(lambda: FAULTS["never_registered"].change(service.state.instances[WEB].site))
    listed = service.client("ssm").describe_instance_information()["InstanceInformationList"]
    assert [item["InstanceId"] for item in listed] == [EDGE]
