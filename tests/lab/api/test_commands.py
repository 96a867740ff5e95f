"""Run Command, through a real client: late, cut short, and gone when it should be."""

from __future__ import annotations

import re
from typing import Any

import pytest
from botocore.exceptions import ClientError

from ssm_ssh.lab.link import Failed
from tests.lab.api.conftest import EDGE, OFF, WEB, Service, code, message

RUN = {"DocumentName": "AWS-RunShellScript", "Parameters": {"commands": ["id"]}}


def send(service: Service, *instances: str, **more: Any) -> str:  # noqa: ANN401 - an API's arguments
    answer = service.client("ssm").send_command(**{**RUN, "InstanceIds": list(instances) or [WEB], **more})
    return str(answer["Command"]["CommandId"])


def finished(service: Service, command_id: str, instance: str = WEB) -> dict[str, Any]:
    service.clock.ahead += 6.0
    client = service.client("ssm")
    while True:
        answer: dict[str, Any] = client.get_command_invocation(CommandId=command_id, InstanceId=instance)
        if answer["Status"] not in ("Pending", "InProgress"):
            return answer


def test_a_command_is_carried_out(service: Service) -> None:
    command_id = send(service, Comment="why")
    answer = finished(service, command_id)
    assert (answer["Status"], answer["StatusDetails"], answer["ResponseCode"]) == ("Success", "Success", 0)
    assert (len(answer["StandardOutputContent"]), len(answer["StandardErrorContent"])) == (24_000, 8_000)
    assert answer["Comment"] == "why"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", answer["ExecutionStartDateTime"])
    op, args = service.instances.calls[0]
    assert (op, args["instance_id"], args["parameters"]) == ("send_command", WEB, {"commands": ["id"]})


def test_an_invocation_does_not_exist_at_first(service: Service) -> None:
    command_id = send(service)
    client = service.client("ssm")
    with pytest.raises(ClientError) as error:
        client.get_command_invocation(CommandId=command_id, InstanceId=WEB)
    assert code(error) == "InvocationDoesNotExist"
    assert client.list_command_invocations(CommandId=command_id)["CommandInvocations"] == []


def test_a_command_in_progress(service: Service) -> None:
    service.instances.gate.clear()
    command_id = send(service)
    service.clock.ahead += 6.0
    answer = service.client("ssm").get_command_invocation(CommandId=command_id, InstanceId=WEB)
    assert (answer["Status"], answer["ResponseCode"], answer["ExecutionEndDateTime"]) == ("InProgress", -1, "")


def test_a_command_can_be_cancelled(service: Service) -> None:
    service.instances.gate.clear()
    command_id = send(service)
    service.client("ssm").cancel_command(CommandId=command_id)
    assert finished(service, command_id)["Status"] == "Cancelled"


def test_an_instance_that_fails_in_between(service: Service) -> None:
    service.instances.failure = Failed("InternalServerError", "gone")
    assert finished(service, send(service))["StatusDetails"] == "Undeliverable"


def test_commands_and_invocations_are_listed(service: Service) -> None:
    command_id = send(service, WEB, EDGE)
    finished(service, command_id, WEB)
    finished(service, command_id, EDGE)
    client = service.client("ssm")
    listed = client.list_command_invocations(CommandId=command_id, Details=True)["CommandInvocations"]
    assert {one["InstanceId"] for one in listed} == {WEB, EDGE}
    assert len(listed[0]["CommandPlugins"][0]["Output"]) == 2_500
    command = client.list_commands(CommandId=command_id)["Commands"][0]
    assert (command["Status"], command["TargetCount"], command["CompletedCount"]) == ("Success", 2, 2)


def test_targets_by_tag(service: Service) -> None:
    answer = service.client("ssm").send_command(**RUN, Targets=[{"Key": "tag:Name", "Values": ["edge"]}])
    assert answer["Command"]["InstanceIds"] == [EDGE]


def test_instances_that_are_not_there(service: Service) -> None:
    with pytest.raises(ClientError) as error:
        send(service, WEB, OFF)
    assert code(error) == "InvalidInstanceId"
    assert message(error) == f"Instances [[{OFF}]] not in a valid state for account {service.state.account}"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"DocumentName": "AWS-RunSomething"}, "InvalidDocument"),
        ({"Parameters": {}}, "InvalidParameters"),
        ({"Parameters": {"commands": ["id"], "shell": ["zsh"]}}, "InvalidParameters"),
        ({"Parameters": {"commands": ["echo {{ssm:/secret}}"]}}, "InvalidParameters"),
        ({"InstanceIds": [WEB, WEB]}, "DuplicateInstanceId"),
        ({"TimeoutSeconds": 1}, "ValidationException"),
        ({"InstanceIds": []}, "ValidationException"),
    ],
)
def test_what_is_refused(service: Service, changes: dict[str, Any], expected: str) -> None:
    with pytest.raises(ClientError) as error:
        service.client("ssm").send_command(**{**RUN, "InstanceIds": [WEB], **changes})
    assert code(error) == expected


def test_a_denied_command_names_the_action(service: Service) -> None:
    with pytest.raises(ClientError) as error:
        service.client("ssm", "no-commands").send_command(**RUN, InstanceIds=[WEB])
    assert code(error) == "AccessDeniedException"
    assert f"ssm:SendCommand on resource: arn:aws:ec2:eu-central-1:{service.state.account}:instance/{WEB} " in message(
        error
    )
