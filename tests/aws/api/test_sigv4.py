from __future__ import annotations

import datetime
from unittest import mock

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as TheirCredentials
from hypothesis import given
from hypothesis import strategies as st

from ssm_ssh.aws.api.sigv4 import sign
from ssm_ssh.aws.credentials.access_key import Credentials

KEY = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40)
SEGMENT = st.text(st.sampled_from("abcXYZ019-._~%25@:+=$,;!*'()é日 "), max_size=12) | st.sampled_from([".", "..", ""])
PATH = st.lists(SEGMENT, max_size=5).map(lambda segments: "/" + "/".join(segments))
QUERY = st.lists(
    st.tuples(
        st.sampled_from(["role", "X", "a", "a", "%C3%A9", "b-_.~"]),
        st.sampled_from(["", "1", "%20x", "%C3%A9", "a%3Db%2F%2B"]),
    ),
    max_size=5,
).map(lambda pairs: "&".join(f"{name}={value}" for name, value in pairs))
HEADERS = st.dictionaries(
    st.sampled_from(["Content-Type", "X-Amz-Target", "User-Agent", "X-Spaces", "Upgrade", "Connection"]),
    st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20),
)
INSTANT = st.datetimes(datetime.datetime(2000, 1, 1), datetime.datetime(2100, 1, 1))


def theirs(
    method: str,
    url: str,
    *,
    headers: dict[str, str],
    body: bytes,
    credentials: Credentials,
    service: str,
    when: datetime.datetime,
) -> dict[str, str]:
    request = AWSRequest(method=method, url=url, headers=headers, data=body)
    with mock.patch("botocore.auth.get_current_datetime", return_value=when):
        SigV4Auth(
            TheirCredentials(credentials.access_key, credentials.secret_key, credentials.token), service, "eu-central-1"
        ).add_auth(request)
    return dict(request.headers)


@given(
    method=st.sampled_from(["GET", "POST"]),
    path=PATH,
    query=QUERY,
    headers=HEADERS,
    body=st.binary(max_size=200),
    access_key=KEY,
    secret_key=st.text(min_size=1, max_size=40).filter(lambda s: s.isprintable()),
    token=st.none() | KEY,
    service=st.sampled_from(["ssm", "ssmmessages", "ec2-instance-connect", "kms"]),
    when=INSTANT,
)
def test_signs_as_botocore_does(
    *,
    method: str,
    path: str,
    query: str,
    headers: dict[str, str],
    body: bytes,
    access_key: str,
    secret_key: str,
    token: str | None,
    service: str,
    when: datetime.datetime,
) -> None:
    credentials = Credentials(access_key, secret_key, token, source="test")
    host = "example.eu-central-1.amazonaws.com"
    url = f"https://{host}{path}" + (f"?{query}" if query else "")
    expected = theirs(
        method, url, headers={"Host": host, **headers}, body=body, credentials=credentials, service=service, when=when
    )
    signed = sign(
        method,
        path,
        query,
        {"Host": host, **headers},
        body,
        credentials=credentials,
        service=service,
        region="eu-central-1",
        now=when.replace(tzinfo=datetime.timezone.utc).timestamp(),
    )
    assert signed == expected


def test_upgrade_of_the_gateway() -> None:
    credentials = Credentials("AKIDEXAMPLE", "secret", "token/with+signs==", source="test")
    path = "/v1/data-channel/user@example.com-0123456789abcdef0"
    when = datetime.datetime(2026, 1, 31, 12, 0, 0)
    url = f"https://ssmmessages.eu-central-1.amazonaws.com{path}?role=publish_subscribe&cell-number=AAEAA%2Bx"
    expected = theirs(
        "GET",
        url,
        headers={"Host": "ssmmessages.eu-central-1.amazonaws.com"},
        body=b"",
        credentials=credentials,
        service="ssmmessages",
        when=when,
    )
    signed = sign(
        "GET",
        path,
        "role=publish_subscribe&cell-number=AAEAA%2Bx",
        {"Host": "ssmmessages.eu-central-1.amazonaws.com"},
        b"",
        credentials=credentials,
        service="ssmmessages",
        region="eu-central-1",
        now=when.replace(tzinfo=datetime.timezone.utc).timestamp(),
    )
    assert signed == expected
    assert signed["X-Amz-Security-Token"] == "token/with+signs=="
    assert "SignedHeaders=host;x-amz-date;x-amz-security-token," in signed["Authorization"]


def test_raw_base64_in_a_query_is_signed_as_if_it_were_encoded() -> None:
    credentials = Credentials("AKIDEXAMPLE", "secret", source="test")
    when = datetime.datetime(2026, 1, 31, 12, 0, 0)
    encoded = "https://h/v1?cell-number=AA%20BB%2FCC%3D%3D&role=x"
    expected = theirs(
        "GET", encoded, headers={"Host": "h"}, body=b"", credentials=credentials, service="ssmmessages", when=when
    )
    signed = sign(
        "GET",
        "/v1",
        "role=x&cell-number=AA+BB/CC==",
        {"Host": "h"},
        b"",
        credentials=credentials,
        service="ssmmessages",
        region="eu-central-1",
        now=when.replace(tzinfo=datetime.timezone.utc).timestamp(),
    )
    assert signed == expected


def test_headers_of_a_single_hop_are_not_signed() -> None:
    signed = sign(
        "GET",
        "/",
        "",
        {"Host": "h", "Upgrade": "websocket", "Connection": "Upgrade", "User-Agent": "x"},
        b"",
        credentials=Credentials("A", "S", source="test"),
        service="ssmmessages",
        region="eu-central-1",
        now=0.0,
    )
    assert "SignedHeaders=host;x-amz-date," in signed["Authorization"]
