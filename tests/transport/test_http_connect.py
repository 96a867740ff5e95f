from __future__ import annotations

import socket

import pytest

from ssm_ssh.errors import Disconnected, NetworkError, ProxyRefused
from ssm_ssh.transport.dial import dial
from ssm_ssh.transport.http import MAX_HEAD
from ssm_ssh.transport.proxy import Proxy, proxy_for

from .conftest import Loopback, read_head

OK = b"HTTP/1.1 200 Connection established\r\n\r\n"


def answer(loopback: Loopback, *parts: bytes, requests: list[bytes] | None = None) -> Proxy:
    """Return a proxy that answers with `parts`, byte strings written one after the other, and hangs up."""

    def handle(connection: socket.socket) -> None:
        head = read_head(connection)
        if requests is not None:
            requests.append(head)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for part in parts:
            connection.sendall(part)

    return Proxy("127.0.0.1", loopback.serve(handle))


def refusal(loopback: Loopback, *parts: bytes, authorization: str = "") -> ProxyRefused:
    proxy = answer(loopback, *parts)
    proxy.authorization = authorization
    with pytest.raises(ProxyRefused) as caught:
        dial("example.com", 443, proxy=proxy, timeout=60)
    assert f"127.0.0.1:{proxy.port}" in caught.value.message
    return caught.value


def test_the_tunnel_carries_what_follows_the_head_to_the_last_byte(loopback: Loopback) -> None:
    requests: list[bytes] = []
    proxy = answer(loopback, OK + b"SSH-2.0-", b"early\r\n", requests=requests)
    with dial("example.com", 443, proxy=proxy, timeout=60) as sock, sock.makefile("rb") as file:
        assert file.read() == b"SSH-2.0-early\r\n"
    assert requests == [b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n"]


def test_a_head_that_comes_in_pieces_is_put_together(loopback: Loopback) -> None:
    proxy = answer(loopback, *[bytes([byte]) for byte in OK], b"data")
    with dial("example.com", 443, proxy=proxy, timeout=60) as sock, sock.makefile("rb") as file:
        assert file.read() == b"data"


def test_the_name_is_resolved_by_the_proxy_and_an_ipv6_address_bracketed(loopback: Loopback) -> None:
    requests: list[bytes] = []
    proxy = answer(loopback, OK, requests=requests)
    dial("fd00::1", 8443, proxy=proxy, timeout=60).close()
    dial("no.such.name.invalid", 443, proxy=proxy, timeout=60).close()
    assert requests[0].startswith(b"CONNECT [fd00::1]:8443 HTTP/1.1\r\n")


def test_user_and_password_go_as_basic_credentials(loopback: Loopback) -> None:
    requests: list[bytes] = []
    port = answer(loopback, OK, requests=requests).port
    proxy = proxy_for("example.com", 443, {"HTTPS_PROXY": f"http://me:p%40ss@127.0.0.1:{port}"})
    dial("example.com", 443, proxy=proxy, timeout=60).close()
    assert b"\r\nProxy-Authorization: Basic bWU6cEBzcw==\r\n" in requests[0]


def test_authentication_asked_for(loopback: Loopback) -> None:
    head = b'HTTP/1.1 407 Auth\r\nProxy-Authenticate: Basic realm="x"\r\n\r\n'
    assert "requires a user name and password" in refusal(loopback, head).message


def test_authentication_refused_without_showing_the_password(loopback: Loopback) -> None:
    head = b"HTTP/1.1 407 Auth\r\nProxy-Authenticate: Negotiate\r\nProxy-Authenticate: Basic\r\n\r\n"
    error = refusal(loopback, head, authorization="Basic c2VjcmV0")
    assert "did not accept the user name and password" in error.message
    assert "c2VjcmV0" not in error.sentence()


def test_authentication_of_a_kind_that_is_not_supported(loopback: Loopback) -> None:
    error = refusal(loopback, b"HTTP/1.1 407 Auth\r\nProxy-Authenticate: NTLM\x1b[2J\r\n\r\n")
    assert "NTLM" in error.message
    assert "\x1b" not in error.message
    assert "Basic" in error.hint


def test_a_refusal_has_a_printable_reason(loopback: Loopback) -> None:
    error = refusal(loopback, b"HTTP/1.1 403 For\x1b[2Jbidden\x9b by policy\r\n\r\n<html>")
    assert "403 For" in error.message
    assert "example.com:443" in error.message
    assert error.message.isascii()
    assert error.message.isprintable()


def test_a_redirect_is_a_refusal(loopback: Loopback) -> None:
    assert "302" in refusal(loopback, b"HTTP/1.1 302 Found\r\nLocation: http://login/\r\n\r\n").message


def test_something_else_than_a_proxy(loopback: Loopback) -> None:
    assert "not HTTP" in refusal(loopback, b"SSH-2.0-OpenSSH_9.9\r\n").message


def test_an_endless_head_is_cut_off(loopback: Loopback) -> None:
    assert "longer" in refusal(loopback, b"HTTP/1.1 200 OK\r\nX: ", b"x" * MAX_HEAD * 4).message


@pytest.mark.parametrize("part", [b"", b"HTTP/1.1 200 OK\r\nHalf: wri"])
def test_a_proxy_that_hangs_up_within_the_head(loopback: Loopback, part: bytes) -> None:
    with pytest.raises(Disconnected, match="closed without an answer"):
        dial("example.com", 443, proxy=answer(loopback, part), timeout=60)


@pytest.mark.parametrize("part", [b"", b"HTTP/1.1 200 OK\r\nHalf: wri"])
def test_a_proxy_that_stalls_within_the_head(loopback: Loopback, part: bytes) -> None:
    def handle(connection: socket.socket) -> None:
        connection.sendall(part)
        loopback.stall(connection)

    proxy = Proxy("127.0.0.1", loopback.serve(handle))
    with pytest.raises(NetworkError, match="no answer in time: the proxy"):
        dial("example.com", 443, proxy=proxy, timeout=0.1)


def test_a_proxy_that_is_not_there_is_named_as_the_proxy() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        proxy = Proxy("127.0.0.1", unused.getsockname()[1])
        with pytest.raises(NetworkError, match=r"the proxy 127\.0\.0\.1:.* refuses connections"):
            dial("example.com", 443, proxy=proxy, timeout=60)
