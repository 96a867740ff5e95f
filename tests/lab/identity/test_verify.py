"""Signature Version 4: what botocore signs is taken; nothing of it can be changed."""

from __future__ import annotations

import datetime
import string
import time
from urllib.parse import quote

import pytest
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from ssm_ssh.lab.identity.identities import Identity, role_session, user
from ssm_ssh.lab.identity.verify import Request, SignatureRefused, signed, verify

ACCOUNT = "123456789012"
ALICE = user("alice", ACCOUNT)
GUEST = role_session("guest", ACCOUNT, "Role", "guest")
LATE = role_session("late", ACCOUNT, "Role", "late", lifetime=-1)
PEOPLE = {one.access_key: one for one in (ALICE, GUEST, LATE)}


def sign(
    who: Identity = ALICE,
    *,
    method: str = "POST",
    target: str = "/",
    body: bytes = b"{}",
    headers: dict[str, str] | None = None,
    service: str = "ssm",
    region: str = "eu-central-1",
    presigned: int = 0,
) -> Request:
    request = AWSRequest(
        method, f"https://localhost{target}", data=body, headers={"Host": "localhost", **(headers or {})}
    )
    credentials = Credentials(who.access_key, who.secret_key, who.token or None)
    if presigned:
        SigV4QueryAuth(credentials, service, region, expires=presigned).add_auth(request)
    else:
        SigV4Auth(credentials, service, region).add_auth(request)
    return Request(method, request.url.removeprefix("https://localhost"), list(request.headers.items()), body)


def check(request: Request, *, service: str = "ssm", region: str = "eu-central-1", offset: float = 0.0) -> Identity:
    return verify(request, service=service, region=region, lookup=PEOPLE.get, now=time.time() + offset)


def refused(request: Request, **how: float) -> str:
    with pytest.raises(SignatureRefused) as caught:
        check(request, offset=how.get("offset", 0.0))
    return caught.value.code


def replaced(request: Request, name: str, value: str | None) -> Request:
    headers = [(key, one) for key, one in request.headers if key.lower() != name.lower()]
    return request._replace(headers=headers if value is None else [*headers, (name, value)])


WORDS = st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF), max_size=12)
SEGMENTS = st.lists(st.text(string.ascii_letters + string.digits + "-_.@ %+é", min_size=1, max_size=12), max_size=4)


@given(SEGMENTS, st.lists(st.tuples(WORDS.filter(bool), WORDS), max_size=4), st.binary(max_size=200))
def test_what_botocore_signs_is_taken(segments: list[str], query: list[tuple[str, str]], body: bytes) -> None:
    path = "/" + "/".join(quote(one, safe="") for one in segments)
    words = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in query)
    assert check(sign(target=f"{path}?{words}" if words else path, body=body)) == ALICE


def test_a_session_token_is_taken_with_its_key() -> None:
    assert check(sign(GUEST)) == GUEST


def test_a_presigned_request_is_taken_for_its_time() -> None:
    request = sign(GUEST, method="GET", target="/v1/data-channel/a?role=publish_subscribe", body=b"", presigned=60)
    assert check(request) == GUEST
    assert refused(request, offset=61) == "InvalidSignatureException"
    assert refused(request._replace(target=request.target.replace("/a?", "/b?"))) == "InvalidSignatureException"


def test_a_presigned_request_of_more_than_a_week_is_refused() -> None:
    assert refused(sign(method="GET", body=b"", presigned=604_801)) == "InvalidSignatureException"


def test_a_plus_in_a_query_is_a_space_as_the_official_plugin_signs_it() -> None:
    request = sign(method="GET", body=b"", target="/v1?cell-number=a%20b%2Fc")
    assert check(request._replace(target="/v1?cell-number=a+b/c")) == ALICE


@given(st.data())
def test_no_byte_of_the_signed_parts_can_be_changed(data: st.DataObject) -> None:
    request = sign(
        GUEST,
        target="/path/of/it?role=publish",
        body=b'{"Target": "i-0123456789abcdef0"}',
        headers={"X-Amz-Target": "AmazonSSM.StartSession", "Content-Type": "application/x-amz-json-1.1"},
    )
    part = data.draw(
        st.sampled_from(["method", "target", "body", "x-amz-target", "content-type", "x-amz-security-token", "host"])
    )
    if part == "body":
        at = data.draw(st.integers(0, len(request.body) - 1))
        changed = bytearray(request.body)
        changed[at] ^= data.draw(st.integers(1, 255))
        tampered = request._replace(body=bytes(changed))
    elif part == "method":
        tampered = request._replace(method="PUT")
    elif part == "target":
        at = data.draw(st.integers(1, len(request.target) - 1))
        tampered = request._replace(target=request.target[:at] + "~" + request.target[at + 1 :])
    else:
        value = request.value(part)
        at = data.draw(st.integers(0, len(value) - 1))
        letter = "q" if value[at] != "q" else "r"
        tampered = replaced(request, part, value[:at] + letter + value[at + 1 :])
    assert refused(tampered) in ("InvalidSignatureException", "UnrecognizedClientException")


@given(st.integers(0, 63))
def test_no_digit_of_the_signature_can_be_changed(at: int) -> None:
    request = sign()
    value = request.value("authorization")
    start = value.index("Signature=") + len("Signature=") + at
    digit = "0" if value[start] != "0" else "1"
    tampered = replaced(request, "Authorization", value[:start] + digit + value[start + 1 :])
    assert refused(tampered) == "InvalidSignatureException"


def test_the_date_cannot_be_changed() -> None:
    request = sign()
    earlier = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=30)
    assert refused(replaced(request, "X-Amz-Date", f"{earlier:%Y%m%dT%H%M%SZ}")) == "InvalidSignatureException"


def test_a_header_that_is_acted_upon_must_be_signed() -> None:
    request = sign()
    assert refused(request._replace(headers=[*request.headers, ("X-Amz-Target", "AmazonSSM.SendCommand")])) == (
        "InvalidSignatureException"
    )


def test_a_second_header_of_the_same_name_is_refused() -> None:
    request = sign(headers={"X-Amz-Target": "AmazonSSM.DescribeSessions"})
    again = request._replace(headers=[*request.headers, ("x-amz-target", "AmazonSSM.SendCommand")])
    assert refused(again) == "InvalidSignatureException"


def test_the_host_must_be_signed() -> None:
    request = sign()
    value = request.value("authorization").replace("SignedHeaders=host;", "SignedHeaders=")
    assert refused(replaced(request, "Authorization", value)) == "InvalidSignatureException"


@pytest.mark.parametrize(
    ("offset", "words"), [(301, "Signature expired: "), (-301, "Signature not yet current: ")], ids=["old", "early"]
)
def test_a_clock_that_is_off_by_more_than_five_minutes_is_told_so(offset: float, words: str) -> None:
    request = sign()
    with pytest.raises(SignatureRefused) as caught:
        check(request, offset=offset)
    assert caught.value.code == "InvalidSignatureException"
    assert caught.value.message.startswith(words + request.value("x-amz-date"))


@pytest.mark.parametrize("offset", [290, -290])
def test_a_clock_that_is_off_by_less_is_fine(offset: float) -> None:
    assert check(sign(), offset=offset) == ALICE


def test_the_service_and_the_region_are_part_of_the_signature() -> None:
    for request, words in (
        (sign(service="ec2"), "Credential should be scoped to correct service: 'ssm'."),
        (sign(region="us-east-1"), "Credential should be scoped to a valid region, not 'us-east-1'."),
    ):
        with pytest.raises(SignatureRefused) as caught:
            check(request)
        assert caught.value.message.strip() == words


def test_an_unknown_key_is_unrecognized() -> None:
    assert refused(sign(user("nobody", ACCOUNT))) == "UnrecognizedClientException"


def test_a_session_token_must_be_present_and_belong_to_the_key() -> None:
    assert refused(replaced(sign(GUEST), "X-Amz-Security-Token", None)) == "UnrecognizedClientException"
    assert refused(replaced(sign(GUEST), "X-Amz-Security-Token", LATE.token)) == "UnrecognizedClientException"
    assert refused(replaced(sign(ALICE), "X-Amz-Security-Token", GUEST.token)) == "UnrecognizedClientException"


def test_expiry_is_reported_only_to_the_holder_of_the_credentials() -> None:
    assert refused(sign(LATE)) == "ExpiredTokenException"
    assert refused(sign(LATE)._replace(body=b"x")) == "InvalidSignatureException"


def test_no_signature_at_all() -> None:
    request = Request("POST", "/", [("Host", "localhost")])
    assert refused(request) == "MissingAuthenticationTokenException"
    assert not signed(request)
    assert signed(sign())
    assert signed(sign(method="GET", body=b"", presigned=60))


@pytest.mark.parametrize(
    "value",
    [
        "Basic abc",
        "AWS4-HMAC-SHA256",
        "AWS4-HMAC-SHA256 Credential",
        "AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature=",
        f"AWS4-HMAC-SHA256 Credential={ALICE.access_key}/20250101, SignedHeaders=host, Signature=aa",
    ],
    ids=["other-scheme", "nothing", "no-value", "empty", "short-scope"],
)
def test_half_a_signature_is_incomplete(value: str) -> None:
    request = sign()
    assert refused(replaced(request, "Authorization", value)) == "IncompleteSignatureException"


@pytest.mark.parametrize("value", [None, "yesterday", "20251301T000000Z"])
def test_a_date_that_is_none_is_refused(value: str | None) -> None:
    assert refused(replaced(sign(), "X-Amz-Date", value)) in (
        "IncompleteSignatureException",
        "InvalidSignatureException",
    )


@given(st.text(max_size=300), st.text(max_size=100), st.text(max_size=100))
def test_no_request_upsets_the_verifier(authorization: str, date: str, target: str) -> None:
    request = Request("GET", target, [("Authorization", authorization), ("X-Amz-Date", date), ("Host", "h")])
    with pytest.raises(SignatureRefused):
        check(request)


@given(st.text(max_size=100), st.text(max_size=30), st.text(max_size=30))
def test_no_claim_upsets_the_verifier(scope: str, names: str, signature: str) -> None:
    value = f"AWS4-HMAC-SHA256 Credential={ALICE.access_key}/{scope}, SignedHeaders={names}, Signature={signature}"
    with pytest.raises(SignatureRefused):
        check(replaced(sign(), "Authorization", value))
