"""IAM through botocore: the role of an instance, and the simulation of policies."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from ssm_ssh.lab.cloud.faults import FAULTS
from tests.lab.api.conftest import WEB, Service, code

NAME = "SSMInstanceProfile"
START = "ssm:StartSession"


def test_a_profile_leads_to_its_role_and_policies(service: Service) -> None:
    client = service.client("iam")
    [role] = client.get_instance_profile(InstanceProfileName=NAME)["InstanceProfile"]["Roles"]
    assert role == client.get_role(RoleName=role["RoleName"])["Role"]
    assert role["AssumeRolePolicyDocument"]["Statement"][0]["Principal"] == {"Service": "ec2.amazonaws.com"}
    [attached] = client.list_attached_role_policies(RoleName=NAME)["AttachedPolicies"]
    assert attached["PolicyArn"] == "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore"
    version = client.get_policy(PolicyArn=attached["PolicyArn"])["Policy"]["DefaultVersionId"]
    document = client.get_policy_version(PolicyArn=attached["PolicyArn"], VersionId=version)["PolicyVersion"][
        "Document"
    ]
    assert "ssmmessages:OpenControlChannel" in document["Statement"][0]["Action"]
    [inline] = client.list_role_policies(RoleName=NAME)["PolicyNames"]
    document = client.get_role_policy(RoleName=NAME, PolicyName=inline)["PolicyDocument"]
    assert document["Statement"][0]["Action"] == ["kms:Decrypt", "logs:DescribeLogGroups"]


@pytest.mark.parametrize(
    ("operation", "arguments"),
    [
        ("get_instance_profile", {"InstanceProfileName": "x"}),
        ("get_role", {"RoleName": "x"}),
        ("get_role_policy", {"RoleName": NAME, "PolicyName": "x"}),
        ("get_policy", {"PolicyArn": "arn:aws:iam::aws:policy/None"}),
        (
            "get_policy_version",
            {"PolicyArn": "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore", "VersionId": "v2"},
        ),
        ("simulate_principal_policy", {"PolicySourceArn": "arn:aws:iam::1:role/x", "ActionNames": [START]}),
    ],
)
def test_what_does_not_exist(service: Service, operation: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(ClientError) as error:
        getattr(service.client("iam"), operation)(**arguments)
    assert code(error) == "NoSuchEntity"


def decisions(service: Service, arn: str, *actions: str, **more: Any) -> dict[str, str]:  # noqa: ANN401
    answer = service.client("iam").simulate_principal_policy(PolicySourceArn=arn, ActionNames=list(actions), **more)
    return {item["EvalActionName"]: item["EvalDecision"] for item in answer["EvaluationResults"]}


@pytest.mark.parametrize(
    ("name", "action", "wanted"),
    [
        ("admin", START, "allowed"),
        ("no-eic", "ec2-instance-connect:SendSSHPublicKey", "explicitDeny"),
        ("no-start", START, "implicitDeny"),
    ],
)
def test_people_are_simulated(service: Service, name: str, action: str, wanted: str) -> None:
    arn = service.state.identity(name).arn
    entry = {"ContextKeyName": "ec2:osuser", "ContextKeyType": "string", "ContextKeyValues": ["ec2-user"]}
    assert decisions(service, arn, action, ContextEntries=[entry]) == {action: wanted}


def test_a_role_of_people_is_simulated_by_the_role_not_by_the_session(service: Service) -> None:
    arn = service.state.identity("temporary").arn
    with pytest.raises(ClientError) as error:
        decisions(service, arn, START)
    assert code(error) == "InvalidInput"
    assert decisions(service, f"arn:aws:iam::{service.state.account}:role/Operator", START) == {START: "allowed"}


def test_the_role_of_an_instance_is_simulated(service: Service) -> None:
    role = service.state.instances[WEB].site.role
    actions = ("ssmmessages:CreateControlChannel", "ssm:SendCommand")
    assert list(decisions(service, role.arn, *actions).values()) == ["allowed", "implicitDeny"]
    service.call(lambda: FAULTS["role_lacks_actions"].change(service.state.instances[WEB].site))
    assert list(decisions(service, role.arn, *actions).values()) == ["implicitDeny", "implicitDeny"]


def test_a_simulation_sees_identity_based_policies_only(service: Service) -> None:
    arn = service.state.identity("admin").arn
    for policy, wanted in (("session policy", "allowed"), ("identity-based policy", "implicitDeny")):
        service.call(lambda policy=policy: service.faults.deny(action=START, policy=policy))
        assert decisions(service, arn, START) == {START: wanted}
