from __future__ import annotations

from typing import TYPE_CHECKING

import botocore.session
import pytest
from botocore.validate import ParamValidator
from hypothesis import given
from hypothesis import strategies as st

from ssm_ssh.aws.services.instance_connect import push_key, push_payload
from ssm_ssh.errors import AccessDenied, AwsError, UsageError
from ssm_ssh.target import Target, parse_target

if TYPE_CHECKING:
    from conftest import Calls, FakeAws

MODEL = botocore.session.Session().get_service_model("ec2-instance-connect")
SHAPE = MODEL.operation_model("SendSSHPublicKey").input_shape
KEY = "ssh-ed25519 " + "A" * 68


def test_push(calls: Calls, aws: FakeAws, answer: object, target: Target) -> None:
    aws.answers = [answer(200, {"RequestId": "r", "Success": True})]
    push_key(calls.api, target, "ec2-user", KEY + "\n")
    request = aws.requests[0]
    assert request.headers["x-amz-target"] == "AWSEC2InstanceConnectService.SendSSHPublicKey"
    assert request.payload == {
        "InstanceId": "i-0123456789abcdef0",
        "InstanceOSUser": "ec2-user",
        "SSHPublicKey": KEY,
    }
    assert not ParamValidator().validate(request.payload, SHAPE).has_errors()
    assert "/ec2-instance-connect/aws4_request" in request.headers["authorization"]


@pytest.mark.parametrize("success", [False, None, "true"])
def test_not_taken(calls: Calls, aws: FakeAws, answer: object, target: Target, success: object) -> None:
    aws.answers = [answer(200, {"Success": success})]
    with pytest.raises(AwsError, match="did not accept the key"):
        push_key(calls.api, target, "ec2-user", KEY)


def test_denied(calls: Calls, aws: FakeAws, refuse: object, target: Target) -> None:
    aws.answers = [
        refuse(
            "AccessDeniedException", "User: x is not authorized to perform: ec2-instance-connect:SendSSHPublicKey on y"
        )
    ]
    with pytest.raises(AccessDenied, match="ec2-instance-connect:SendSSHPublicKey"):
        push_key(calls.api, target, "ec2-user", KEY)


@pytest.mark.parametrize(("length", "fits"), [(79, False), (80, True), (4096, True), (4097, False)])
def test_length_of_the_key(target: Target, length: int, fits: bool) -> None:
    key = "ssh-rsa ".ljust(length, "A")
    if fits:
        assert push_payload(target, "ec2-user", key)["SSHPublicKey"] == key
    else:
        with pytest.raises(UsageError, match=f"has {length} characters"):
            push_payload(target, "ec2-user", key)


def test_one_line(target: Target) -> None:
    with pytest.raises(UsageError, match="more than one line"):
        push_payload(target, "ec2-user", KEY + "\n" + KEY)


def test_managed_nodes() -> None:
    with pytest.raises(UsageError, match="does not support mi-"):
        push_payload(parse_target("mi-0123456789abcdef0"), "root", KEY)


@pytest.mark.parametrize("user", ["u" * 33, "user+x", "1", "-x", "a b"])
def test_users_that_the_service_refuses(user: str) -> None:
    with pytest.raises(UsageError, match="does not accept the user name"):
        push_payload(Target("i-0123456789abcdef0"), user, KEY)


@given(user=st.from_regex(r"[A-Za-z0-9_@.$-]{1,33}", fullmatch=True))
def test_users_are_those_of_the_model(user: str) -> None:
    import re

    pattern = SHAPE.members["InstanceOSUser"].metadata["pattern"]
    allowed = len(user) <= 32 and re.search(pattern, user) is not None
    try:
        push_payload(Target("i-0123456789abcdef0"), user, KEY)
    except UsageError:
        assert not allowed
    else:
        assert allowed
