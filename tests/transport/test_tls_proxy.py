"""Proxies that are spoken to over TLS, with TLS to the server inside, as urllib3 and so botocore do it."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import ssl
import threading
import time

import pytest

from ssm_ssh.errors import Disconnected, NetworkError, NotTrusted, ProxyRefused
from ssm_ssh.transport.dial import dial
from ssm_ssh.transport.proxy import Proxy, proxy_for
from ssm_ssh.transport.stream import TlsStream
from ssm_ssh.transport.tls import client_context

from .conftest import Certificates, Loopback, read_head

OK = b"HTTP/1.1 200 Connection established\r\n\r\n"


def proxy_to(loopback: Loopback, certificates: Certificates, port: int, heads: list[bytes] | None = None) -> Proxy:
    """Return a proxy over TLS that connects everything to loopback's `port`."""

    def handle(connection: socket.socket) -> None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += connection.recv(1)
        if heads is not None:
            heads.append(head)
        connection.sendall(OK)
        with socket.create_connection(("127.0.0.1", port)) as onward:
            relay(connection, onward)

    return Proxy("localhost", loopback.serve(handle, tls=certificates.context("good")), secure=True)


def relay(tls: socket.socket, plain: socket.socket) -> None:
    tls.setblocking(False)
    while True:
        with contextlib.suppress(ssl.SSLWantReadError):
            while True:
                data = tls.recv(65536)
                if not data:
                    return
                plain.sendall(data)
        readable = select.select([tls, plain], [], [])[0]
        if plain in readable:
            data = plain.recv(16384)
            if not data:
                return
            tls.setblocking(True)
            tls.sendall(data)
            tls.setblocking(False)


def echo(connection: socket.socket) -> None:
    while data := connection.recv(65536):
        connection.sendall(data)


def test_tls_through_tls_carries_bytes_both_ways(loopback: Loopback, certificates: Certificates) -> None:
    heads: list[bytes] = []
    server = loopback.serve(echo, tls=certificates.context("good"))
    proxy = proxy_to(loopback, certificates, server, heads)
    context = client_context(certificates.ca)
    sent = os.urandom(3_000_000)
    with dial("localhost", server, proxy=proxy, context=lambda: context, timeout=60) as sock:
        inner = context.wrap_socket(sock, server_hostname="localhost")
        got = bytearray()
        # In turns: OpenSSL allows no read and write of one connection at the same time.
        for start in range(0, len(sent), 60_000):
            piece = sent[start : start + 60_000]
            inner.sendall(piece)
            while len(got) < start + len(piece):
                got += inner.recv(65536)
        assert bytes(got) == sent
        inner.close()
    assert heads == [b"CONNECT localhost:%d HTTP/1.1\r\nHost: localhost:%d\r\n\r\n" % (server, server)]


def test_the_data_channels_stream_works_through_it(loopback: Loopback, certificates: Certificates) -> None:
    server = loopback.serve(echo, tls=certificates.context("good"))
    context = client_context(certificates.ca)
    proxy = proxy_to(loopback, certificates, server)
    sock = dial("localhost", server, proxy=proxy, context=lambda: context, timeout=60)
    stream = TlsStream(sock, context, "localhost", time.monotonic() + 60)
    stream.send(b"there and back")
    got = b""
    while len(got) < 14:
        select.select([stream], [], [], 60)
        got += stream.recv()
    assert got == b"there and back"
    stream.close()


def test_what_was_written_before_the_close_arrives(loopback: Loopback, certificates: Certificates) -> None:
    arrived: list[bytes] = []
    done = threading.Event()

    def handle(connection: socket.socket) -> None:
        whole = b""
        while data := connection.recv(65536):
            whole += data
        arrived.append(whole)
        done.set()

    server = loopback.serve(handle)
    context = client_context(certificates.ca)
    proxy = proxy_to(loopback, certificates, server)
    sock = dial("localhost", server, proxy=proxy, context=lambda: context, timeout=60)
    sock.sendall(b"x" * 500_000)
    sock.close()
    assert done.wait(60)
    assert arrived == [b"x" * 500_000]


def test_the_proxys_hang_up_is_the_end(loopback: Loopback, certificates: Certificates) -> None:
    server = loopback.serve(lambda connection: connection.sendall(b"last words"))
    context = client_context(certificates.ca)
    proxy = proxy_to(loopback, certificates, server)
    with (
        dial("localhost", server, proxy=proxy, context=lambda: context, timeout=60) as sock,
        sock.makefile("rb") as file,
    ):
        assert file.read() == b"last words"


def test_the_proxys_certificate_is_verified_for_its_name(loopback: Loopback, certificates: Certificates) -> None:
    context = client_context(certificates.ca)
    for name in ("wrong name", "expired", "unknown issuer"):
        port = loopback.serve(echo, tls=certificates.context(name))
        proxy = proxy_for("example.com", 443, {"HTTPS_PROXY": f"https://localhost:{port}"})
        with pytest.raises(NotTrusted, match=f"the proxy localhost:{port}"):
            dial("example.com", 443, proxy=proxy, context=lambda: context, timeout=60)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [(b"HTTP/1.1 407 Auth\r\n\r\n", ProxyRefused), (b"HTTP/1.1 403 No\r\n\r\n", ProxyRefused), (b"", Disconnected)],
)
def test_a_proxy_that_refuses(
    loopback: Loopback, certificates: Certificates, answer: bytes, kind: type[Exception]
) -> None:
    def handle(connection: socket.socket) -> None:
        read_head(connection)
        connection.sendall(answer)

    context = client_context(certificates.ca)
    proxy = Proxy("localhost", loopback.serve(handle, tls=certificates.context("good")), secure=True)
    with pytest.raises(kind):
        dial("example.com", 443, proxy=proxy, context=lambda: context, timeout=60)


def test_a_proxy_that_does_not_speak_tls(loopback: Loopback, certificates: Certificates) -> None:
    context = client_context(certificates.ca)
    proxy = Proxy("localhost", loopback.serve(lambda connection: connection.sendall(OK)), secure=True)
    with pytest.raises(NetworkError, match="TLS with the proxy localhost"):
        dial("example.com", 443, proxy=proxy, context=lambda: context, timeout=60)
