"""Run Command, through a real client: late, cut short, and gone when it should be."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from botocore.exceptions import ClientError

from ssm_ssh.lab.wire.rpc import CallFailed
from tests.lab.api.conftest import EDGE, OFF, WEB, Service, code, message

RUN = {"DocumentName": "AWS-RunShellScript", "Parameters": {"commands": ["id"]}}


def send(service: Service, *instances: str, **more: Any) -> str:  # noqa: ANN401 - an API's arguments
    answer = service.client("ssm").send_command(**{**RUN, "InstanceIds": list(instances) or [WEB], **more})
    return str(answer["Command"]["CommandId"])


def finished(service: Service, command_id: str, instance: str = WEB) -> dict[str, Any]:
    service.clock.offset += 6.0
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
    service.clock.offset += 6.0
    answer = service.client("ssm").get_command_invocation(CommandId=command_id, InstanceId=WEB)
    assert (answer["Status"], answer["ResponseCode"], answer["ExecutionEndDateTime"]) == ("InProgress", -1, "")


def test_a_command_can_be_cancelled(service: Service) -> None:
    service.instances.gate.clear()
    command_id = send(service)
    service.client("ssm").cancel_command(CommandId=command_id)
    assert finished(service, command_id)["Status"] == "Cancelled"


def test_an_instance_that_fails_in_between(service: Service) -> None:
    service.instances.failure = CallFailed("InternalServerError", "gone")
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


OWN = {
    "schemaVersion": "2.2",
    "parameters": {
        "Data": {"type": "String", "allowedPattern": "^[a-z]+$"},
        "Level": {"type": "String", "default": "1"},
    },
    "mainSteps": [
        {
            "action": "aws:runShellScript",
            "name": "Say",
            "inputs": {"timeoutSeconds": "90", "runCommand": ["echo '{{ Data }}'", "exit {{Level}}"]},
        }
    ],
}


def create(service: Service, content: object = OWN, name: str = "Own") -> None:
    service.client("ssm").create_document(Name=name, Content=json.dumps(content), DocumentType="Command")


def test_a_document_of_the_users_own_runs_with_its_parameters(service: Service) -> None:
    create(service)
    command_id = send(service, DocumentName="Own", Parameters={"Data": ["hello"]})
    answer = finished(service, command_id)
    assert (answer["Status"], answer["DocumentName"], answer["PluginName"]) == ("Success", "Own", "Say")
    _, args = service.instances.calls[0]
    assert args["parameters"]["commands"] == ["echo 'hello'", "exit 1"]
    assert args["parameters"]["executionTimeout"] == ["90"]
    with pytest.raises(ClientError) as error:
        service.client("ssm").get_command_invocation(
            CommandId=command_id, InstanceId=WEB, PluginName="aws:runShellScript"
        )
    assert code(error) == "InvalidPluginName"


@pytest.mark.parametrize(
    "parameters", [{}, {"Data": ["Hello"]}, {"Data": ["a", "b"]}, {"Data": ["a"], "Other": ["b"]}, {"commands": ["id"]}]
)
def test_parameters_that_the_document_does_not_allow(service: Service, parameters: dict[str, list[str]]) -> None:
    create(service)
    with pytest.raises(ClientError) as error:
        send(service, DocumentName="Own", Parameters=parameters)
    assert code(error) == "InvalidParameters"
    assert service.instances.calls == []


@pytest.mark.parametrize(
    "change",
    [
        {"schemaVersion": "1.0"},
        {"mainSteps": []},
        {"mainSteps": [{"action": "aws:runDocument", "name": "Say", "inputs": {"runCommand": ["id"]}}]},
        {"parameters": {}},
    ],
)
def test_a_command_document_that_is_none(service: Service, change: dict[str, Any]) -> None:
    with pytest.raises(ClientError) as error:
        create(service, {**OWN, **change})
    assert code(error) == "InvalidDocumentContent"


def test_documents_of_one_kind_are_not_of_the_other(service: Service) -> None:
    create(service)
    with pytest.raises(ClientError) as error:
        service.client("ssm").start_session(Target=WEB, DocumentName="Own", Parameters={"Data": ["a"]})
    assert code(error) == "InvalidDocument"
    with pytest.raises(ClientError) as error:
        send(service, DocumentName="AWS-StartSSHSession", Parameters={})
    assert code(error) == "InvalidDocument"


def test_an_identity_that_may_run_only_one_document(service: Service) -> None:
    create(service, name="SsmSsh-PushKey")
    client = service.client("ssm", "own-document")
    client.send_command(InstanceIds=[WEB], DocumentName="SsmSsh-PushKey", Parameters={"Data": ["a"]})
    with pytest.raises(ClientError) as error:
        client.send_command(**RUN, InstanceIds=[WEB])
    assert code(error) == "AccessDeniedException"
    assert "document/AWS-RunShellScript" in message(error)
