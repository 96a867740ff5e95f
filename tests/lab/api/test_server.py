"""What all services share: who calls, may they, is the input right, and what is written down."""

from __future__ import annotations

import ssl
import time
import urllib.error
import urllib.request
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError, SSLError

from tests.lab.api.conftest import WEB, Service, code, message


def errors(service: Service, **changes: Any) -> list[tuple[str, int]]:  # noqa: ANN401 - arguments of create_client
    """Code and status of one call of each protocol."""
    out = []
    for name, call in (
        ("ssm", "describe_instance_information"),
        ("ec2", "describe_instances"),
        ("sts", "get_caller_identity"),
    ):
        with pytest.raises(ClientError) as error:
            getattr(service.client(name, **changes), call)()
        out.append((code(error), error.value.response["ResponseMetadata"]["HTTPStatusCode"]))
    return out


def test_a_wrong_secret(service: Service) -> None:
    assert errors(service, aws_secret_access_key="wrong") == [
        ("InvalidSignatureException", 400),
        ("AuthFailure", 401),
        ("SignatureDoesNotMatch", 403),
    ]


def test_an_unknown_key(service: Service) -> None:
    assert errors(service, aws_access_key_id="AKIAAAAAAAAAAAAAAAAA") == [
        ("UnrecognizedClientException", 400),
        ("AuthFailure", 401),
        ("InvalidClientTokenId", 403),
    ]


def test_expired_credentials(service: Service) -> None:
    assert errors(service, identity="expired") == [
        ("ExpiredTokenException", 400),
        ("RequestExpired", 400),
        ("ExpiredToken", 403),
    ]


def test_temporary_credentials(service: Service) -> None:
    assert service.client("sts", "temporary").get_caller_identity()["Arn"].endswith("assumed-role/Operator/temporary")


def test_another_region(service: Service) -> None:
    assert [one for one, _ in errors(service, region_name="us-east-1")] == [
        "InvalidSignatureException",
        "AuthFailure",
        "SignatureDoesNotMatch",
    ]


def test_a_clock_that_is_off(service: Service) -> None:
    service.clock.offset = 600.0
    with pytest.raises(ClientError) as error:
        service.client("ssm").describe_instance_information()
    assert code(error) == "InvalidSignatureException"
    assert message(error).startswith("Signature expired: ")


def test_each_answer_tells_the_time_of_the_service(service: Service) -> None:
    answer = service.client("ssm").describe_instance_information()
    told = parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"]).timestamp()
    assert abs(told - time.time()) < 60


def test_unsigned_requests_get_nothing(service: Service) -> None:
    context = ssl.create_default_context(cafile=str(service.ca_file))
    for target in ("AmazonSSM.DescribeInstanceInformation", "AmazonSSM.NoSuchThing", "TrentService.Decrypt"):
        request = urllib.request.Request(
            f"https://127.0.0.1:{service.port}/", b"{}", {"X-Amz-Target": target}, method="POST"
        )
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(request, context=context)
        with caught.value as answer:
            assert answer.status == 400
            assert b"MissingAuthenticationTokenException" in answer.read()
    assert service.instances.calls == []


def test_the_certificate_is_not_one_that_others_trust(service: Service) -> None:
    with pytest.raises(SSLError):
        service.client("sts", verify=True).get_caller_identity()


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_the_certificate_has_the_names_of_loopback(service: Service, host: str) -> None:
    client = service.client("sts", endpoint_url=f"https://{host}:{service.port}")
    assert client.get_caller_identity()["Account"] == service.state.account


def test_a_denied_call_says_so_as_aws_does(service: Service) -> None:
    who = service.state.identity("no-start")
    with pytest.raises(ClientError) as error:
        service.client("ssm", "no-start").start_session(Target=WEB)
    assert message(error) == (
        f"User: {who.arn} is not authorized to perform: ssm:StartSession on resource: "
        f"arn:aws:ec2:eu-central-1:{service.state.account}:instance/{WEB} "
        "because no identity-based policy allows the ssm:StartSession action"
    )


def test_an_agent_has_no_rights_of_a_user(service: Service) -> None:
    with pytest.raises(ClientError) as error:
        service.client("ssm", f"agent:{WEB}").start_session(Target=WEB)
    assert code(error) == "AccessDeniedException"


def test_all_violations_are_named(service: Service) -> None:
    with pytest.raises(ClientError) as error:
        service.client("ssm").start_session(DocumentName="a b", Target="x" * 401, Reason="")
    assert code(error) == "ValidationException"
    assert message(error).startswith("4 validation errors detected: ")
    assert "at 'target' failed to satisfy constraint: Member must have length less than or equal to 400" in message(
        error
    )
    with pytest.raises(ClientError) as error:
        service.client("ssm").start_session(DocumentName="AWS-StartSSHSession")
    assert message(error) == (
        "1 validation error detected: Value null at 'target' failed to satisfy constraint: Member must not be null"
    )


def post(service: Service, body: bytes, headers: dict[str, str], name: str = "ssm") -> tuple[int, bytes]:
    who = service.state.identity("admin")
    request = AWSRequest("POST", f"https://127.0.0.1:{service.port}/", data=body, headers=headers)
    SigV4Auth(Credentials(who.access_key, who.secret_key), name, "eu-central-1").add_auth(request)
    plain = urllib.request.Request(request.url, body, dict(request.headers.items()), method="POST")
    try:
        context = ssl.create_default_context(cafile=str(service.ca_file))
        with urllib.request.urlopen(plain, context=context) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


@pytest.mark.parametrize("body", [b"{", b"[]", b'"x"', b'{"Target": 7}', b"[" * 100_000, b"\xff"])
def test_what_is_no_input_is_refused(service: Service, body: bytes) -> None:
    status, text = post(service, body, {"X-Amz-Target": "AmazonSSM.StartSession"})
    assert status == 400
    assert b"SerializationException" in text


@pytest.mark.parametrize("target", ["AmazonSSM.Nothing", "Nobody.StartSession", "x"])
def test_an_unknown_operation(service: Service, target: str) -> None:
    status, text = post(service, b"{}", {"X-Amz-Target": target})
    assert status == 400
    assert b"UnknownOperationException" in text


def test_an_unknown_operation_of_ec2(service: Service) -> None:
    body = b"Action=TerminateInstances&Version=2016-11-15"
    status, text = post(service, body, {"Content-Type": "application/x-www-form-urlencoded"}, "ec2")
    assert status == 400
    assert b"<Code>InvalidAction</Code>" in text


def test_an_agents_own_calls_are_answered(service: Service) -> None:
    assert post(service, b"{}", {"X-Amz-Target": "AmazonSSM.UpdateInstanceInformation"}) == (200, b"{}")


def test_calls_are_written_down_without_secrets(service: Service) -> None:
    who = service.state.identity("admin")
    service.client("ssm").start_session(Target=WEB, DocumentName="AWS-StartSSHSession")
    with pytest.raises(ClientError):
        service.client("ssm", aws_secret_access_key="wrong").terminate_session(SessionId="a")
    first, second = service.state.calls()
    assert (first.service, first.operation, first.status, first.error) == ("ssm", "StartSession", 200, "")
    assert first.parameters == {"Target": WEB, "DocumentName": "AWS-StartSSHSession"}
    assert first.access_key == who.access_key
    assert (second.operation, second.status, second.error) == ("TerminateSession", 400, "InvalidSignatureException")
    assert second.access_key == ""
    assert service.state.calls("StartSession") == [first]
    assert who.secret_key not in repr(service.state.identities) + repr(service.state.calls())


class Trouble:
    def __init__(self, status: int, code: str, delay: float = 0.0) -> None:
        self.status, self.code, self.message, self.delay = status, code, "Rate exceeded", delay
        self.drip = 0.0


def test_faults_are_worded_as_by_each_service(service: Service) -> None:
    service.fault = Trouble(400, "ThrottlingException")
    assert [one for one, _ in errors(service)] == ["ThrottlingException", "RequestLimitExceeded", "Throttling"]
    service.fault = Trouble(0, "", 0.001)
    assert service.client("sts").get_caller_identity()["Account"] == service.state.account


def test_a_bug_is_an_internal_error(service: Service, capfd: pytest.CaptureFixture[str]) -> None:
    service.instances.answers.clear()
    with pytest.raises(ClientError) as error:
        service.client("ec2").get_console_output(InstanceId=WEB)
    assert code(error) == "InternalServerError"
    assert "KeyError" in capfd.readouterr().err


def test_data_keys_are_bound_to_their_context(service: Service) -> None:
    client = service.client("kms")
    context = {"aws:ssm:SessionId": "s", "aws:ssm:TargetId": WEB}
    made = client.generate_data_key(KeyId="alias/lab", NumberOfBytes=64, EncryptionContext=context)
    assert len(made["Plaintext"]) == 64
    sealed = made["CiphertextBlob"]
    assert client.decrypt(CiphertextBlob=sealed, EncryptionContext=context)["Plaintext"] == made["Plaintext"]
    for wrong in ({}, {**context, "aws:ssm:SessionId": "t"}):
        with pytest.raises(ClientError) as error:
            client.decrypt(CiphertextBlob=sealed, EncryptionContext=wrong)
        assert code(error) == "InvalidCiphertextException"
    with pytest.raises(ClientError) as error:
        client.generate_data_key(KeyId="alias/other", NumberOfBytes=64)
    assert code(error) == "NotFoundException"
