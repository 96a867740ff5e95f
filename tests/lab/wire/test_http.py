"""The lab's HTTP server, byte by byte."""

from __future__ import annotations

import asyncio
import ssl
import time
from pathlib import Path

import pytest

from ssm_ssh.lab.identity.ca import new_authority
from ssm_ssh.lab.identity.verify import Request
from ssm_ssh.lab.wire import http
from ssm_ssh.lab.wire.http import HttpServer, Response


async def _echo(request: Request) -> Response:
    return Response(200, [("X-Path", request.target)], request.body)


def talk(folder: Path, script: bytes) -> bytes:
    """Everything that the server says to `script`, until it closes."""

    async def run() -> bytes:
        authority = new_authority(folder)
        server = HttpServer(_echo, authority.server_context)
        port = await server.start()
        context = ssl.create_default_context(cadata=authority.pem.decode())
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
        writer.write(script)
        out = await reader.read()
        writer.close()
        await server.stop()
        return out

    return asyncio.run(run())


def test_a_connection_serves_many_requests(tmp_path: Path) -> None:
    script = (
        b"POST /a HTTP/1.1\r\nHost: lab\r\nContent-Length: 3\r\n\r\none"
        + b"GET /b HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n"
    )
    out = talk(tmp_path, script)
    assert out.count(b"HTTP/1.1 200 OK") == 2
    assert b"X-Path: /a" in out
    assert b"one" in out
    assert out.lower().endswith(b"connection: close\r\n\r\n")


def test_a_client_that_expects_100_continue_gets_it(tmp_path: Path) -> None:
    out = talk(
        tmp_path,
        b"POST / HTTP/1.1\r\nHost: lab\r\nExpect: 100-continue\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx",
    )
    assert out.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK")


@pytest.mark.parametrize(
    ("script", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / SPDY/3\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: lab\r\nno colon\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: lab\r\nName : value\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: lab\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx", 400),
        (b"POST / HTTP/1.1\r\nHost: lab\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: lab\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 501),
        (b"POST / HTTP/1.1\r\nHost: lab\r\nContent-Length: 99999999999\r\n\r\n", 413),
        (b"GET / HTTP/1.1\r\nHost: lab\r\n" + b"a: b\r\n" * 101 + b"\r\n", 400),
    ],
)
def test_invalid_requests_are_refused(tmp_path: Path, script: bytes, status: int) -> None:
    assert talk(tmp_path, script).startswith(b"HTTP/1.1 %d " % status)


def test_a_line_without_end_is_cut_off(tmp_path: Path) -> None:
    out = talk(tmp_path, b"GET /" + b"a" * 100_000)
    assert out.startswith(b"HTTP/1.1 431 ")
    assert b"aaa" not in out


def test_an_http_1_1_request_names_its_host(tmp_path: Path) -> None:
    assert talk(tmp_path, b"GET / HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 400 ")


def test_a_handler_that_fails_does_not_end_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def broken(request: Request) -> Response:
        raise RuntimeError("broken handler")

    monkeypatch.setitem(globals(), "_echo", broken)
    assert talk(tmp_path, b"GET / HTTP/1.1\r\nHost: lab\r\n\r\n") == b""
    assert "broken handler" in capsys.readouterr().err


def test_a_request_is_handled_to_its_end_when_its_client_has_gone(tmp_path: Path) -> None:
    handled: list[str] = []

    async def run() -> None:
        begun, go_on = asyncio.Event(), asyncio.Event()

        async def slow(request: Request) -> Response:
            begun.set()
            await go_on.wait()
            handled.append(request.target)
            return Response(200, [], b"")

        authority = new_authority(tmp_path)
        server = HttpServer(slow, authority.server_context)
        context = ssl.create_default_context(cadata=authority.pem.decode())
        _, writer = await asyncio.open_connection("127.0.0.1", await server.start(), ssl=context)
        writer.write(b"GET /late HTTP/1.1\r\nHost: lab\r\n\r\n")
        await begun.wait()
        writer.transport.abort()
        await asyncio.sleep(0.05)
        go_on.set()
        await asyncio.sleep(0)
        await server.stop()

    asyncio.run(run())
    assert handled == ["/late"]


def test_an_idle_connection_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "IDLE_SECONDS", 0.05)
    assert talk(tmp_path, b"GET / HTTP/1.1\r\nHost: lab\r\n") == b""


def test_the_servers_key_is_left_nowhere(tmp_path: Path) -> None:
    authority = new_authority(tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert b"PRIVATE" not in authority.pem


def test_a_response_can_drip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def slow(request: Request) -> Response:
        return Response(200, [], b"0123456789", drip=0.002)

    monkeypatch.setitem(globals(), "_echo", slow)
    began = time.monotonic()
    out = talk(tmp_path, b"GET / HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n")
    assert out.endswith(b"0123456789")
    assert time.monotonic() - began >= 0.002 * len(out)
