from __future__ import annotations

import socket
import threading
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssm_ssh.aws.api import http
from ssm_ssh.aws.config.endpoints import Endpoint
from ssm_ssh.errors import NetworkError, NotTrusted, ProtocolError, ProxyRefused, UsageError
from ssm_ssh.transport.tls import client_context

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from conftest import FakeAws

ENDPOINT = Endpoint("http", "127.0.0.1", 80, "/", override=True)
LONG = http.Deadlines(10.0, 10.0, None)


def ask(
    pieces: Iterable[bytes], deadlines: http.Deadlines = LONG, body: bytes = b"{}", **headers: str
) -> http.Response:
    """Ask a server that says `pieces`, one send each, and hangs up."""
    near, far = socket.socketpair()

    def serve() -> None:
        with far:
            try:
                far.recv(65536)
                for piece in pieces:
                    far.sendall(piece)
            except OSError:
                pass

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        return http.exchange(near, ENDPOINT, {"Host": "h", **headers}, body, deadlines)
    finally:
        assert near.fileno() == -1
        thread.join()


def split(data: bytes, size: int) -> list[bytes]:
    return [data[i : i + size] for i in range(0, len(data), size)]


@given(body=st.binary(max_size=300), size=st.integers(1, 400), form=st.sampled_from(["length", "chunked", "close"]))
def test_any_body_in_any_pieces(body: bytes, size: int, form: str) -> None:
    head = b"HTTP/1.1 200 OK\r\nX-Amzn-RequestId: r\r\n"
    if form == "length":
        raw = head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    elif form == "close":
        raw = head + b"\r\n" + body
    else:
        chunks = b"".join(b"%X;x=1\r\n%b\r\n" % (len(part), part) for part in split(body, 7))
        raw = head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"
    answer = ask(split(raw, size))
    assert (answer.status, answer.body) == (200, body)
    assert answer.headers["x-amzn-requestid"] == "r"


def test_interim_answers_are_passed_over() -> None:
    raw = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nX: y\r\n\r\nHTTP/1.1 204 None\r\n\r\n"
    assert ask([raw]) == http.Response(204, {}, b"")


def test_a_redirect_is_an_answer_like_any_other() -> None:
    assert ask([b"HTTP/1.1 302 Found\r\nLocation: http://evil/\r\nContent-Length: 0\r\n\r\n"]).status == 302


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"HTTP/1.1 20",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
)
def test_half_an_answer(raw: bytes) -> None:
    with pytest.raises(NetworkError, match="complete"):
        ask([raw])


@pytest.mark.parametrize(
    "raw",
    [
        b"SSH-2.0-OpenSSH_9.9\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFF\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;" + b"x" * 5000,
        b"HTTP/1.1 200 OK\r\n" + b"X: " + b"x" * 20000,
    ],
)
def test_what_is_not_an_answer_of_aws(raw: bytes) -> None:
    with pytest.raises(ProtocolError):
        ask([raw])


@pytest.mark.parametrize("form", ["close", "chunked"])
def test_endless_body(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "MAX_BODY", 100_000)

    def pieces() -> Iterable[bytes]:
        yield b"HTTP/1.1 200 OK\r\n" + (b"Transfer-Encoding: chunked\r\n\r\n" if form == "chunked" else b"\r\n")
        while True:
            yield b"1000\r\n" + b"x" * 4096 + b"\r\n"

    with pytest.raises(ProtocolError, match="exceeds"):
        ask(pieces())


def test_the_deadline_ends_a_drip() -> None:
    def pieces() -> Iterable[bytes]:
        yield b"HTTP/1.1 200 OK\r\n\r\n"
        while True:
            yield b"x"

    with pytest.raises(NetworkError, match="in time"):
        ask(pieces(), http.Deadlines(10.0, 10.0, time.monotonic() + 0.1))


def test_silence_ends_by_itself() -> None:
    near, far = socket.socketpair()
    with far, pytest.raises(NetworkError, match="in time"):
        http.exchange(near, ENDPOINT, {"Host": "h"}, b"", http.Deadlines(10.0, 0.05, None))


def test_a_deadline_that_has_passed() -> None:
    past = http.Deadlines(10.0, 10.0, time.monotonic() - 1)
    with pytest.raises(NetworkError, match="in time"):
        http.connect(ENDPOINT, env={}, context=client_context, deadlines=past)


def test_a_line_break_never_becomes_a_header() -> None:
    with pytest.raises(ProtocolError, match="line break"):
        ask([], X="a\r\nY: b")


@pytest.mark.parametrize("character", ["\xa0", "\u2026", "\U0001f511"])
def test_a_header_that_cannot_be_sent_is_not_shown(character: str) -> None:
    with pytest.raises(ProtocolError, match="not ASCII") as failure:
        ask([], Token=f"CANARY{character}")
    assert "CANARY" not in repr(failure.value)


def test_repr_of_an_answer_hides_the_body() -> None:
    assert "CANARY" not in repr(http.Response(200, {"x": "CANARY"}, b"CANARY"))


def test_untrusted_certificate(aws: FakeAws) -> None:
    endpoint = Endpoint("https", "127.0.0.1", aws.port, "/", override=True)
    with pytest.raises(NotTrusted):
        http.connect(endpoint, env={}, context=lambda: client_context(None), deadlines=LONG)


def test_wrong_name(aws: FakeAws, certificate: Path) -> None:
    endpoint = Endpoint("https", "localhost", aws.port, "/", override=True)
    with pytest.raises(NotTrusted):
        http.connect(endpoint, env={}, context=lambda: client_context(str(certificate)), deadlines=LONG)


def test_server_that_speaks_no_tls(plain_aws: FakeAws) -> None:
    endpoint = Endpoint("https", "127.0.0.1", plain_aws.port, "/", override=True)
    plain_aws.answers = [b"HTTP/1.1 400 X\r\n\r\n"]
    with pytest.raises(NetworkError):
        http.connect(endpoint, env={}, context=lambda: client_context(None), deadlines=http.Deadlines(0.5, 0.5, None))


def test_proxy_is_used_for_https_alone(aws: FakeAws, plain_aws: FakeAws, certificate: Path) -> None:
    env = {"HTTPS_PROXY": plain_aws.url}
    plain_aws.answers = [b"HTTP/1.1 403 No\r\n\r\n"]
    endpoint = Endpoint("https", "127.0.0.1", aws.port, "/", override=True)
    with pytest.raises(ProxyRefused):
        http.connect(endpoint, env=env, context=lambda: client_context(str(certificate)), deadlines=LONG)
    assert plain_aws.requests[0].line == f"CONNECT 127.0.0.1:{aws.port} HTTP/1.1"
    plain = Endpoint("http", "127.0.0.1", plain_aws.port, "/", override=True)
    http.connect(plain, env=env, context=client_context, deadlines=LONG).close()


def test_bundle_that_is_missing_closes_the_socket(aws: FakeAws) -> None:
    endpoint = Endpoint("https", "127.0.0.1", aws.port, "/", override=True)
    with pytest.raises(UsageError):
        http.connect(endpoint, env={}, context=lambda: client_context("/nonexistent.pem"), deadlines=LONG)
