from __future__ import annotations

import contextlib
import select
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ssm_ssh.errors import Disconnected, ProtocolError
from ssm_ssh.transport.stream import Stream
from ssm_ssh.transport.stream_url import StreamUrl
from ssm_ssh.transport.upgrade import MAX_FRAME
from ssm_ssh.transport.websocket import WebSocket, open_websocket

from .conftest import Loopback, accepted, frame, read_head

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
URL = StreamUrl("127.0.0.1", 80, "/", "", secure=False, presigned=False)

Open = Callable[..., tuple[WebSocket, socket.socket]]


@pytest.fixture
def connect(loopback: Loopback) -> Iterator[Open]:
    """Open a WebSocket whose other end is a socket in the test's hand; `early` follows the answer in one write."""

    def connect(early: bytes = b"") -> tuple[WebSocket, socket.socket]:
        ours, theirs = socket.socketpair()
        stream = Stream(ours)
        opened.callback(stream.close)
        opened.enter_context(theirs)
        theirs.settimeout(30)
        loopback.run(lambda: theirs.sendall(accepted(read_head(theirs)) + early))
        return open_websocket(URL, stream, {}, time.monotonic() + 60), theirs

    with contextlib.ExitStack() as opened:
        yield connect


def read_frame(peer: socket.socket) -> tuple[int, bytes]:
    """Return opcode and payload of a frame from the client, which must be masked."""

    def exactly(size: int) -> bytes:
        data = b""
        while len(data) < size:
            part = peer.recv(size - len(data))
            assert part
            data += part
        return data

    first, second = exactly(2)
    assert first & 0xF0 == 0x80
    assert second & 0x80
    length = second & 0x7F
    if length >= 126:
        length = int.from_bytes(exactly(2 if length == 126 else 8), "big")
    mask = exactly(4)
    payload = exactly(length)
    return first & 0x0F, bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))


def receive(websocket: WebSocket, count: int) -> list[bytes]:
    """Receive `count` messages, by polling as the relay does."""
    messages: list[bytes] = []
    poll = select.poll()
    poll.register(websocket.fileno(), select.POLLIN)
    while len(messages) < count:
        if not websocket.has_pending():
            poll.poll()
        websocket.flush()
        messages += websocket.receive()
    return messages


def test_a_connection_does_not_import_websockets() -> None:
    code = "import sys, ssm_ssh.transport.websocket; print('websockets' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "False"


def test_messages_arrive_whole_and_in_order(connect: Open, loopback: Loopback) -> None:
    websocket, peer = connect()
    sent = [bytes([size % 251]) * size for size in (0, 1, 125, 126, 1140, 65535, 65536, MAX_FRAME)]
    loopback.run(lambda: peer.sendall(b"".join(frame(BINARY, message) for message in sent)))
    assert receive(websocket, len(sent)) == sent
    assert websocket.receive() == []


def test_messages_that_came_with_the_answer_are_announced(connect: Open) -> None:
    websocket, peer = connect(
        frame(BINARY, b"one") + frame(BINARY, b"two") + frame(PING, b"x") + frame(BINARY, b"3")[:2]
    )
    assert websocket.has_pending()
    assert websocket.receive() == [b"one", b"two"]
    assert not websocket.has_pending()
    assert read_frame(peer) == (PONG, b"x")
    peer.sendall(b"3")
    assert receive(websocket, 1) == [b"3"]


def test_an_end_that_came_with_the_answer_is_raised_after_its_messages(connect: Open) -> None:
    websocket, _ = connect(frame(BINARY, b"one") + frame(CLOSE, b"\x03\xe8bye"))
    websocket.send([b"dropped"])
    websocket.send_text("dropped")
    websocket.ping(b"dropped")
    assert websocket.receive() == [b"one"]
    assert websocket.has_pending()
    with pytest.raises(Disconnected, match="1000: bye"):
        websocket.receive()
    websocket.close()


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    messages=st.lists(st.binary(max_size=300), max_size=12),
    cuts=st.lists(st.integers(1, 400), min_size=1, max_size=20),
    pieces=st.integers(1, 4),
)
def test_however_the_stream_is_cut_the_messages_are_the_same(
    connect: Open, messages: list[bytes], cuts: list[int], pieces: int
) -> None:
    websocket, peer = connect()
    stream = b""
    for message in messages:
        step = len(message) // pieces + 1
        parts = [message[start : start + step] for start in range(0, len(message), step)] or [b""]
        for index, part in enumerate(parts):
            stream += frame(CONT if index else BINARY, part, final=index == len(parts) - 1)
            stream += frame(PING, b"between")
    received = []
    position = 0
    while position < len(stream):
        cut = cuts[position % len(cuts)]
        peer.sendall(stream[position : position + cut])
        position += cut
        received += websocket.receive()
    assert received == messages
    websocket.close()
    peer.close()


def test_many_messages_leave_in_one_write(connect: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    websocket, peer = connect()
    writes: list[int] = []
    original = Stream.send

    def send(self: Stream, data: bytes) -> None:
        writes.append(len(data))
        original(self, data)

    monkeypatch.setattr(Stream, "send", send)
    messages = [bytes([number]) * 1140 for number in range(50)]
    websocket.send(iter(messages))
    assert writes == [50 * 1148]
    assert [read_frame(peer) for _ in messages] == [(BINARY, message) for message in messages]


def test_text_is_sent_as_text_and_the_gateways_is_counted_and_dropped(connect: Open) -> None:
    websocket, peer = connect()
    websocket.send_text('{"TokenValue": "\u00e9"}')
    assert read_frame(peer) == (TEXT, '{"TokenValue": "\u00e9"}'.encode())
    peer.sendall(frame(TEXT, b"\xff\xfe") + frame(BINARY, b"data"))
    assert receive(websocket, 1) == [b"data"]
    peer.sendall(frame(TEXT, b"a", final=False) + frame(CONT, b"b") + frame(BINARY, b"more"))
    assert receive(websocket, 1) == [b"more"]
    assert websocket.ignored == 2


def test_a_ping_is_answered_at_once(connect: Open) -> None:
    websocket, peer = connect()
    peer.sendall(frame(PING, b"are you there?"))
    assert websocket.receive() == []
    assert read_frame(peer) == (PONG, b"are you there?")


def test_the_arrival_of_a_pong_shows(connect: Open) -> None:
    websocket, peer = connect()
    assert (websocket.last_pong, websocket.pongs) == (None, 0)
    websocket.ping(b"1")
    assert read_frame(peer) == (PING, b"1")
    peer.sendall(frame(PONG, b"1") + frame(PONG))
    assert websocket.receive() == []
    assert (websocket.last_pong, websocket.pongs) == (b"", 2)


def test_a_peer_that_pings_and_does_not_read_cannot_fill_the_memory(connect: Open) -> None:
    websocket, peer = connect()
    for _ in range(200):
        peer.sendall(frame(PING, b"x" * 125) * 500)
        websocket.receive()
    assert websocket.backlog < MAX_FRAME * 2


def test_endless_empty_fragments_do_not_fill_the_memory(connect: Open) -> None:
    websocket, peer = connect()
    peer.sendall(frame(BINARY, b"a", final=False) + frame(CONT, final=False) * 20_000 + frame(CONT, b"b"))
    assert receive(websocket, 1) == [b"ab"]


@pytest.mark.parametrize(
    ("payload", "code", "words"),
    [
        (b"", 1005, r"\(1005\)"),
        (b"\x03\xe8", 1000, r"\(1000\)"),
        (b"\x03\xe9going away", 1001, r"\(1001: going away\)"),
        (b"\x0f\xa0\x1b[2Jred\r\n", 4000, r"\(4000: \[2Jred\)"),
        (b"\x0f\xa0\xe2\x80\xae", 4000, r"\(4000: \?\)"),
    ],
)
def test_a_close_frame_is_echoed_and_raised_with_code_and_reason(
    connect: Open, payload: bytes, code: int, words: str
) -> None:
    websocket, peer = connect()
    peer.sendall(frame(BINARY, b"last") + frame(CLOSE, payload) + frame(BINARY, b"after"))
    assert websocket.receive() == [b"last"]
    for _ in range(2):
        with pytest.raises(Disconnected, match=words) as caught:
            websocket.receive()
    assert caught.value.code == code
    assert read_frame(peer) == (CLOSE, payload)


def test_the_end_of_the_stream_is_raised_after_the_last_message(connect: Open) -> None:
    websocket, peer = connect()
    peer.sendall(frame(BINARY, b"last") + frame(BINARY, b"cut off")[:5])
    peer.close()
    assert websocket.receive() == [b"last"]
    for _ in range(2):
        with pytest.raises(Disconnected) as caught:
            websocket.receive()
    assert caught.value.code == 0


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(frame(BINARY, b"x" * (MAX_FRAME + 1))[:10], id="too large"),
        pytest.param(b"\x82\x7f" + b"\xff" * 8, id="absurdly large"),
        pytest.param(frame(BINARY, b"x" * 60_000, final=False) * 3 + frame(CONT, b"x" * 90_000), id="too large in sum"),
        pytest.param(b"\x82\x81abcdx", id="masked"),
        pytest.param(frame(BINARY, b"x", reserved=0x40), id="compressed"),
        pytest.param(frame(3), id="unknown opcode"),
        pytest.param(frame(CONT, b"x"), id="continuation of nothing"),
        pytest.param(frame(BINARY, b"x", final=False) + frame(BINARY, b"y"), id="begun within another"),
        pytest.param(frame(PING, b"x" * 126), id="long ping"),
        pytest.param(frame(PING, final=False), id="fragmented ping"),
        pytest.param(frame(CLOSE, b"\x03"), id="short close"),
        pytest.param(frame(CLOSE, b"\x00\x01"), id="close with a reserved code"),
    ],
)
def test_a_broken_rule_is_a_protocol_error_after_the_messages_before(
    connect: Open, loopback: Loopback, bad: bytes
) -> None:
    websocket, peer = connect()
    loopback.run(lambda: peer.sendall(frame(BINARY, b"good") + bad))
    assert receive(websocket, 1) == [b"good"]
    with pytest.raises(ProtocolError, match="broke the WebSocket protocol"):
        receive(websocket, 1)
    assert websocket.has_pending()
    with pytest.raises(ProtocolError):
        websocket.receive()
    websocket.send([b"dropped"])
    websocket.close()


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(min_size=1, max_size=200))
def test_any_bytes_are_messages_or_an_error_of_ours(connect: Open, data: bytes) -> None:
    websocket, peer = connect()
    peer.sendall(data)
    peer.close()
    with contextlib.suppress(Disconnected, ProtocolError):
        while True:
            websocket.receive()
    assert websocket.has_pending()


def test_closing_says_so_and_does_not_block(connect: Open) -> None:
    websocket, peer = connect()
    websocket.send([b"data"])
    websocket.close()
    websocket.close()
    websocket.send([b"dropped"])
    assert websocket.fileno() == -1
    assert read_frame(peer) == (BINARY, b"data")
    assert read_frame(peer) == (CLOSE, b"\x03\xe8")
    assert peer.recv(1) == b""


def test_closing_does_not_wait_for_a_peer_that_does_not_read(connect: Open) -> None:
    websocket, _ = connect()
    while not websocket.wants_write:
        websocket.send([bytes(100_000)])
    assert websocket.backlog > 0
    websocket.close()
    assert websocket.fileno() == -1
