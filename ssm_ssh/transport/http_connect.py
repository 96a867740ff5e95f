"""CONNECT: ask an HTTP proxy for a connection to another host.

https://www.rfc-editor.org/rfc/rfc9110#section-9.3.6
"""

from __future__ import annotations

import socket

from ssm_ssh.errors import Disconnected, NetworkError, ProtocolError, ProxyRefused
from ssm_ssh.startup import TYPE_CHECKING
from ssm_ssh.text import printable
from ssm_ssh.transport.deadline import remaining, timed_out
from ssm_ssh.transport.http import MAX_HEAD, Head, head_length, parse_head

if TYPE_CHECKING:
    from ssm_ssh.transport.proxy import Proxy


def request_tunnel(sock: socket.socket, host: str, port: int, proxy: Proxy, deadline: float) -> None:
    """Ask `proxy`, to which `sock` is connected, for a connection to `host`:`port`, before `deadline` (monotonic).

    Afterwards `sock` is that connection: exactly the proxy's header block has been read from it. Raises ProxyRefused,
    and NetworkError when the proxy hangs up or stalls.
    """
    where = f"{proxy.host}:{proxy.port}"
    waiting = f"the proxy {where}, asked for {host}:{port}"
    authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    lines = [f"CONNECT {authority} HTTP/1.1", f"Host: {authority}"]
    if proxy.authorization:
        lines.append(f"Proxy-Authorization: {proxy.authorization}")
    try:
        sock.settimeout(remaining(deadline, waiting))
        sock.sendall(("\r\n".join(lines) + "\r\n\r\n").encode("ascii"))
        head = _read_head(sock, deadline, waiting, secure=proxy.secure)
    except TimeoutError:
        raise timed_out(waiting) from None
    except OSError as error:
        raise NetworkError(
            f"the connection to the proxy {where} broke: {error.strerror or error}", "Check HTTPS_PROXY"
        ) from None
    except ProtocolError as error:
        raise ProxyRefused(
            f"the proxy {where} did not answer CONNECT correctly: {error.message}", "Check HTTPS_PROXY"
        ) from None
    if not 200 <= head.status <= 299:
        raise _refused(head, where, host, port, proxy)


def _read_head(sock: socket.socket, deadline: float, waiting: str, *, secure: bool) -> Head:
    """Read exactly one header block: the bytes after it belong to the tunnel."""
    data = bytearray()
    if not secure:
        return _peek_head(sock, data, deadline, waiting)
    # TLS cannot peek. It reads whole records, so that a single byte rarely costs a system call.
    while True:
        sock.settimeout(remaining(deadline, waiting))
        byte = sock.recv(1)
        if not byte:
            raise _hung_up(waiting)
        data += byte
        if (byte == b"\n" or len(data) >= MAX_HEAD) and head_length(data):
            return parse_head(data)


def _peek_head(sock: socket.socket, data: bytearray, deadline: float, waiting: str) -> Head:
    while True:
        sock.settimeout(remaining(deadline, waiting))
        seen = sock.recv(MAX_HEAD, socket.MSG_PEEK)
        if not seen:
            raise _hung_up(waiting)
        length = head_length(data + seen)
        data += sock.recv(length - len(data) if length else len(seen))
        if length:
            return parse_head(data)


def _hung_up(waiting: str) -> Disconnected:
    return Disconnected(f"the connection was closed without an answer: {waiting}", "Check HTTPS_PROXY")


def _refused(head: Head, where: str, host: str, port: int, proxy: Proxy) -> ProxyRefused:
    if head.status == 407:
        schemes = [value.split(" ", 1)[0] for value in head.get_all("proxy-authenticate")]
        if schemes and "basic" not in [scheme.lower() for scheme in schemes]:
            return ProxyRefused(
                f"the proxy {where} requires authentication by {printable('/'.join(schemes), 60)}",
                "Only Basic is supported; point HTTPS_PROXY at a local proxy that authenticates for you",
            )
        return ProxyRefused(
            f"the proxy {where} did not accept the user name and password of HTTPS_PROXY"
            if proxy.authorization
            else f"the proxy {where} requires a user name and password",
            "Set HTTPS_PROXY to http://USER:PASSWORD@HOST:PORT, with special characters percent-encoded",
        )
    reason = printable(head.reason, 80)
    return ProxyRefused(
        f"the proxy {where} refused a connection to {host}:{port}: {head.status} {reason}".rstrip(),
        "Ask its administrator to allow this host, or add the host to NO_PROXY if it can be reached directly",
    )
