from __future__ import annotations

import contextlib
import select
import socket
import ssl
import struct
import time
from collections.abc import Iterator

import pytest

from ssm_ssh.errors import Disconnected, NetworkError, NotTrusted
from ssm_ssh.transport.dial import dial
from ssm_ssh.transport.stream import READ_SIZE, Stream, TlsStream
from ssm_ssh.transport.tls import client_context

from .conftest import Certificates, Loopback


@pytest.fixture
def pair() -> Iterator[tuple[Stream, socket.socket]]:
    """A plain stream and the other end of its connection."""
    ours, theirs = socket.socketpair()
    stream = Stream(ours)
    with theirs:
        yield stream, theirs
    stream.close()


def connect(
    loopback: Loopback, certificates: Certificates, handler: object, context: ssl.SSLContext | None = None
) -> TlsStream:
    port = loopback.serve(handler, tls=context or certificates.context("good"))  # type: ignore[arg-type]
    return TlsStream(
        dial("127.0.0.1", port, timeout=60), client_context(certificates.ca), "localhost", time.monotonic() + 60
    )


def read(stream: Stream, size: int) -> bytes:
    """Read exactly what is expected, by polling as the relay does."""
    deadline = time.monotonic() + 60
    data = b""
    while len(data) < size:
        stream.wait(deadline, "data")
        stream.flush()
        data += stream.recv()
    return data


def drained(stream: Stream) -> Disconnected:
    """Read to the end; return what ended it."""
    try:
        while True:
            stream.wait(time.monotonic() + 60, "the end")
            stream.flush()
            stream.recv()
    except Disconnected as error:
        return error


def echo(connection: socket.socket) -> None:
    while data := connection.recv(65536):
        connection.sendall(data)


def test_plain_bytes_go_both_ways(pair: tuple[Stream, socket.socket]) -> None:
    stream, peer = pair
    assert stream.recv() == b""
    stream.send(b"hello")
    assert peer.recv(100) == b"hello"
    peer.sendall(b"world")
    assert stream.recv() == b"world"
    assert not stream.has_pending()
    assert stream.backlog == 0


def test_what_the_kernel_does_not_take_is_kept_in_order(pair: tuple[Stream, socket.socket]) -> None:
    stream, peer = pair
    sent = b""
    while not stream.wants_write:
        piece = bytes([len(sent) // 50_000 % 256]) * 50_000
        stream.send(piece)
        sent += piece
    stream.send(b"the end")
    sent += b"the end"
    assert stream.backlog > len(b"the end")
    received = b""
    while len(received) < len(sent):
        received += peer.recv(65536)
        stream.flush()
    assert received == sent
    assert (stream.backlog, stream.wants_write) == (0, False)


def test_the_end_is_raised_after_the_last_bytes_and_then_always(pair: tuple[Stream, socket.socket]) -> None:
    stream, peer = pair
    peer.sendall(b"last words")
    peer.close()
    assert stream.recv() == b"last words"
    for _ in range(2):
        with pytest.raises(Disconnected, match="the other side closed"):
            stream.recv()
    assert stream.has_pending()


def test_a_failed_write_is_raised_by_reading_after_what_was_received(pair: tuple[Stream, socket.socket]) -> None:
    stream, peer = pair
    peer.sendall(b"the reason")
    peer.close()
    stream.send(b"more")
    stream.send(b"more")
    stream.flush()
    assert (stream.backlog, stream.wants_write, stream.has_pending()) == (0, False, True)
    stream.wait(time.monotonic() + 60, "anything")
    assert stream.recv() == b"the reason"
    with pytest.raises(Disconnected):
        stream.recv()


def test_a_failed_write_is_raised_even_if_nothing_can_be_read() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        stream = Stream(ours)
        ours.shutdown(socket.SHUT_WR)
        stream.send(b"x")
        for _ in range(2):
            with pytest.raises(Disconnected, match="broke"):
                stream.recv()
        stream.close()


def test_a_reset_is_a_disconnection(loopback: Loopback) -> None:
    def reset(connection: socket.socket) -> None:
        connection.recv(1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    stream = Stream(dial("127.0.0.1", loopback.serve(reset), timeout=60))
    stream.send(b"x")
    assert "broke" in drained(stream).message
    stream.close()


def test_closing_twice_is_closing_once(pair: tuple[Stream, socket.socket]) -> None:
    stream, peer = pair
    stream.send(b"bye")
    peer.sendall(b"unread")
    stream.close()
    stream.close()
    assert stream.fileno() == -1
    assert peer.recv(100) == b"bye"
    assert peer.recv(100) == b""


def test_waiting_ends_at_the_deadline(pair: tuple[Stream, socket.socket]) -> None:
    with pytest.raises(NetworkError, match="no answer in time: the answer"):
        pair[0].wait(time.monotonic() + 0.01, "the answer")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls_carries_megabytes_both_ways(
    loopback: Loopback, certificates: Certificates, version: ssl.TLSVersion
) -> None:
    context = certificates.context("good")
    context.minimum_version = context.maximum_version = version
    stream = connect(loopback, certificates, echo, context)
    data = bytes(range(256)) * 4096 * 4
    received = b""
    position = 0
    poll = select.poll()
    while len(received) < len(data):
        if position < len(data) and stream.backlog < 100_000:
            stream.send(data[position : position + 70_001])
            position += 70_001
        events = select.POLLIN | (select.POLLOUT if stream.wants_write or position < len(data) else 0)
        poll.register(stream.fileno(), events)
        poll.poll()
        stream.flush()
        part = stream.recv()
        assert len(part) <= READ_SIZE + 16_384
        received += part
    assert received == data
    stream.close()


def test_data_right_behind_the_handshake_is_announced(loopback: Loopback, certificates: Certificates) -> None:
    """TLS 1.2 lets the server speak in the flight that ends the handshake; all of it may be one read of ours."""
    context = certificates.context("good")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = context.wrap_bio(incoming, outgoing, server_side=True)

    def handle(connection: socket.socket) -> None:
        while True:
            try:
                server.do_handshake()
                break
            except ssl.SSLWantReadError:
                connection.sendall(outgoing.read())
                incoming.write(connection.recv(65536))
        server.write(b"SSH-2.0-early\r\n")
        connection.sendall(outgoing.read())
        loopback.stall(connection)

    port = loopback.serve(handle)
    sock = dial("127.0.0.1", port, timeout=60)
    stream = TlsStream(sock, client_context(certificates.ca), "localhost", time.monotonic() + 60)
    assert read(stream, 15) == b"SSH-2.0-early\r\n"
    assert not stream.has_pending()
    stream.close()


def test_an_orderly_end_of_tls(loopback: Loopback, certificates: Certificates) -> None:
    def handle(connection: socket.socket) -> None:
        connection.sendall(b"bye")
        connection.unwrap()  # type: ignore[attr-defined]

    stream = connect(loopback, certificates, handle)
    assert read(stream, 3) == b"bye"
    assert "closed" in drained(stream).message
    stream.close()


def test_an_end_without_goodbye_is_a_disconnection_too(loopback: Loopback, certificates: Certificates) -> None:
    stream = connect(loopback, certificates, lambda connection: connection.sendall(b"bye"))  # type: ignore[attr-defined]
    assert read(stream, 3) == b"bye"
    assert "closed" in drained(stream).message
    stream.send(b"nobody reads this")
    stream.close()


def test_garbage_instead_of_records_is_a_disconnection(loopback: Loopback, certificates: Certificates) -> None:
    def handle(connection: socket.socket) -> None:
        with socket.socket(fileno=connection.detach()) as raw:
            raw.sendall(b"this is no TLS record at all")
            loopback.stall(raw)

    stream = connect(loopback, certificates, handle)
    assert "TLS failed" in drained(stream).message
    stream.close()


def test_a_certificate_refused_by_us_is_told_to_the_server(loopback: Loopback, certificates: Certificates) -> None:
    alerts: list[str | None] = []

    def handle(connection: socket.socket) -> None:
        with contextlib.closing(connection):
            try:
                tls = certificates.context("wrong name")
                tls.wrap_socket(connection, server_side=True).recv(1)
            except ssl.SSLError as error:
                alerts.append(error.reason)

    port = loopback.serve(handle)
    with pytest.raises(NotTrusted):
        TlsStream(
            dial("127.0.0.1", port, timeout=60), client_context(certificates.ca), "localhost", time.monotonic() + 60
        )
    loopback.stop()
    assert alerts == ["SSLV3_ALERT_BAD_CERTIFICATE"]


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "TLS with localhost failed"),
        (b"SSH-2.0-OpenSSH_9.9\r\n", "TLS with localhost failed"),
        (b"", "cut off"),
        (b"\x16\x03\x03", "cut off"),
    ],
)
def test_a_server_that_does_not_speak_tls(
    loopback: Loopback, certificates: Certificates, said: bytes, words: str
) -> None:
    def handle(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(said)

    sock = dial("127.0.0.1", loopback.serve(handle), timeout=60)
    with pytest.raises(NetworkError, match=words):
        TlsStream(sock, client_context(certificates.ca), "localhost", time.monotonic() + 60)
    assert sock.fileno() < 0


def test_a_handshake_that_stalls_ends_at_the_deadline(loopback: Loopback, certificates: Certificates) -> None:
    sock = dial("127.0.0.1", loopback.serve(loopback.stall), timeout=60)
    with pytest.raises(NetworkError, match="no answer in time: the TLS handshake with localhost"):
        TlsStream(sock, client_context(certificates.ca), "localhost", time.monotonic() + 0.05)
    assert sock.fileno() < 0
