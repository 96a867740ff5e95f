from __future__ import annotations

import urllib.parse
from typing import TYPE_CHECKING

import botocore.parsers
import botocore.serialize
import botocore.session
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssm_ssh.aws.api import ec2_query
from ssm_ssh.errors import AccessDenied, AwsError, ProtocolError, TargetMissing, Throttled

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Calls, FakeAws

NAMESPACE = 'xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"'


@pytest.fixture(scope="module")
def model() -> botocore.model.ServiceModel:
    return botocore.session.Session().get_service_model("ec2")


def test_the_form_is_the_one_that_botocore_sends(model: botocore.model.ServiceModel) -> None:
    operation = model.operation_model("DescribeInstances")
    serializer = botocore.serialize.create_serializer(model.metadata["protocol"])
    filters = [{"Name": "instance-state-name", "Values": ["running", "ä & b"]}]
    theirs = serializer.serialize_to_request({"InstanceIds": ["i-1", "i-2"], "Filters": filters}, operation)["body"]
    ours = ec2_query.encode(
        "DescribeInstances",
        {"InstanceId": ["i-1", "i-2"], "Filter": [{"Name": "instance-state-name", "Value": ["running", "ä & b"]}]},
    )
    assert dict(urllib.parse.parse_qsl(ours.decode())) == theirs


def test_booleans_are_in_lower_case() -> None:
    assert b"Latest=true" in ec2_query.encode("GetConsoleOutput", {"Latest": True})


def test_an_answer_is_read_as_structures_lists_and_text() -> None:
    body = f"""<?xml version="1.0" encoding="UTF-8"?>
<DescribeInstancesResponse {NAMESPACE}><requestId>r</requestId><reservationSet>
 <item><instancesSet><item><instanceId>i-1</instanceId><tagSet><item><key>Name</key><value>w</value></item></tagSet>
 </item></instancesSet><groupSet/></item></reservationSet><nextToken/></DescribeInstancesResponse>"""
    instance = {"instanceId": "i-1", "tagSet": [{"key": "Name", "value": "w"}]}
    assert ec2_query.decode(body.encode()) == {
        "requestId": "r",
        "reservationSet": [{"instancesSet": [instance], "groupSet": []}],
        "nextToken": "",
    }


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"<a>",
        b"<a>text</a>",
        b"\xff\xfe<\0a\0/\0>\0",
        b'<!DOCTYPE a [<!ENTITY e "x">]><a><b>&e;</b></a>',
        b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><a><b/></a>',
        b"<a><b>&e;</b></a>",
        b"<a>" * 100 + b"</a>" * 100,
        b"<a>" * 100_000 + b"</a>" * 100_000,
    ],
)
def test_what_ec2_never_sends_is_not_read(body: bytes) -> None:
    assert ec2_query.decode(body) is None
    assert ec2_query.error(body) == ("", "")


@given(st.binary(max_size=200) | st.text().map(str.encode))
def test_any_bytes_are_an_answer_or_none(body: bytes) -> None:
    assert isinstance(ec2_query.decode(body), dict | None)
    ec2_query.error(body)


def failure(code: str, message: str = "") -> bytes:
    inner = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    return f"<Response><Errors>{inner}</Errors><RequestID>r</RequestID></Response>".encode()


def test_a_call_is_a_signed_form(calls: Calls, aws: FakeAws, answer: Callable[..., bytes]) -> None:
    aws.answers = [answer(200, f"<R {NAMESPACE}><requestId>r</requestId><output>eA==</output></R>".encode())]
    found = calls.api.call("ec2", "GetConsoleOutput", {"InstanceId": "i-1"})
    assert found == {"requestId": "r", "output": "eA=="}
    (request,) = aws.requests
    assert request.body == b"Action=GetConsoleOutput&Version=2016-11-15&InstanceId=i-1"
    assert request.headers["content-type"].startswith("application/x-www-form-urlencoded")
    assert "x-amz-target" not in request.headers
    assert "/eu-central-1/ec2/aws4_request" in request.headers["authorization"]


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (("UnauthorizedOperation", 403), AccessDenied),
        (("RequestLimitExceeded", 503), Throttled),
        (("InvalidInstanceID.NotFound", 400), TargetMissing),
        (("InvalidInstanceID.Malformed", 400), TargetMissing),
        (("SomethingNew", 400), AwsError),
    ],
)
def test_errors_are_those_of_the_other_services(
    calls: Calls, aws: FakeAws, answer: Callable[..., bytes], said: tuple[str, int], kind: type[AwsError]
) -> None:
    code, status = said
    aws.answers = [answer(status, failure(code, "no"))] * 3
    with pytest.raises(kind) as caught:
        calls.api.call("ec2", "GetConsoleOutput", {"InstanceId": "i-1"}, target="i-1")
    assert caught.value.code == code


def test_the_denied_action_is_named(calls: Calls, aws: FakeAws, answer: Callable[..., bytes]) -> None:
    said = (
        "You are not authorized to perform this operation. User: arn:aws:iam::1:user/x is not authorized to perform: "
        "ec2:GetConsoleOutput on resource: arn:aws:ec2:r:1:instance/i-1 because no identity-based policy allows it"
    )
    aws.answers = [answer(403, failure("UnauthorizedOperation", said))]
    with pytest.raises(AccessDenied, match="ec2:GetConsoleOutput is not allowed on arn:aws:ec2:r:1:instance/i-1"):
        calls.api.call("ec2", "GetConsoleOutput", {"InstanceId": "i-1"})


def test_an_answer_that_is_not_xml_is_an_error(calls: Calls, aws: FakeAws, answer: Callable[..., bytes]) -> None:
    aws.answers = [answer(200, b"{}")]
    with pytest.raises(ProtocolError, match="not XML"):
        calls.api.call("ec2", "GetConsoleOutput", {"InstanceId": "i-1"})


def test_what_xml_cannot_say_spoils_nothing_else() -> None:
    body = "<R><a>x\x1b[2J\x00\uffff</a><b>&#27;&#x1B;&#xD800;&#999999999;&#65;&#x41;&#10;&amp;</b></R>"
    assert ec2_query.decode(body.encode()) == {"a": "x\ufffd[2J\ufffd\ufffd", "b": "\ufffd" * 4 + "AA\n&"}
