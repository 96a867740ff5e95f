from __future__ import annotations

from unittest import mock
from urllib.parse import urlsplit

import pytest
from botocore.httpsession import ProxyConfiguration
from botocore.utils import get_environ_proxies
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


HOSTS = ("ssm.eu-west-1.amazonaws.com", "ssmmessages.eu-west-1.amazonaws.com", "localhost", "127.0.0.1", "10.1.2.3")
PLAIN = (".amazonaws.com", "amazonaws.com", *HOSTS, HOSTS[0].upper(), "eu-west-1", "zonaws.com", "")
# What curl and Go understand, and botocore does not.
MORE = ("*", "*.amazonaws.com", "10.0.0.0/8", "10.1.2.3:443", HOSTS[0] + ":443", HOSTS[0] + ":8443")
VALUE = st.sampled_from(["http://a:1", "https://b", "https://b:2", "c:3", "//d:4", ""])


@settings(deadline=None, max_examples=400)
@given(
    host=st.sampled_from(HOSTS),
    proxies=st.dictionaries(st.sampled_from(["HTTPS_PROXY", "https_proxy"]), VALUE),
    lists=st.dictionaries(
        st.sampled_from(["NO_PROXY", "no_proxy"]), st.lists(st.sampled_from(PLAIN + MORE), max_size=2).map(",".join)
    ),
)
def test_the_proxy_is_the_one_that_botocore_takes(host: str, proxies: dict[str, str], lists: dict[str, str]) -> None:
    env = {**proxies, **lists}
    with mock.patch.dict("os.environ", env, clear=True):
        taken = get_environ_proxies(f"https://{host}/").get("https")
        url = ProxyConfiguration({"https": taken}).proxy_url_for(f"https://{host}/") if taken else None
    found = proxy_for(host, 443, env)
    if found is None:
        more = lists.get("no_proxy", lists.get("NO_PROXY", "")).split(",")
        assert not url or set(more) & set(MORE)
        return
    assert url is not None
    parts = urlsplit(url)
    assert (found.secure, found.host) == (parts.scheme == "https", parts.hostname)
    assert found.port == (parts.port or {"http": 80, "https": 443}[parts.scheme])
