# Over 350 lines: one HTTP server serves every rule of a call.
from __future__ import annotations

import time
from email.utils import formatdate
from typing import TYPE_CHECKING
from unittest import mock

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as TheirCredentials

import ssm_ssh
from ssm_ssh.aws.api.client import Api
from ssm_ssh.aws.config.settings import load
from ssm_ssh.errors import AwsError, CredentialsError, NetworkError, NotTrusted, ProtocolError, Throttled

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Calls, FakeAws, Request


def test_a_call_is_json_1_1_and_signed(calls: Calls, aws: FakeAws, answer: object) -> None:
    aws.answers = [answer(200, {"SessionId": "s"})]
    assert calls.api.call("ssm", "ResumeSession", {"SessionId": "é"}) == {"SessionId": "s"}
    request = aws.requests[0]
    assert request.line == "POST / HTTP/1.1"
    assert request.headers["content-type"] == "application/x-amz-json-1.1"
    assert request.headers["x-amz-target"] == "AmazonSSM.ResumeSession"
    assert request.headers["user-agent"] == f"ssm-ssh/{ssm_ssh.__version__}"
    assert request.headers["host"] == f"127.0.0.1:{aws.port}"
    assert request.payload == {"SessionId": "é"}
    assert request.headers["authorization"] == botocore_signature(request, aws.url, calls.now)


def botocore_signature(request: Request, url: str, now: float) -> str:
    import datetime

    names = ("host", "content-type", "x-amz-target")
    theirs = AWSRequest(
        method="POST", url=url + "/", headers={name: request.headers[name] for name in names}, data=request.body
    )
    when = datetime.datetime.fromtimestamp(now, datetime.timezone.utc).replace(tzinfo=None)
    with mock.patch("botocore.auth.get_current_datetime", return_value=when):
        SigV4Auth(
            TheirCredentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"), "ssm", "eu-central-1"
        ).add_auth(theirs)
    return theirs.headers["Authorization"]


def test_services_have_their_prefixes(calls: Calls, aws: FakeAws) -> None:
    import botocore.session

    session = botocore.session.Session()
    for service in ("ssm", "ec2-instance-connect", "kms"):
        calls.api.call(service, "X", {})
        metadata = session.get_service_model(service).metadata
        assert aws.requests[-1].headers["x-amz-target"] == f"{metadata['targetPrefix']}.X"
        assert metadata["jsonVersion"] == "1.1"


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_server_errors_are_tried_again(calls: Calls, aws: FakeAws, answer: object, status: int) -> None:
    aws.answers = [answer(status, b"<html>"), answer(200, {"ok": 1})]
    assert calls.api.call("ssm", "X", {}) == {"ok": 1}
    assert calls.slept == [0.25]


def test_throttling_is_tried_again_more_slowly(calls: Calls, aws: FakeAws, refuse: object) -> None:
    aws.answers = [refuse("ThrottlingException", "Rate exceeded")] * 3
    with pytest.raises(Throttled) as caught:
        calls.api.call("ssm", "X", {})
    assert calls.slept == [1.0, 2.0]
    assert (caught.value.code, caught.value.operation, caught.value.status) == ("ThrottlingException", "X", 400)


def test_delays_have_full_jitter(env: dict[str, str], aws: FakeAws, refuse: object) -> None:
    slept: list[float] = []
    aws.answers = [refuse("ThrottlingException")] * 3
    fractions = iter([0.0, 0.5])
    api = Api(load(env=env), sleep=slept.append, random=lambda: next(fractions))
    with pytest.raises(Throttled):
        api.call("ssm", "X", {})
    assert slept == [0.0, 1.0]


def test_max_attempts(env: dict[str, str], aws: FakeAws, refuse: object) -> None:
    aws.answers = [refuse("ThrottlingException")] * 9
    api = Api(load(env={**env, "AWS_MAX_ATTEMPTS": "5"}), sleep=lambda _: None)
    with pytest.raises(Throttled):
        api.call("ssm", "X", {})
    assert len(aws.requests) == 5


def test_the_retry_budget_is_shared_and_refilled(calls: Calls, aws: FakeAws, refuse: object) -> None:
    aws.answers = [refuse("ThrottlingException")] * 100
    for _ in range(15):
        with pytest.raises(Throttled):
            calls.api.call("ssm", "X", {})
    assert len(aws.requests) == 15 + 20
    aws.answers = []
    calls.api.call("ssm", "X", {})
    aws.answers = [refuse("ThrottlingException")]
    calls.api.call("ssm", "X", {})


def test_a_lost_connection_is_tried_again(calls: Calls, aws: FakeAws, answer: object) -> None:
    aws.answers = [b"", b"HTTP/1.1 200", answer(200, {"ok": 1})]
    assert calls.api.call("ssm", "X", {}) == {"ok": 1}


def test_what_may_have_been_done_is_not_repeated_unasked(
    calls: Calls, aws: FakeAws, answer: object, refuse: object
) -> None:
    aws.answers = [b""]
    with pytest.raises(NetworkError):
        calls.api.call("ssm", "SendCommand", {}, repeatable=False)
    aws.answers = [answer(500)]
    with pytest.raises(AwsError):
        calls.api.call("ssm", "SendCommand", {}, repeatable=False)
    assert len(aws.requests) == 2
    aws.answers = [refuse("ThrottlingException")]
    calls.api.call("ssm", "SendCommand", {}, repeatable=False)
    assert len(aws.requests) == 4


def test_a_call_that_is_not_wanted_any_more_once_it_is_connected_sends_nothing(calls: Calls, aws: FakeAws) -> None:
    class Unwanted(Exception):
        pass

    def reached(_answered: bool) -> None:
        raise Unwanted

    with pytest.raises(Unwanted):
        calls.api.call("ssm", "X", {}, reached=reached)
    assert aws.requests == []


def test_no_connection_means_that_nothing_was_done(env: dict[str, str]) -> None:
    slept: list[float] = []
    api = Api(load(env={**env, "AWS_ENDPOINT_URL": "https://127.0.0.1:1"}), sleep=slept.append)
    with pytest.raises(NetworkError, match="refuses connections"):
        api.call("ssm", "X", {}, repeatable=False)
    assert len(slept) == 2


def test_an_untrusted_certificate_is_not_tried_again(env: dict[str, str], aws: FakeAws) -> None:
    slept: list[float] = []
    del env["AWS_CA_BUNDLE"]
    with pytest.raises(NotTrusted):
        Api(load(env=env), sleep=slept.append).call("ssm", "X", {})
    assert slept == []


def test_the_deadline_forbids_a_wait_beyond_it(calls: Calls, aws: FakeAws, refuse: object) -> None:
    aws.answers = [refuse("ThrottlingException")] * 3
    with pytest.raises(Throttled):
        calls.api.call("ssm", "X", {}, deadline=time.monotonic() + 0.9)
    assert calls.slept == []


def test_errors_are_not_tried_again(calls: Calls, aws: FakeAws, refuse: object) -> None:
    aws.answers = [refuse("ValidationException", "bad")]
    with pytest.raises(AwsError):
        calls.api.call("ssm", "X", {})
    assert len(aws.requests) == 1


@pytest.mark.parametrize("off", [-3600.0, 3600.0])
def test_a_wrong_clock_is_corrected_once(calls: Calls, aws: FakeAws, refuse: object, off: float) -> None:
    true = calls.now - off
    aws.answers = [refuse("InvalidSignatureException", "Signature expired: x", Date=formatdate(true, usegmt=True))]
    calls.api.call("ssm", "X", {})
    assert aws.requests[1].headers["x-amz-date"] == time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(true))
    assert calls.slept == []
    assert calls.api.now() == true
    calls.api.call("ssm", "X", {})
    assert aws.requests[2].headers["x-amz-date"] == aws.requests[1].headers["x-amz-date"]
    assert calls.api.signed_upgrade("h", "/", "")["X-Amz-Date"] == aws.requests[1].headers["x-amz-date"]


def test_a_clock_that_another_thread_has_just_corrected(calls: Calls, aws: FakeAws, refuse: object) -> None:
    true = calls.now + 3600

    def meanwhile(_request: Request) -> bytes:
        calls.api.skew = 3600.0
        return refuse("InvalidSignatureException", "Signature expired: x", Date=formatdate(true, usegmt=True))

    aws.answers = [meanwhile]
    calls.api.call("ssm", "X", {})
    assert len(aws.requests) == 2


def test_a_clock_that_is_right_is_not_the_reason(calls: Calls, aws: FakeAws, refuse: object) -> None:
    aws.answers = [refuse("InvalidSignatureException", "does not match", Date=formatdate(calls.now + 60, usegmt=True))]
    with pytest.raises(CredentialsError, match="secret key"):
        calls.api.call("ssm", "X", {})
    assert len(aws.requests) == 1


@pytest.mark.parametrize("date", ["", "yesterday", "Mon, 99 Foo 2026 00:00:00 GMT"])
def test_a_date_that_is_none(calls: Calls, aws: FakeAws, refuse: object, date: str) -> None:
    aws.answers = [refuse("InvalidSignatureException", "Signature expired", Date=date)]
    with pytest.raises(CredentialsError, match="time"):
        calls.api.call("ssm", "X", {})


def test_a_second_time_out_of_five_minutes_is_an_error(calls: Calls, aws: FakeAws, refuse: object) -> None:
    aws.answers = [
        refuse("InvalidSignatureException", "Signature expired", Date=formatdate(calls.now + 9000 * i, usegmt=True))
        for i in (1, 2)
    ]
    with pytest.raises(CredentialsError, match="time"):
        calls.api.call("ssm", "X", {})
    assert len(aws.requests) == 2


def test_an_expired_token_is_renewed_where_that_is_possible(
    env: dict[str, str], aws: FakeAws, refuse: object, tmp_path: Path
) -> None:
    def login(number: int) -> None:
        (tmp_path / ".aws").mkdir(exist_ok=True)
        (tmp_path / ".aws/credentials").write_text(
            f"[default]\naws_access_key_id = AKID{number}\naws_secret_access_key = s\naws_session_token = t{number}\n"
        )

    login(1)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        del env[name]
    api = Api(load(env=env), sleep=lambda _: None)
    aws.answers = [refuse("ExpiredTokenException", "The security token included in the request is expired")]
    with pytest.raises(CredentialsError, match="session token has expired"):
        api.call("ssm", "X", {})
    login(2)
    aws.answers = [refuse("ExpiredTokenException")]
    api.call("ssm", "X", {})
    assert [request.headers["x-amz-security-token"] for request in aws.requests] == ["t1", "t1", "t2"]


@pytest.fixture
def request_expired(answer: object) -> object:
    error = b"<Error><Code>RequestExpired</Code><Message>Request has expired.</Message></Error>"
    body = b"<Response><Errors>" + error + b"</Errors></Response>"
    return lambda now: answer(400, body, {"Date": formatdate(now, usegmt=True)})


def test_a_session_token_that_ec2_calls_an_expired_request_is_renewed(
    env: dict[str, str], aws: FakeAws, tmp_path: Path, answer: object, request_expired: object
) -> None:
    (tmp_path / ".aws").mkdir()
    file = tmp_path / ".aws/credentials"
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        del env[name]
    login = "[default]\naws_access_key_id = AKID\naws_secret_access_key = s\naws_session_token = {}\n".format
    file.write_text(login("t1"))
    api = Api(load(env=env), sleep=lambda _: None)
    aws.answers = [request_expired(time.time())]
    with pytest.raises(CredentialsError, match="session token has expired"):
        api.call("ec2", "GetConsoleOutput", {})
    file.write_text(login("t2"))
    aws.answers = [request_expired(time.time()), answer(200, b"<R><output>x</output></R>")]
    api.call("ec2", "GetConsoleOutput", {})
    assert [request.headers["x-amz-security-token"] for request in aws.requests] == ["t1", "t1", "t2"]


def test_an_expired_request_is_a_wrong_clock_first(
    calls: Calls, env: dict[str, str], aws: FakeAws, request_expired: object
) -> None:
    env["AWS_SESSION_TOKEN"] = "t"
    aws.answers = [request_expired(calls.now + 3600), request_expired(calls.now + 3600)]
    with pytest.raises(CredentialsError, match="session token has expired"):
        calls.api.call("ec2", "GetConsoleOutput", {})
    assert len(aws.requests) == 2
    assert calls.api.skew == 3600


def test_each_answer_shows_how_far_the_clocks_differ(calls: Calls, aws: FakeAws, answer: object) -> None:
    assert calls.api.clock_difference() is None
    for date, difference in ((calls.now + 120, 120.0), (calls.now - 30, -30.0)):
        aws.answers = [answer(200, {}, {"Date": formatdate(date, usegmt=True)})]
        calls.api.call("ssm", "GetConnectionStatus", {})
        assert calls.api.clock_difference() == difference
    aws.answers = [answer(200, {}, {"Date": "yesterday"})]
    calls.api.call("ssm", "GetConnectionStatus", {})
    assert calls.api.clock_difference() is None
    assert calls.api.skew == 0


def test_keys_that_never_expire_leave_the_time_as_the_reason(
    calls: Calls, aws: FakeAws, request_expired: object
) -> None:
    aws.answers = [request_expired(calls.now)]
    with pytest.raises(CredentialsError, match="rejected the time of the signature"):
        calls.api.call("ec2", "GetConsoleOutput", {})


def test_pages_that_are_not_aws(calls: Calls, aws: FakeAws, answer: object) -> None:
    aws.answers = [answer(200, b"<html>login</html>")]
    with pytest.raises(ProtocolError, match="not JSON"):
        calls.api.call("ssm", "X", {})
    aws.answers = [answer(200, b"[1]")]
    with pytest.raises(ProtocolError, match="not JSON"):
        calls.api.call("ssm", "X", {})
    aws.answers = [answer(302, b"", {"Location": "http://evil/"})]
    with pytest.raises(AwsError, match="HTTP status 302 without an AWS error code"):
        calls.api.call("ssm", "X", {})
    aws.answers = [answer(403, b"[" * 100_000)]
    with pytest.raises(AwsError, match="HTTP status 403"):
        calls.api.call("ssm", "X", {})


@pytest.mark.parametrize(
    ("header", "body", "code"),
    [
        ("", {"__type": "com.amazonaws.ssm#InvalidArgsException"}, "InvalidArgsException"),
        ("InvalidArgsException:http://internal.amazon.com/coral/", {}, "InvalidArgsException"),
        ("aws.x#InvalidArgsException:http://a/#b", {"__type": "Other"}, "InvalidArgsException"),
        ("", {"code": "InvalidArgsException"}, "InvalidArgsException"),
        ("", {"__type": 7, "message": ["x"]}, "7"),
    ],
)
def test_where_the_code_stands(
    calls: Calls, aws: FakeAws, answer: object, *, header: str, body: dict[str, object], code: str
) -> None:
    aws.answers = [answer(400, body, {"x-amzn-ErrorType": header} if header else {})]
    with pytest.raises(AwsError) as caught:
        calls.api.call("ssm", "X", {})
    assert caught.value.code == code


def test_debug_says_what_was_called(calls: Calls, aws: FakeAws, answer: object) -> None:
    aws.answers = [answer(200, {}, {"x-amzn-RequestId": "abc\x1b[31m"})]
    calls.api.call("ssm", "StartSession", {"Target": "i-0"})
    assert len(calls.said) == 1
    assert calls.said[0].startswith(f"StartSession 127.0.0.1:{aws.port}: 200 request abc ")
    assert "\x1b" not in calls.said[0]


def test_one_tls_context(calls: Calls) -> None:
    assert calls.api.context() is calls.api.context()
    assert "Api(" in repr(calls.api)


def test_an_answer_that_drips_ends_with_the_calls_own_deadline(
    env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import socket
    import threading

    monkeypatch.setattr("ssm_ssh.aws.api.client.CALL_LIMIT", 0.3)
    over = threading.Event()

    def drip(listener: socket.socket) -> None:
        sock = listener.accept()[0]
        with sock:
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
            while not over.wait(0.05):
                sock.send(b" ")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=drip, args=(listener,))
        server.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        api = Api(load(env={**env, "AWS_ENDPOINT_URL": url}), sleep=lambda _: None)
        began = time.monotonic()
        with pytest.raises(NetworkError, match="did not answer in time"):
            api.call("ec2-instance-connect", "SendSSHPublicKey", {})
        over.set()
        server.join()
    assert time.monotonic() - began < 10


def test_the_time_for_credentials_does_not_count(calls: Calls, aws: FakeAws, monkeypatch: pytest.MonkeyPatch) -> None:
    get = calls.api.credentials.get

    def asked() -> object:
        time.sleep(0.3)
        return get()

    monkeypatch.setattr(calls.api.credentials, "get", asked)
    assert calls.api.call("ssm", "X", {}, deadline=time.monotonic() + 0.45) == {}
