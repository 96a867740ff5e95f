"""EC2 and EC2 Instance Connect, through real clients."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from botocore.exceptions import ClientError
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from ssm_ssh.lab.wire.rpc import CallFailed
from tests.lab.api.conftest import EDGE, OFF, STOPPED, WEB, Service, code, message


def openssh(key: Any) -> str:  # noqa: ANN401 - any public key
    line: bytes = key.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return line.decode()


KEY = openssh(ed25519.Ed25519PrivateKey.generate().public_key())


def push(service: Service, identity: str = "admin", **changes: str) -> Any:  # noqa: ANN401 - a client's answer
    arguments = {"InstanceId": WEB, "InstanceOSUser": "ec2-user", "SSHPublicKey": KEY, **changes}
    return service.client("ec2-instance-connect", identity).send_ssh_public_key(**arguments)


def test_a_key_is_pushed(service: Service) -> None:
    answer = push(service, SSHPublicKey=f"{KEY} a comment\n")
    assert answer["Success"] is True
    assert service.instances.calls == [
        ("push_key", {"instance_id": WEB, "user": "ec2-user", "public_key": f"{KEY} a comment"})
    ]


def test_managed_nodes_are_refused_by_the_form_of_their_id(service: Service) -> None:
    with pytest.raises(ClientError) as error:
        push(service, InstanceId=EDGE)
    assert code(error) == "InvalidArgsException"
    assert message(error) == (
        f"1 validation error detected: Value '{EDGE}' at 'instanceId' failed to satisfy constraint: "
        "Member must satisfy regular expression pattern: ^i-[a-f0-9]+$"
    )


@pytest.mark.parametrize(
    ("instance_id", "expected"),
    [("i-0fffffffffffffffe", "EC2InstanceNotFoundException"), (STOPPED, "EC2InstanceStateInvalidException")],
)
def test_instances_that_take_no_key(service: Service, instance_id: str, expected: str) -> None:
    with pytest.raises(ClientError) as error:
        push(service, InstanceId=instance_id)
    assert code(error) == expected


def test_an_agent_is_not_needed(service: Service) -> None:
    assert push(service, InstanceId=OFF)["Success"] is True


@pytest.mark.parametrize(
    "key",
    [
        "x" * 100,
        "ssh-ed25519 " + "A" * 90,
        "ssh-rsa " + KEY.split()[1] + " padding to eighty characters",
        KEY + "\nssh-ed25519 " + KEY.split()[1],
        openssh(ec.generate_private_key(ec.SECP256R1()).public_key()),
    ],
    ids=["letters", "no-blob", "other-type", "two-lines", "ecdsa"],
)
def test_what_is_no_key_is_refused(service: Service, key: str) -> None:
    with pytest.raises(ClientError) as error:
        push(service, SSHPublicKey=key)
    assert code(error) == "InvalidArgsException"
    assert message(error).endswith("SSH Public key is invalid")


@pytest.mark.parametrize("user", ["", "-x", "a" * 33, "a b"])
def test_what_is_no_user_is_refused(service: Service, user: str) -> None:
    with pytest.raises(ClientError) as error:
        push(service, InstanceOSUser=user)
    assert code(error) == "InvalidArgsException"


def test_a_policy_may_allow_one_user(service: Service) -> None:
    push(service, "one-user")
    with pytest.raises(ClientError) as error:
        push(service, "one-user", InstanceOSUser="root")
    assert code(error) == "AccessDeniedException"


def test_a_denied_push_names_action_and_instance(service: Service) -> None:
    who = service.state.identity("no-eic")
    with pytest.raises(ClientError) as error:
        push(service, "no-eic")
    assert message(error) == (
        f"User: {who.arn} is not authorized to perform: ec2-instance-connect:SendSSHPublicKey on resource: "
        f"arn:aws:ec2:eu-central-1:{service.state.account}:instance/{WEB} with an explicit deny in an "
        "identity-based policy"
    )


def test_a_failure_of_the_instance_is_passed_on(service: Service) -> None:
    service.instances.failure = CallFailed("EC2InstanceUnavailableException", "not now")
    with pytest.raises(ClientError) as error:
        push(service)
    assert (code(error), message(error)) == ("EC2InstanceUnavailableException", "not now")


def ids(answer: dict[str, Any]) -> list[str]:
    return [one["InstanceId"] for group in answer["Reservations"] for one in group["Instances"]]


def test_instances_are_described(service: Service) -> None:
    client = service.client("ec2")
    answer = client.describe_instances()
    assert ids(answer) == [WEB, OFF, STOPPED]
    web = answer["Reservations"][0]["Instances"][0]
    assert web["State"] == {"Code": 16, "Name": "running"}
    assert web["Tags"] == [{"Key": "Name", "Value": "web"}]
    assert web["LaunchTime"].year > 2000
    assert web["Placement"]["AvailabilityZone"] == "eu-central-1a"


@pytest.mark.parametrize(
    ("name", "values", "found"),
    [
        ("tag:Name", ["w*"], [WEB]),
        ("tag:Name", ["we?"], [WEB]),
        ("tag:Name", ["[w]eb"], []),
        ("tag-key", ["Name"], [WEB, OFF, STOPPED]),
        ("instance-state-name", ["stopped"], [STOPPED]),
        ("instance-id", [OFF, EDGE], [OFF]),
        ("private-ip-address", ["10.0.0.4"], [WEB]),
    ],
)
def test_instances_can_be_filtered(service: Service, name: str, values: list[str], found: list[str]) -> None:
    assert ids(service.client("ec2").describe_instances(Filters=[{"Name": name, "Values": values}])) == found


def test_an_unknown_filter(service: Service) -> None:
    with pytest.raises(ClientError) as error:
        service.client("ec2").describe_instances(Filters=[{"Name": "colour", "Values": ["red"]}])
    assert (code(error), message(error)) == ("InvalidParameterValue", "The filter 'colour' is invalid")


def test_instances_by_id_and_in_pages(service: Service) -> None:
    client = service.client("ec2")
    assert ids(client.describe_instances(InstanceIds=[OFF])) == [OFF]
    pages = client.get_paginator("describe_instances").paginate(PaginationConfig={"PageSize": 2})
    assert [ids(page) for page in pages] == [[WEB, OFF], [STOPPED]]
    for wrong, expected in (
        (EDGE, "InvalidInstanceID.Malformed"),
        ("i-0fffffffffffffffe", "InvalidInstanceID.NotFound"),
    ):
        with pytest.raises(ClientError) as error:
            client.describe_instances(InstanceIds=[wrong])
        assert code(error) == expected


def test_the_console_is_base64_and_comes_late(service: Service) -> None:
    client = service.client("ec2")
    answer = client.get_console_output(InstanceId=WEB)
    # botocore decodes it once already.
    assert answer["Output"] in ("login: \ufffd", base64.b64encode(b"login: \xff").decode())
    service.state.options = type(service.state.options)(console_delay=3600.0)
    assert "Output" not in client.get_console_output(InstanceId=WEB)
    with pytest.raises(ClientError) as error:
        service.client("ec2", "no-hostkeys").get_console_output(InstanceId=WEB)
    assert code(error) == "UnauthorizedOperation"
