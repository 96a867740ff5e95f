"""Session documents and the account's preferences, through a real client."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from ssm_ssh.lab.api.documents import DEFAULT, INTERACTIVE, NON_INTERACTIVE
from tests.lab.api.conftest import WEB, Service


def refusal(service: Service, document: str, **parameters: list[str]) -> tuple[str, str]:
    """Start a session that is refused; return code and message."""
    with pytest.raises(ClientError) as error:
        service.client("ssm").start_session(Target=WEB, DocumentName=document, Parameters=parameters)
    details = error.value.response["Error"]
    return details["Code"], details["Message"]


def job(service: Service) -> dict[str, Any]:
    """Return the document that the agent got with the last session."""
    return service.gateway.opened[-1][1]


def test_commands_are_passed_to_the_agent_with_their_document(service: Service) -> None:
    for document, kind in ((INTERACTIVE, "InteractiveCommands"), (NON_INTERACTIVE, "NonInteractiveCommands")):
        service.client("ssm").start_session(Target=WEB, DocumentName=document, Parameters={"command": ["id"]})
        assert job(service)["sessionType"] == kind
        assert job(service)["properties"]["linux"]["commands"] == "{{command}}"
        assert service.gateway.opened[-1][0].parameters == {"command": ["id"]}


def test_a_command_is_required(service: Service) -> None:
    assert refusal(service, INTERACTIVE)[0] == "InvalidParameters"


def test_refusals_name_the_parameter_its_value_and_what_is_allowed(service: Service) -> None:
    assert refusal(service, NON_INTERACTIVE, command=["id"], separateOutputStream=["yes"]) == (
        "InvalidParameters",
        'Parameter "separateOutputStream" has value "yes" not found in [true, false].',
    )
    assert refusal(service, NON_INTERACTIVE, command=["id"], stdoutSeparatorPrefix=["a b"]) == (
        "InvalidParameters",
        'Parameter "stdoutSeparatorPrefix" has value "a b" not matching "^[0-9a-zA-Z\\r\\n_:-]{0,30}$".',
    )


def test_a_command_document_starts_no_session(service: Service) -> None:
    content = {
        "schemaVersion": "2.2",
        "mainSteps": [{"action": "aws:runShellScript", "name": "x", "inputs": {"runCommand": ["id"]}}],
    }
    service.client("ssm").create_document(Name="My-Command", Content=json.dumps(content), DocumentType="Command")
    assert refusal(service, "My-Command") == (
        "InvalidDocument",
        "Document type: 'Command' is not supported. Only type: 'Session' is supported for Session Manager.",
    )


@pytest.mark.parametrize("document", [DEFAULT, INTERACTIVE, NON_INTERACTIVE])
def test_each_document_can_be_missing_or_denied(service: Service, document: str) -> None:
    service.call(lambda: service.faults.fault("document", document=document))
    assert refusal(service, document, command=["id"]) == (
        "InvalidDocument",
        f"Document with name {document} does not exist.",
    )
    service.call(service.faults.clear)
    service.call(lambda: service.faults.fault("document", document=document, how="denied"))
    code, message = refusal(service, document, command=["id"])
    assert code == "AccessDeniedException"
    assert f"document/{document} because no identity-based policy allows the ssm:StartSession action" in message


def test_a_document_can_be_an_early_one(service: Service) -> None:
    service.call(lambda: service.faults.fault("document", document=NON_INTERACTIVE, how="plain"))
    assert refusal(service, NON_INTERACTIVE, command=["id"], separateOutputStream=["true"])[0] == "InvalidParameters"
    service.client("ssm").start_session(Target=WEB, DocumentName=NON_INTERACTIVE, Parameters={"command": ["id"]})


def test_the_accounts_preferences_apply_to_awss_documents(service: Service) -> None:
    client = service.client("ssm")
    content = json.loads(client.get_document(Name=DEFAULT)["Content"])
    content["inputs"] |= {"runAsEnabled": True, "runAsDefaultUser": "ec2-user", "idleSessionTimeout": "5"}
    client.update_document(Name=DEFAULT, Content=json.dumps(content), DocumentVersion="$LATEST")
    assert json.loads(client.get_document(Name=DEFAULT)["Content"]) == content
    for document in (DEFAULT, INTERACTIVE, "AWS-StartSSHSession"):
        parameters = {"command": ["id"]} if document == INTERACTIVE else {}
        client.start_session(Target=WEB, DocumentName=document, Parameters=parameters)
        assert job(service)["inputs"]["runAsDefaultUser"] == "ec2-user"


def test_a_users_document_has_inputs_of_its_own(service: Service) -> None:
    client = service.client("ssm")
    content = {"schemaVersion": "1.0", "sessionType": "Standard_Stream", "inputs": {"kmsKeyId": "k"}}
    client.create_document(Name="My-Shell", Content=json.dumps(content), DocumentType="Session")
    client.start_session(Target=WEB, DocumentName="My-Shell")
    assert job(service)["inputs"] == {"kmsKeyId": "k"}
    client.update_document(Name="My-Shell", Content=json.dumps({**content, "inputs": {}}))
    client.start_session(Target=WEB, DocumentName="My-Shell")
    assert job(service)["inputs"] == {}


@pytest.mark.parametrize("inputs", [{"idleSessionTimeout": "61"}, {"maxSessionDuration": "1.5"}, {"runAs": True}])
def test_preferences_that_aws_would_refuse(service: Service, inputs: dict[str, object]) -> None:
    content = {"schemaVersion": "1.0", "sessionType": "Standard_Stream", "inputs": inputs}
    with pytest.raises(ClientError) as error:
        service.client("ssm").update_document(Name=DEFAULT, Content=json.dumps(content))
    assert error.value.response["Error"]["Code"] == "InvalidDocumentContent"


def test_awss_documents_cannot_be_changed(service: Service) -> None:
    with pytest.raises(ClientError) as error:
        service.client("ssm").update_document(Name=INTERACTIVE, Content="{}")
    assert error.value.response["Error"]["Code"] == "InvalidDocumentOperation"


def test_the_parameter_store_keeps_strings(service: Service) -> None:
    client = service.client("ssm")
    client.put_parameter(Name="/a/b", Value="1", Type="String")
    assert client.get_parameter(Name="/a/b")["Parameter"]["Value"] == "1"
    found = client.get_parameters(Names=["/a/b", "c"])
    assert [parameter["Value"] for parameter in found["Parameters"]] == ["1"]
    assert found["InvalidParameters"] == ["c"]
    with pytest.raises(ClientError) as error:
        client.put_parameter(Name="/a/b", Value="2", Type="String")
    assert error.value.response["Error"]["Code"] == "ParameterAlreadyExists"
    client.put_parameter(Name="/a/b", Value="2", Type="String", Overwrite=True)
    assert client.get_parameter(Name="/a/b")["Parameter"]["Value"] == "2"
    with pytest.raises(ClientError) as error:
        client.get_parameter(Name="c")
    assert error.value.response["Error"]["Code"] == "ParameterNotFound"
