from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ssm_ssh.errors import ProtocolError, UsageError
from ssm_ssh.transport.stream_url import StreamUrl, check_stream_url, is_loopback

HOST = "ssmmessages.eu-west-1.amazonaws.com"
PATH = "/v1/data-channel/user@example.com-0abc?role=publish_subscribe"
VPC = "vpce-1.ssmmessages.eu-west-1.vpce.amazonaws.com"


def check(url: str, override: str | None = None, *, api_loopback: bool = False) -> StreamUrl:
    return check_stream_url(url, hosts=(HOST,), override=override, api_loopback=api_loopback)


def test_the_regions_endpoint_is_taken() -> None:
    url = check(f"wss://{HOST}{PATH}")
    assert url == StreamUrl(
        HOST, 443, "/v1/data-channel/user@example.com-0abc", "role=publish_subscribe", secure=True, presigned=False
    )
    assert url.host_header == HOST
    assert check(f"wss://{HOST}:443{PATH}") == url
    assert check(f"wss://{HOST}") == StreamUrl(HOST, 443, "/", "", secure=True, presigned=False)


@pytest.mark.parametrize(
    ("query", "presigned"),
    [
        ("X-Amz-Signature=ab", True),
        ("role=x&x-amz-date=1", True),
        ("role=X-Amz-Signature", False),
        ("X-Am=1", False),
        ("", False),
    ],
)
def test_a_presigned_url_is_seen_by_its_parameters(query: str, *, presigned: bool) -> None:
    assert check(f"wss://{HOST}/v1?{query}").presigned is presigned


HOSTILE = [
    f"wss://{HOST}\\@evil.com/",
    f"wss://evil.com\\@{HOST}/",
    f"wss://{HOST}@evil.com/",
    f"wss://evil.com@{HOST}/",
    f"wss://user:password@{HOST}/",
    f"wss://@{HOST}/",
    f"wss://{HOST}.evil.com/",
    f"wss://evil.{HOST}/",
    f"wss://evil-{HOST}/",
    f"wss://{HOST}./",
    f"wss://.{HOST}/",
    f"wss://{HOST.upper()}/",
    f"WSS://{HOST}/",
    f"ws://{HOST}/",
    f"https://{HOST}/",
    f"http://{HOST}/",
    f"//{HOST}/",
    f"{HOST}/",
    f" wss://{HOST}/",
    f"wss://{HOST}/ ",
    f"wss://{HOST}/\n",
    f"wss://{HOST}/a b",
    f"wss://{HOST}/\r\nHost: evil.com",
    f"wss://{HOST}\t/",
    f"w\nss://{HOST}/",
    f"wss://{HOST}/\x00",
    f"wss://{HOST}/\x7f",
    f"wss://{HOST}/#fragment",
    f"wss://{HOST}#@evil.com/",
    f"wss://evil.com#{HOST}/",
    f"wss://evil.com?{HOST}/",
    f"wss://evil.com/{HOST}/",
    f"wss://{HOST}%2eevil.com/",
    f"wss://%73{HOST[1:]}/",
    f"wss://{HOST}%00/",
    "wss://" + HOST.replace("s", "\u017f", 1) + "/",
    "wss://" + HOST.replace(".", "\u3002") + "/",
    f"wss://{HOST}\uff0fevil.com/",
    f"wss://\uff53{HOST[1:]}/",
    f"wss://{HOST}/%",
    f"wss://{HOST}/%zz",
    f"wss://{HOST}/?a=%1",
    f"wss://{HOST}/<script>",
    f'wss://{HOST}/"',
    f"wss://{HOST}/\u00e9",
    f"wss://{HOST}:/",
    f"wss://{HOST}:0443/",
    f"wss://{HOST}:0/",
    f"wss://{HOST}:80/",
    f"wss://{HOST}:8443/",
    f"wss://{HOST}:65979/",
    f"wss://{HOST}:443443/",
    f"wss://{HOST}:+443/",
    f"wss://{HOST}:\u0664\u0664\u0663/",
    f"wss://{HOST}:443@evil.com/",
    f"wss:/{HOST}/",
    f"wss:///{HOST}/",
    f"wss://{HOST}/" + "a" * 9000,
    "wss://127.0.0.1/",
    "wss://127.0.0.1.evil.com/",
    "wss://localhost/",
    "wss://[::1]/",
    "wss://[::ffff:127.0.0.1]/",
    "wss://ssmmessages.us-east-1.amazonaws.com/",
    "wss://",
    "wss:///",
    "",
]


@pytest.mark.parametrize("url", HOSTILE)
@pytest.mark.parametrize("override", [None, f"https://{VPC}", "http://127.0.0.1:4566"])
def test_every_other_url_is_refused_whatever_is_configured(url: str, override: str | None) -> None:
    with pytest.raises(ProtocolError):
        check(url, override, api_loopback=True)


@settings(deadline=None)
@given(st.text(max_size=80), st.sampled_from(["", "wss://", f"wss://{HOST}"]), st.sampled_from(["", HOST, f"@{HOST}/"]))
@example("\\@evil.com/", f"wss://{HOST}", "")
def test_no_text_leads_to_another_host(text: str, before: str, after: str) -> None:
    try:
        url = check(before + text + after)
    except ProtocolError:
        return
    assert (url.host, url.port, url.secure) == (HOST, 443, True)
    assert url.path.startswith("/")
    target = url.path + url.query
    assert target.isascii()
    assert target.isprintable()
    assert not set(target) & set(' \\#"<>')


def test_an_override_takes_the_place_of_host_and_port() -> None:
    url = check(f"wss://{HOST}{PATH}", f"https://{VPC}/")
    assert (url.host, url.port, url.secure) == (VPC, 443, True)
    assert url.query == "role=publish_subscribe"
    url = check(f"wss://{HOST}{PATH}", "https://localhost:8443")
    assert url.host_header == "localhost:8443"


def test_a_url_may_name_the_override_itself() -> None:
    assert check(f"wss://{VPC}/v1", f"https://{VPC}").host == VPC
    assert check("wss://127.0.0.1:8443/v1", "https://127.0.0.1:8443").port == 8443


@pytest.mark.parametrize("url", ["wss://127.0.0.1:8444/", "wss://127.0.0.2:8443/", "ws://127.0.0.1:8443/"])
def test_near_the_override_is_not_the_override(url: str) -> None:
    with pytest.raises(ProtocolError, match=r"AWS_ENDPOINT_URL_SSMMESSAGES|not this region's"):
        check(url, "https://127.0.0.1:8443", api_loopback=True)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.255", "[::1]"])
def test_plain_text_is_for_literal_loopback_beside_a_loopback_api(host: str) -> None:
    url = check(f"ws://{host}:4566/v1", f"http://{host}:4566", api_loopback=True)
    assert (url.secure, url.host, url.port) == (False, host.strip("[]"), 4566)
    assert url.host_header == f"{host}:4566"
    with pytest.raises(UsageError, match="not encrypted"):
        check(f"ws://{host}:4566/v1", f"http://{host}:4566")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1.evil.com", "127.1", "127.0.0.256", "10.0.0.1", "[::2]", VPC])
def test_plain_text_is_for_nothing_else(host: str) -> None:
    with pytest.raises(UsageError):
        check(f"wss://{HOST}/v1", f"http://{host}:4566", api_loopback=True)


@pytest.mark.parametrize(
    "override",
    [
        "VPCE.example.com",
        "https://",
        "https://user:hunter2@vpce",
        "https://vpce/hunter2",
        "https://vpce?hunter2",
        "ftp://vpce",
    ],
)
def test_a_bad_override_is_the_users_error(override: str) -> None:
    with pytest.raises(UsageError, match="ssmmessages") as caught:
        check(f"wss://{HOST}/v1", override)
    assert "hunter2" not in caught.value.sentence()


def test_no_error_and_no_representation_shows_path_or_query() -> None:
    with pytest.raises(ProtocolError) as caught:
        check("wss://evil.com/s3cret?s3cret")
    assert "evil.com" in caught.value.message
    assert "s3cret" not in caught.value.sentence()
    assert "s3cret" not in repr(check(f"wss://{HOST}/s3cret?s3cret"))


def test_loopback_is_a_literal_address() -> None:
    assert is_loopback("127.0.0.1")
    assert is_loopback("::1")
    assert not is_loopback("localhost")
    assert not is_loopback("127.0.0.01")
