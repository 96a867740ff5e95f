from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssm_ssh.errors import UsageError
from ssm_ssh.transport.proxy import Proxy, proxy_for

HOST = "ssmmessages.eu-west-1.amazonaws.com"


def ask(host: str = HOST, port: int = 443, **env: str) -> tuple[str, int, str] | None:
    proxy = proxy_for(host, port, env)
    return (proxy.host, proxy.port, proxy.authorization) if proxy else None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("http://proxy:3128", ("proxy", 3128, "")),
        ("http://proxy:3128/", ("proxy", 3128, "")),
        ("HTTP://proxy", ("proxy", 80, "")),
        ("proxy:3128", ("proxy", 3128, "")),
        ("proxy", ("proxy", 80, "")),
        (" http://10.0.0.1:8080 ", ("10.0.0.1", 8080, "")),
        ("http://[::1]:3128", ("::1", 3128, "")),
        ("http://a:b@proxy:1", ("proxy", 1, "Basic YTpi")),
        ("a:b@proxy:1", ("proxy", 1, "Basic YTpi")),
        ("http://a@proxy:1", ("proxy", 1, "Basic YTo=")),
        ("http://a:p%40%3A%2Fb@proxy:1", ("proxy", 1, "Basic YTpwQDovYg==")),
        ("http://a:p@b@proxy:1", ("proxy", 1, "Basic YTpwQGI=")),
        ("http://a:%C3%A9@proxy:1", ("proxy", 1, "Basic YTrDqQ==")),
    ],
)
def test_the_variable_is_read(value: str, expected: tuple[str, int, str]) -> None:
    assert ask(HTTPS_PROXY=value) == expected


def test_no_variable_means_a_direct_connection() -> None:
    assert ask() is None
    assert ask(HTTPS_PROXY=" ") is None
    assert ask(HTTP_PROXY="http://proxy:1", ALL_PROXY="http://proxy:1") is None


def test_lower_case_wins_and_switches_off_when_empty() -> None:
    assert ask(HTTPS_PROXY="http://upper:1", https_proxy="http://lower:2") == ("lower", 2, "")
    assert ask(HTTPS_PROXY="http://upper:1", https_proxy="") is None
    assert ask(HTTPS_PROXY="proxy:1", NO_PROXY="*", no_proxy="other") == ("proxy", 1, "")


@pytest.mark.parametrize(
    ("host", "no_proxy", "bypassed"),
    [
        (HOST, "*", True),
        (HOST, "localhost, *", True),
        (HOST, "amazonaws.com", True),
        (HOST, ".amazonaws.com", True),
        (HOST, "*.amazonaws.com", True),
        (HOST, "localhost,.AmazonAWS.com", True),
        (HOST, "localhost .amazonaws.com", True),
        (HOST, HOST, True),
        (HOST + ".", HOST, True),
        (HOST.upper(), HOST, True),
        (HOST, HOST + ":443", True),
        (HOST, HOST + ":8443", False),
        (HOST, "aws.com", False),
        (HOST, "mazonaws.com", False),
        (HOST, "eu-west-1", False),
        (HOST, "", False),
        (HOST, ",", False),
        (HOST, ".", False),
        (HOST, "10.0.0.0/8", False),
        ("amazonaws.com", ".amazonaws.com", True),
        ("10.1.2.3", "10.0.0.0/8", True),
        ("10.1.2.3", "10.1.2.0/24,192.168.0.0/16", True),
        ("11.1.2.3", "10.0.0.0/8", False),
        ("10.1.2.3", "10.1.2.3", True),
        ("10.1.2.3", "10.1.2.3:443", True),
        ("10.1.2.3", "10.1.2.3:80", False),
        ("10.1.2.3", "2.3", False),
        ("10.1.2.3", "amazonaws.com", False),
        ("10.1.2.3", "10.1.2.3/99", False),
        ("::1", "::1", True),
        ("[::1]", "[::1]", True),
        ("::1", "[::1]:443", True),
        ("::1", "[::1]:80", False),
        ("fd00::5", "fd00::/8", True),
        ("fd00::5", "10.0.0.0/8", False),
    ],
)
def test_no_proxy_lists_what_is_reached_directly(host: str, no_proxy: str, *, bypassed: bool) -> None:
    assert (ask(host, HTTPS_PROXY="proxy:1", NO_PROXY=no_proxy) is None) is bypassed


def test_loopback_is_no_exception() -> None:
    assert ask("127.0.0.1", https_proxy="proxy:1") == ("proxy", 1, "")


@pytest.mark.parametrize(
    ("value", "secure", "port"),
    [
        ("https://proxy", True, 443),
        ("HTTPS://proxy:8443/", True, 8443),
        ("http://proxy", False, 80),
        ("proxy", False, 80),
        ("//proxy:3128", False, 3128),
    ],
)
def test_the_scheme_says_how_the_proxy_is_spoken_to(value: str, secure: bool, port: int) -> None:
    proxy = proxy_for(HOST, 443, {"HTTPS_PROXY": value})
    assert proxy is not None
    assert (proxy.host, proxy.port, proxy.secure) == ("proxy", port, secure)


@pytest.mark.parametrize("kind", ["socks4", "socks4a", "socks5", "socks5h", "SOCKS5"])
def test_a_socks_proxy_is_refused_with_the_way_round_it(kind: str) -> None:
    with pytest.raises(UsageError, match="SOCKS") as caught:
        ask(HTTPS_PROXY=f"{kind}://user:hunter2@127.0.0.1:1080")
    assert "HTTP proxy that forwards to it" in caught.value.hint
    assert "hunter2" not in caught.value.sentence()


@pytest.mark.parametrize(
    "value",
    [
        "http://user:hunter2@",
        "http://user:hunter2@proxy:0",
        "http://user:hunter2@proxy:65536",
        "http://user:hunter2@proxy:port",
        "http://user:hunter2@pro xy:1",
        "http://user:hunter2@proxy\r\nX: y:1",
        "http://user:hunter2@prox\u00fd:1",
        "http://user:hun/ter2@proxy:1",
        "http://user:hun#hunter2@proxy:1",
        "https://user:hunter2@proxy:0",
        "socks://user:hunter2@proxy:1",
        "ftp://user:hunter2@proxy:1",
        "socks5://user:hunter2@proxy:1",
        "hunter2://user:hunter2@proxy:1",
        "http://user:hunter2@[::1:1",
        "http://",
    ],
)
def test_a_malformed_value_is_refused_without_its_password(value: str) -> None:
    with pytest.raises(UsageError) as caught:
        ask(HTTPS_PROXY=value)
    assert "HTTPS_PROXY" in caught.value.message
    assert "ter2" not in caught.value.sentence()


@settings(deadline=None)
@given(st.text(max_size=60))
def test_any_value_is_a_proxy_a_direct_connection_or_a_usage_error(value: str) -> None:
    try:
        found = proxy_for(HOST, 443, {"HTTPS_PROXY": value, "NO_PROXY": value})
    except UsageError:
        return
    assert found is None or (1 <= found.port <= 65535 and found.authorization.isascii())


def test_no_representation_shows_the_password() -> None:
    proxy = Proxy("proxy", 1, "Basic c2VjcmV0")
    assert repr(proxy) == str(proxy) == "<Proxy proxy:1>"
