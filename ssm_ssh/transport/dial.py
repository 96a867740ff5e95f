"""A TCP connection to a host, directly or through a proxy, within a time limit."""

from __future__ import annotations

import errno
import select
import socket
import sys
import threading
import time

from ssm_ssh.errors import NetworkError
from ssm_ssh.startup import TYPE_CHECKING
from ssm_ssh.transport.deadline import remaining, timed_out
from ssm_ssh.transport.host_name import encoded

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from ssm_ssh.transport.proxy import Proxy

# Seconds that an address may stay silent before the next one is tried in parallel: RFC 8305, section 5.
_STAGGER = 0.25
# Bytes that the kernel queues before it has sent them. Its default of up to 4 MiB would delay acknowledgements, pings
# and the close by seconds on a slow uplink. 128 KiB are eight TLS records: enough for 30 MB/s when the loop that
# refills the queue comes around every 4 ms.
_NOT_SENT_LOW_WATER = 128 * 1024
_TCP_NOTSENT_LOWAT = getattr(socket, "TCP_NOTSENT_LOWAT", {"linux": 25, "darwin": 0x201}.get(sys.platform))
# Seconds: a silent peer is probed after one minute and given up after two. AWS's NAT gateways drop a flow after 350 s.
_KEEPALIVE_IDLE, _KEEPALIVE_INTERVAL, _KEEPALIVE_COUNT = 60, 15, 4


def dial(
    host: str,
    port: int,
    *,
    proxy: Proxy | None = None,
    context: Callable[[], ssl.SSLContext] | None = None,
    timeout: float,
) -> socket.socket:
    """Return a socket connected to `host`:`port`, through `proxy` if given, after at most `timeout` seconds.

    `context` verifies the certificate of a proxy that uses TLS; None: with the system's roots. The socket has
    `timeout` set, sends without delay (TCP_NODELAY), keeps alive and is closed on exec. All addresses of a name are
    tried, the next one in parallel with a silent one. Raises NetworkError or ProxyRefused.
    """
    deadline = time.monotonic() + timeout
    near, near_port = (proxy.host, proxy.port) if proxy else (host, port)
    label = f"the proxy {near}:{near_port}" if proxy else f"{near}:{near_port}"
    sock = _connect_any(_resolve(near, near_port, label, deadline), label, deadline)
    try:
        _configure(sock)
        if proxy:
            from ssm_ssh.transport.http_connect import request_tunnel

            if proxy.secure:
                from ssm_ssh.transport.tls import client_context
                from ssm_ssh.transport.tls_proxy import bridge, handshake

                sock = outer = handshake(sock, (context or client_context)(), proxy, deadline)
                request_tunnel(sock, host, port, proxy, deadline)
                sock = bridge(outer)
            else:
                request_tunnel(sock, host, port, proxy, deadline)
        sock.settimeout(timeout)
    except BaseException:
        sock.close()
        raise
    return sock


def _resolve(host: str, port: int, label: str, deadline: float) -> list[tuple[int, tuple[str, int]]]:
    """Return (family, address) pairs, in the resolver's order of preference (RFC 6724).

    A thread looks the name up, because getaddrinfo has no timeout.
    """
    try:
        return _lookup(host, port, socket.AI_NUMERICHOST)
    except (socket.gaierror, UnicodeError):
        pass
    outcome: list[list[tuple[int, tuple[str, int]]] | Exception] = []

    def look() -> None:
        try:
            outcome.append(_lookup(host, port, 0))
        except (OSError, UnicodeError) as error:
            outcome.append(error)

    thread = threading.Thread(target=look, name="resolve", daemon=True)
    thread.start()
    thread.join(remaining(deadline, f"the address of {label}"))
    if not outcome:
        raise timed_out(f"the address of {label}")
    if isinstance(result := outcome[0], list):
        return result
    if isinstance(result, socket.gaierror) and result.errno == socket.EAI_AGAIN:
        raise NetworkError(f"the name service cannot resolve {label} now", "Check DNS and the network or VPN")
    raise NetworkError(
        f"the name of {label} does not resolve",
        "Check HTTPS_PROXY"
        if label.startswith("the proxy ")
        else "Check the region's name, the endpoint settings, DNS and the VPN",
    )


def _lookup(host: str, port: int, flags: int) -> list[tuple[int, tuple[str, int]]]:
    infos = socket.getaddrinfo(encoded(host), port, 0, socket.SOCK_STREAM, socket.IPPROTO_TCP, flags)
    entries: list[tuple[int, tuple[str, int]]] = []
    for family, _, _, _, address in infos:
        entry = (int(family), address)
        if entry not in entries:
            entries.append(entry)  # type: ignore[arg-type] # an IPv6 address has two more members
    return entries


def _connect_any(addresses: list[tuple[int, tuple[str, int]]], label: str, deadline: float) -> socket.socket:
    """Return the first socket that connects; try the next address as soon as one fails or _STAGGER passes."""
    waiting = list(_alternate(addresses))
    pending: dict[int, socket.socket] = {}
    poll = select.poll()
    failures: list[OSError] = []
    winner: socket.socket | None = None
    try:
        while winner is None:
            if waiting:
                sock = _begin(*waiting.pop(0), failures)
                if sock:
                    pending[sock.fileno()] = sock
                    poll.register(sock, select.POLLOUT)
                elif waiting:
                    continue
            if not pending:
                raise _connect_error(failures, label)
            left = remaining(deadline, label)
            wait = min(left, _STAGGER) if waiting else left
            for descriptor, _ in poll.poll(max(1, int(wait * 1000))):
                sock = pending.pop(descriptor)
                poll.unregister(descriptor)
                code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if code == 0 and winner is None:
                    winner = sock
                else:
                    failures.append(OSError(code, errno.errorcode.get(code, "")))
                    sock.close()
    finally:
        for sock in pending.values():
            sock.close()
    return winner


def _begin(family: int, address: tuple[str, int], failures: list[OSError]) -> socket.socket | None:
    try:
        sock = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        failures.append(error)
        return None
    try:
        sock.setblocking(False)
        sock.connect(address)
    except BlockingIOError:
        pass
    except OSError as error:
        sock.close()
        failures.append(error)
        return None
    return sock


def _alternate(addresses: list[tuple[int, tuple[str, int]]]) -> list[tuple[int, tuple[str, int]]]:
    """Return `addresses` with the two families alternating, the preferred one first (RFC 8305, section 4)."""
    first = [entry for entry in addresses if entry[0] == addresses[0][0]]
    other = [entry for entry in addresses if entry[0] != addresses[0][0]]
    ordered = []
    for index in range(max(len(first), len(other))):
        ordered += first[index : index + 1] + other[index : index + 1]
    return ordered


def _connect_error(failures: list[OSError], label: str) -> NetworkError:
    """Return the error for the most informative of `failures`: a refusal says more than a missing route."""
    codes = {failure.errno for failure in failures}
    if errno.ECONNREFUSED in codes:
        return NetworkError(f"{label} refuses connections", "Check the address, and HTTPS_PROXY if a proxy is needed")
    if errno.ETIMEDOUT in codes:
        return timed_out(label)
    if codes & {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL, errno.ENETDOWN}:
        return NetworkError(f"there is no route to {label}", "Check the network or VPN, and HTTPS_PROXY")
    name = errno.errorcode.get(failures[-1].errno or 0, "unknown error") if failures else "no address"
    return NetworkError(f"cannot connect to {label}: {name}", "Check the network, VPN, firewall and HTTPS_PROXY")


def _configure(sock: socket.socket) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    idle = getattr(socket, "TCP_KEEPIDLE", {"darwin": 0x10}.get(sys.platform))
    for option, value in (
        (idle, _KEEPALIVE_IDLE),
        (getattr(socket, "TCP_KEEPINTVL", None), _KEEPALIVE_INTERVAL),
        (getattr(socket, "TCP_KEEPCNT", None), _KEEPALIVE_COUNT),
        (_TCP_NOTSENT_LOWAT, _NOT_SENT_LOW_WATER),
    ):
        if option is not None:
            try:
                sock.setsockopt(socket.IPPROTO_TCP, option, value)
            except OSError:  # older kernels lack some, and a connection works without them
                continue
