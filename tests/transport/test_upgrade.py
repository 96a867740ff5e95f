from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable

import pytest

from ssm_ssh.errors import AccessDenied, NetworkError, ProtocolError, SsmSshError, UpgradeRefused, UsageError
from ssm_ssh.transport.dial import dial
from ssm_ssh.transport.http import MAX_HEAD
from ssm_ssh.transport.stream import Stream, TlsStream
from ssm_ssh.transport.stream_url import StreamUrl
from ssm_ssh.transport.tls import client_context
from ssm_ssh.transport.websocket import WebSocket, open_websocket

from .conftest import Certificates, Loopback, accepted, read_head

URL = StreamUrl("gateway.example", 443, "/v1/data-channel/s-1", "role=x&sig=QueryS3cretQueryS3cret", True, False)
HEADERS = {
    "Authorization": "AWS4-HMAC-SHA256 Signature=HeaderS3cretHeaderS3cret",
    "X-Amz-Security-Token": "Tok/S3cret+12=",
}


def upgrade(
    loopback: Loopback,
    respond: Callable[[bytes, socket.socket], None],
    *,
    url: StreamUrl = URL,
    headers: dict[str, str] | None = None,
    seconds: float = 60,
) -> WebSocket:
    """Open a WebSocket to a server that answers by `respond(request, connection)` and then hangs up."""

    def handle(connection: socket.socket) -> None:
        respond(read_head(connection), connection)

    stream = Stream(dial("127.0.0.1", loopback.serve(handle), timeout=60))
    try:
        return open_websocket(url, stream, headers or {}, time.monotonic() + seconds)
    except BaseException:
        assert stream.fileno() == -1
        raise


def refused(loopback: Loopback, *parts: bytes) -> UpgradeRefused:
    error = failure(loopback, *parts)
    assert isinstance(error, UpgradeRefused)
    return error


def failure(loopback: Loopback, *parts: bytes) -> SsmSshError:
    def respond(_: bytes, connection: socket.socket) -> None:
        for part in parts:
            connection.sendall(part)

    with pytest.raises(SsmSshError) as caught:
        upgrade(loopback, respond, headers=HEADERS)
    sentence = caught.value.message + caught.value.hint
    assert sentence.isascii()
    assert sentence.isprintable()
    assert "S3cret" not in sentence
    return caught.value


def test_the_request_is_a_plain_upgrade_with_the_callers_headers(loopback: Loopback) -> None:
    requests: list[bytes] = []

    def respond(request: bytes, connection: socket.socket) -> None:
        requests.append(request)
        connection.sendall(accepted(request))

    upgrade(loopback, respond, headers=HEADERS).close()
    lines = requests[0].decode().split("\r\n")
    assert lines[0] == "GET /v1/data-channel/s-1?role=x&sig=QueryS3cretQueryS3cret HTTP/1.1"
    assert lines.count("Host: gateway.example") == 1
    assert f"Authorization: {HEADERS['Authorization']}" in lines
    assert "Sec-WebSocket-Version: 13" in lines
    assert "extensions" not in requests[0].decode().lower()
    assert "protocol:" not in requests[0].decode().lower()


def test_a_header_of_the_callers_replaces_ours(loopback: Loopback) -> None:
    requests: list[bytes] = []

    def respond(request: bytes, connection: socket.socket) -> None:
        requests.append(request)
        connection.sendall(accepted(request))

    upgrade(loopback, respond, headers={"host": "signed.example:8443"}).close()
    assert requests[0].lower().count(b"host:") == 1
    assert b"signed.example:8443" in requests[0]


@pytest.mark.parametrize("value", ["a\r\nEvil: yes", "a\n", "\x00", "\u00e9"])
def test_a_header_that_would_break_the_request_is_not_sent(loopback: Loopback, value: str) -> None:
    with pytest.raises(UsageError, match="X-Amz-Security-Token") as caught:
        upgrade(loopback, lambda *_: None, headers={"X-Amz-Security-Token": "S3cret" + value})
    assert "S3cret" not in caught.value.message


def test_no_logger_sees_the_headers(loopback: Loopback, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for name in ("websockets", "websockets.client"):
        caplog.set_level(logging.DEBUG, name)
    upgrade(loopback, lambda request, connection: connection.sendall(accepted(request)), headers=HEADERS).close()
    assert caplog.text == ""


@pytest.mark.parametrize("status", [200, 204, 400, 401, 403, 404, 407, 410, 429, 500, 503])
def test_any_other_status_is_a_refusal_that_carries_it(loopback: Loopback, status: int) -> None:
    error = refused(loopback, f"HTTP/1.1 {status} Some Reason\r\nContent-Length: 0\r\n\r\n".encode())
    assert error.status == status
    assert f"gateway.example answered the WebSocket upgrade with {status} Some Reason" in error.message
    assert error.hint


def test_no_redirect_is_followed(loopback: Loopback) -> None:
    reached = threading.Event()
    elsewhere = loopback.serve(lambda _: reached.set())
    head = f"HTTP/1.1 302 Found\r\nLocation: ws://127.0.0.1:{elsewhere}/\r\nContent-Length: 0\r\n\r\n"
    assert "does not follow redirects" in refused(loopback, head.encode()).hint
    loopback.stop()
    assert not reached.is_set()


def test_reason_and_body_are_quoted_printable(loopback: Loopback) -> None:
    body = b'{"message": "no\x1b[2J\r\nentry \xe2\x80\xae"}'
    error = refused(loopback, b"HTTP/1.1 403 Nope\x1b[1m\x9b\r\nContent-Length: %d\r\n\r\n" % len(body), body)
    assert '{"message": "no [2J entry ?"}' in error.message
    assert "ssmmessages:OpenDataChannel" in error.hint


def forbidden(body: bytes, extra: bytes = b"") -> bytes:
    return b"HTTP/1.1 403 Forbidden\r\n" + extra + b"Content-Length: %d\r\n\r\n" % len(body) + body


DENIAL = b"User: arn:x is not authorized to perform: ssmmessages:OpenDataChannel on resource: arn:y"


@pytest.mark.parametrize(
    "answer",
    [
        forbidden(b'<AccessDeniedException xmlns=""><message>' + DENIAL + b"</message></AccessDeniedException>"),
        forbidden(
            b'<?xml version="1.0"?>\n<AccessDeniedException>\n<Message>'
            + DENIAL
            + b"</Message></AccessDeniedException>"
        ),
        forbidden(b'{"__type":"AccessDeniedException","Message":"' + DENIAL + b'"}'),
        forbidden(DENIAL, b"x-amzn-ErrorType: AccessDeniedException\r\n"),
    ],
)
def test_what_a_policy_denies_is_told_from_what_a_new_token_may_change(loopback: Loopback, answer: bytes) -> None:
    error = failure(loopback, answer)
    assert isinstance(error, AccessDenied)
    assert (error.code, error.operation, error.status) == ("AccessDeniedException", "OpenDataChannel", 403)
    assert DENIAL.decode() in error.message
    assert "<" not in error.sentence()


def test_a_denial_that_repeats_the_request_is_one_without_its_words(loopback: Loopback) -> None:
    error = failure(loopback, forbidden(b"<AccessDenied><m>sig=QueryS3cretQueryS3cret</m></AccessDenied>"))
    assert isinstance(error, AccessDenied)
    assert error.message.endswith("403 Forbidden")


def test_a_code_that_a_new_token_may_change_is_no_denial_and_is_quoted_without_tags(loopback: Loopback) -> None:
    body = b'<ExpiredTokenException xmlns=""><message>1f: it&apos;s &lt;over&gt;</message></ExpiredTokenException>'
    assert refused(loopback, forbidden(body)).message.endswith(" 403 Forbidden ExpiredTokenException: 1f: it's <over>")


@pytest.mark.parametrize(
    "body",
    [
        b"expected x-amz-security-token:Tok/S3cret+12=",
        b"sig=QueryS3cretQueryS3cret",
        b"Signature=HeaderS3cretHeaderS3cret",
        b"<HTML>Blocked S3cret",
    ],
)
def test_a_body_that_repeats_the_request_is_not_quoted(loopback: Loopback, body: bytes) -> None:
    error = refused(loopback, b"HTTP/1.1 403 No\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    assert error.message.endswith("403 No")


def test_an_endless_body_is_read_to_a_bound(loopback: Loopback) -> None:
    error = refused(loopback, b"HTTP/1.1 500 Oops\r\nContent-Length: 999999999\r\n\r\n", b"x" * 100_000)
    assert len(error.message) < 400


@pytest.mark.parametrize(
    "length", [b"", b"Content-Length: -1\r\n", b"Content-Length: 9e9\r\n", b"Content-Length: 50\r\n"]
)
def test_a_body_that_does_not_come_is_no_second_error(loopback: Loopback, length: bytes) -> None:
    assert refused(loopback, b"HTTP/1.1 403 No\r\n" + length + b"\r\npart").status == 403


def test_a_body_that_stalls_is_not_waited_for(loopback: Loopback, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ssm_ssh.transport.upgrade._BODY_TIMEOUT", 0.01)

    def respond(_: bytes, connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 403 No\r\nContent-Length: 50\r\n\r\npart")
        loopback.stall(connection)

    with pytest.raises(UpgradeRefused, match="403 No"):
        upgrade(loopback, respond)


@pytest.mark.parametrize(
    "extra",
    [
        ("Sec-WebSocket-Extensions: permessage-deflate",),
        ("Sec-WebSocket-Protocol: chat",),
    ],
)
def test_nothing_that_was_not_offered_is_accepted(loopback: Loopback, extra: tuple[str, ...]) -> None:
    with pytest.raises(ProtocolError, match="broke the WebSocket handshake"):
        upgrade(loopback, lambda request, connection: connection.sendall(accepted(request, *extra)))


def test_a_wrong_proof_is_refused(loopback: Loopback) -> None:
    wrong = accepted(b"Sec-WebSocket-Key: bm90IHRoZSBrZXk=")
    with pytest.raises(ProtocolError, match="broke the WebSocket handshake"):
        upgrade(loopback, lambda _, connection: connection.sendall(wrong))


def test_a_101_to_something_else_is_refused(loopback: Loopback) -> None:
    with pytest.raises(ProtocolError, match="broke the WebSocket handshake"):
        upgrade(
            loopback,
            lambda _, connection: connection.sendall(
                b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n"
            ),
        )


@pytest.mark.parametrize("answer", [b"SSH-2.0-x\r\n", b"HTTP/1.1 101 OK\r\nX: " + b"x" * MAX_HEAD])
def test_an_answer_that_is_no_bounded_http_is_a_protocol_error(loopback: Loopback, answer: bytes) -> None:
    with pytest.raises(ProtocolError, match=r"gateway\.example did not answer"):
        upgrade(loopback, lambda _, connection: connection.sendall(answer))


def test_a_malformed_head_is_a_protocol_error(loopback: Loopback) -> None:
    with pytest.raises(ProtocolError, match="malformed"):
        upgrade(loopback, lambda _, connection: connection.sendall(b"HTTP/1.1 101 OK\r\nno colon\r\n\r\n"))


def test_a_server_that_hangs_up(loopback: Loopback) -> None:
    with pytest.raises(NetworkError, match="the other side closed"):
        upgrade(loopback, lambda _, connection: connection.sendall(b"HTTP/1.1 101 Swi"))


def test_a_server_that_stalls(loopback: Loopback) -> None:
    with pytest.raises(NetworkError, match=r"no answer in time: the WebSocket upgrade of gateway\.example"):
        upgrade(loopback, lambda _, connection: loopback.stall(connection), seconds=0.05)


def test_an_answer_in_pieces_is_put_together(loopback: Loopback) -> None:
    def respond(request: bytes, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in accepted(request):
            connection.sendall(bytes([byte]))
        loopback.stall(connection)

    websocket = upgrade(loopback, respond)
    assert websocket.receive() == []
    websocket.close()


def test_the_upgrade_goes_through_tls(loopback: Loopback, certificates: Certificates) -> None:
    def handle(connection: socket.socket) -> None:
        connection.sendall(accepted(read_head(connection)))
        loopback.stall(connection)

    port = loopback.serve(handle, tls=certificates.context("good"))
    deadline = time.monotonic() + 60
    stream = TlsStream(dial("127.0.0.1", port, timeout=60), client_context(certificates.ca), "localhost", deadline)
    websocket = open_websocket(URL, stream, {}, deadline)
    assert websocket.fileno() >= 0
    websocket.close()
