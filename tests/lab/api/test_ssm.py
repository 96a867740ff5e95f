"""Systems Manager's sessions, instances and documents, through a real client."""

from __future__ import annotations

import json

import pytest
from botocore.exceptions import ClientError

from ssm_ssh.lab.api.documents import DEFAULT
from tests.lab.api.conftest import EDGE, OFF, STOPPED, WEB, Service, code, message

SSH = "AWS-StartSSHSession"


def test_a_session_has_an_id_of_its_owner_a_token_and_a_url(service: Service) -> None:
    answer = service.client("ssm").start_session(
        Target=WEB, DocumentName=SSH, Parameters={"portNumber": ["2222"]}, Reason="because"
    )
    assert answer["SessionId"].startswith("admin-")
    assert len(answer["SessionId"]) == len("admin-") + 26
    assert answer["TokenValue"] == "token-1"
    assert answer["StreamUrl"].startswith(f"wss://127.0.0.1:1/v1/data-channel/{answer['SessionId']}?")
    session, content = service.gateway.opened[0]
    assert (session.target, session.parameters, session.reason) == (WEB, {"portNumber": ["2222"]}, "because")
    assert content["sessionType"] == "Port"
    assert content["properties"] == {"portNumber": "{{ portNumber }}"}


@pytest.mark.parametrize("target", [OFF, STOPPED, "i-0ffffffffffffffff", "nonsense"])
def test_a_target_that_is_not_there_is_not_connected(service: Service, target: str) -> None:
    with pytest.raises(ClientError) as error:
        service.client("ssm").start_session(Target=target, DocumentName=SSH)
    assert code(error) == "TargetNotConnected"
    assert message(error) == f"{target} is not connected."


def test_an_agent_that_leaves_at_the_last_moment_is_not_connected(service: Service) -> None:
    service.gateway.away = True
    with pytest.raises(ClientError) as error:
        service.client("ssm").start_session(Target=WEB, DocumentName=SSH)
    assert code(error) == "TargetNotConnected"
    assert service.state.sessions == {}


def test_no_document_means_a_shell(service: Service) -> None:
    service.client("ssm").start_session(Target=WEB)
    assert service.gateway.opened[0][0].document == DEFAULT


def test_an_unknown_document(service: Service) -> None:
    with pytest.raises(ClientError) as error:
        service.client("ssm").start_session(Target=WEB, DocumentName="My-Document")
    assert code(error) == "InvalidDocument"
    assert message(error) == "Document with name My-Document does not exist."


@pytest.mark.parametrize(
    "parameters",
    [
        {"portNumber": ["x"]},
        {"portNumber": ["65536"]},
        {"portNumber": ["22", "23"]},
        {"portNumber": []},
        {"host": ["a"]},
    ],
)
def test_parameters_are_those_of_the_document(service: Service, parameters: dict[str, list[str]]) -> None:
    with pytest.raises(ClientError) as error:
        service.client("ssm").start_session(Target=WEB, DocumentName=SSH, Parameters=parameters)
    assert code(error) == "InvalidParameters"


def test_a_document_of_the_users_own(service: Service) -> None:
    client = service.client("ssm")
    content = {"schemaVersion": "1.0", "sessionType": "Port", "properties": {"portNumber": "2222"}}
    made = client.create_document(Name="My-SSH", Content=json.dumps(content), DocumentType="Session")
    assert made["DocumentDescription"]["Owner"] == service.state.account
    assert json.loads(client.get_document(Name="My-SSH")["Content"]) == content
    client.start_session(Target=WEB, DocumentName="My-SSH")
    assert service.gateway.opened[0][1] == content
    with pytest.raises(ClientError) as error:
        client.create_document(Name="My-SSH", Content=json.dumps(content), DocumentType="Session")
    assert code(error) == "DocumentAlreadyExists"
    client.delete_document(Name="My-SSH")
    with pytest.raises(ClientError) as error:
        client.describe_document(Name="My-SSH")
    assert code(error) == "InvalidDocument"


@pytest.mark.parametrize("content", ["no json", "[]", "{}", '{"schemaVersion": "1.0", "sessionType": "Other"}'])
def test_a_document_that_is_none(service: Service, content: str) -> None:
    with pytest.raises(ClientError) as error:
        service.client("ssm").create_document(Name="My-SSH", Content=content, DocumentType="Session")
    assert code(error) == "InvalidDocumentContent"


def test_what_aws_says_of_its_document(service: Service) -> None:
    document = service.client("ssm").describe_document(Name=SSH)["Document"]
    assert document["Owner"] == "Amazon"
    assert document["Parameters"][0]["DefaultValue"] == "22"


def test_resume_gives_a_new_token(service: Service) -> None:
    client = service.client("ssm")
    session_id = client.start_session(Target=WEB, DocumentName=SSH)["SessionId"]
    answer = client.resume_session(SessionId=session_id)
    assert (answer["SessionId"], answer["TokenValue"]) == (session_id, "token-2")


def test_resume_of_what_is_over_gives_no_token(service: Service) -> None:
    client = service.client("ssm")
    session_id = client.start_session(Target=WEB, DocumentName=SSH)["SessionId"]
    service.call(lambda: service.state.session_changed(session_id, "Terminated", "idle", ""))
    answer = client.resume_session(SessionId=session_id)
    assert "TokenValue" not in answer
    assert "StreamUrl" not in answer


def test_resume_of_what_never_was(service: Service) -> None:
    with pytest.raises(ClientError) as error:
        service.client("ssm").resume_session(SessionId="admin-0123")
    assert code(error) == "DoesNotExistException"


def test_terminate_ends_a_session_once(service: Service) -> None:
    client = service.client("ssm")
    session_id = client.start_session(Target=WEB, DocumentName=SSH)["SessionId"]
    assert client.terminate_session(SessionId=session_id)["SessionId"] == session_id
    assert service.gateway.terminated == [session_id]
    service.call(lambda: service.state.session_changed(session_id, "Terminated", "api", ""))
    with pytest.raises(ClientError) as error:
        client.terminate_session(SessionId=session_id)
    assert (code(error), message(error)) == ("ValidationException", "Session is not in a valid state")


def test_some_may_end_their_own_sessions_only(service: Service) -> None:
    theirs = service.client("ssm").start_session(Target=WEB, DocumentName=SSH)["SessionId"]
    client = service.client("ssm", "sessions-only")
    own = client.start_session(Target=WEB, DocumentName=SSH)["SessionId"]
    client.resume_session(SessionId=own)
    for call in (client.resume_session, client.terminate_session):
        with pytest.raises(ClientError) as error:
            call(SessionId=theirs)
        assert code(error) == "AccessDeniedException"
    client.terminate_session(SessionId=own)


def test_sessions_are_listed_newest_first_in_pages(service: Service) -> None:
    client = service.client("ssm")
    ids = [client.start_session(Target=WEB, DocumentName=SSH, Reason=f"r{n}")["SessionId"] for n in range(5)]
    pages = client.get_paginator("describe_sessions").paginate(State="Active", PaginationConfig={"PageSize": 2})
    listed = [one for page in pages for one in page["Sessions"]]
    assert [one["SessionId"] for one in listed] == ids[::-1]
    assert listed[0]["Reason"] == "r4"
    assert listed[0]["Status"] == "Connecting"
    service.call(lambda: service.state.session_changed(ids[0], "Terminated", "flag", ""))
    history = client.describe_sessions(State="History")["Sessions"]
    assert [one["SessionId"] for one in history] == [ids[0]]
    assert history[0]["EndDate"] >= history[0]["StartDate"]


def test_sessions_can_be_filtered(service: Service) -> None:
    client = service.client("ssm")
    wanted = client.start_session(Target=EDGE, DocumentName=SSH)["SessionId"]
    client.start_session(Target=WEB, DocumentName=SSH)
    answer = client.describe_sessions(State="Active", Filters=[{"key": "Target", "value": EDGE}])
    assert [one["SessionId"] for one in answer["Sessions"]] == [wanted]
    with pytest.raises(ClientError) as error:
        client.describe_sessions(State="Active", NextToken="AAAA")
    assert code(error) == "InvalidNextToken"


def test_sessions_have_dates_and_an_access_type(service: Service) -> None:
    client = service.client("ssm")
    session_id = client.start_session(Target=WEB, DocumentName=SSH)["SessionId"]
    for key, value, found in (
        ("InvokedAfter", "2020-01-01T00:00:00Z", True),
        ("InvokedBefore", "2020-01-01T00:00:00Z", False),
        ("AccessType", "Standard", True),
        ("AccessType", "JustInTime", False),
        ("SessionId", session_id, True),
        ("Owner", service.state.identity("temporary").arn, False),
    ):
        answer = client.describe_sessions(State="Active", Filters=[{"key": key, "value": value}])
        assert [one["SessionId"] for one in answer["Sessions"]] == [session_id] * found, key
    with pytest.raises(ClientError) as error:
        client.describe_sessions(State="Active", Filters=[{"key": "InvokedAfter", "value": "yesterday"}])
    assert code(error) == "InvalidFilterValue"


def test_connection_status(service: Service) -> None:
    client = service.client("ssm")
    assert client.get_connection_status(Target=WEB)["Status"] == "connected"
    for target in (OFF, "i-0ffffffffffffffff"):
        assert client.get_connection_status(Target=target)["Status"] == "notconnected"


def test_instances_that_were_ever_online_are_listed(service: Service) -> None:
    client = service.client("ssm")
    listed = client.describe_instance_information()["InstanceInformationList"]
    assert [one["InstanceId"] for one in listed] == [WEB, EDGE]
    assert [one["ResourceType"] for one in listed] == ["EC2Instance", "ManagedInstance"]
    assert {one["PingStatus"] for one in listed} == {"Online"}
    service.call(lambda: service.state.agent_gone(WEB))
    lost = client.describe_instance_information(Filters=[{"Key": "PingStatus", "Values": ["ConnectionLost"]}])
    assert [one["InstanceId"] for one in lost["InstanceInformationList"]] == [WEB]


@pytest.mark.parametrize(
    ("name", "filters", "found"),
    [
        ("Filters", [{"Key": "InstanceIds", "Values": [WEB, OFF]}], [WEB]),
        ("Filters", [{"Key": "tag:Name", "Values": ["edge"]}], [EDGE]),
        ("Filters", [{"Key": "tag-key", "Values": ["Name"]}], [WEB, EDGE]),
        ("InstanceInformationFilterList", [{"key": "ResourceType", "valueSet": ["ManagedInstance"]}], [EDGE]),
        ("InstanceInformationFilterList", [{"key": "InstanceIds", "valueSet": ["i-0ffffffffffffffff"]}], []),
    ],
)
def test_instances_can_be_filtered(
    service: Service, name: str, filters: list[dict[str, object]], found: list[str]
) -> None:
    answer = service.client("ssm").describe_instance_information(**{name: filters})
    assert [one["InstanceId"] for one in answer["InstanceInformationList"]] == found


def test_an_unknown_filter(service: Service) -> None:
    with pytest.raises(ClientError) as error:
        service.client("ssm").describe_instance_information(Filters=[{"Key": "Colour", "Values": ["red"]}])
    assert code(error) == "InvalidFilterKey"
