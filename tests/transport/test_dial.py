from __future__ import annotations

import contextlib
import errno
import os
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from ssm_ssh.errors import NetworkError
from ssm_ssh.transport import dial as module
from ssm_ssh.transport.dial import dial
from ssm_ssh.transport.proxy import Proxy

from .conftest import Loopback

Addresses = list[tuple[str, int]]


@pytest.fixture
def resolve(monkeypatch: pytest.MonkeyPatch) -> Callable[[Addresses], None]:
    """Make the resolver answer for any name with these addresses."""
    real = socket.getaddrinfo

    def install(addresses: Addresses) -> None:
        def answer(host: str, port: int, *arguments: int) -> list[object]:
            if arguments[3] & socket.AI_NUMERICHOST:
                return list(real(host, port, *arguments))
            return [entry for address in addresses for entry in real(*address, *arguments)]

        monkeypatch.setattr(socket, "getaddrinfo", answer)

    return install


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, int]]:
    """An address to which a connection neither succeeds nor fails."""
    real = module._begin
    address = ("192.0.2.1", 443)
    kept = contextlib.ExitStack()

    def begin(family: int, where: tuple[str, int], failures: list[OSError]) -> socket.socket | None:
        if where != address:
            return real(family, where, failures)
        ours, theirs = socket.socketpair()
        kept.enter_context(theirs)
        ours.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while ours.send(bytes(65536)):
                pass
        return ours

    monkeypatch.setattr(module, "_begin", begin)
    with kept:
        yield address


@pytest.fixture
def refusing() -> Iterator[tuple[str, int]]:
    """An address that refuses connections: bound, so that nobody else gets it, and not listening."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()


def test_a_connection_sends_without_delay_keeps_alive_and_closes_on_exec(loopback: Loopback) -> None:
    with dial("127.0.0.1", loopback.serve(loopback.stall), timeout=60) as sock:
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert not os.get_inheritable(sock.fileno())
        assert sock.gettimeout() == 60


def test_the_kernel_queues_little(loopback: Loopback) -> None:
    with dial("127.0.0.1", loopback.serve(loopback.stall), timeout=60) as sock:
        option = module._TCP_NOTSENT_LOWAT
        if option is not None:
            assert sock.getsockopt(socket.IPPROTO_TCP, option) == module._NOT_SENT_LOW_WATER


def test_an_option_that_the_kernel_does_not_know_does_no_harm(
    loopback: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_TCP_NOTSENT_LOWAT", 9999)
    dial("127.0.0.1", loopback.serve(loopback.stall), timeout=60).close()


def test_a_name_is_resolved(loopback: Loopback, resolve: Callable[[Addresses], None]) -> None:
    port = loopback.serve(loopback.stall)
    resolve([("127.0.0.1", port)])
    with dial("gateway.example", 443, timeout=60) as sock:
        assert sock.getpeername()[1] == port


def test_the_next_address_is_tried_when_one_refuses(
    loopback: Loopback, resolve: Callable[[Addresses], None], refusing: tuple[str, int]
) -> None:
    port = loopback.serve(loopback.stall)
    resolve([refusing, refusing, ("127.0.0.1", port)])
    with dial("gateway.example", 443, timeout=60) as sock:
        assert sock.getpeername()[1] == port


def test_the_next_address_is_tried_beside_a_silent_one(
    loopback: Loopback, resolve: Callable[[Addresses], None], silent: tuple[str, int]
) -> None:
    port = loopback.serve(loopback.stall)
    resolve([silent, ("127.0.0.1", port)])
    with dial("gateway.example", 443, timeout=60) as sock:
        assert sock.getpeername()[1] == port


def test_an_address_of_a_family_that_the_kernel_lacks_is_passed_over(
    loopback: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = loopback.serve(loopback.stall)
    monkeypatch.setattr(module, "_lookup", lambda *_: [(9999, ("x", 1)), (int(socket.AF_INET), ("127.0.0.1", port))])
    dial("gateway.example", 443, timeout=60).close()


def test_families_take_turns() -> None:
    six, four = int(socket.AF_INET6), int(socket.AF_INET)
    entries = [(six, ("a", 1)), (six, ("b", 1)), (six, ("c", 1)), (four, ("d", 1))]
    assert [address[0] for _, address in module._alternate(entries)] == ["a", "d", "b", "c"]


def test_nothing_listens(refusing: tuple[str, int]) -> None:
    with pytest.raises(NetworkError, match=f"127.0.0.1:{refusing[1]} refuses connections"):
        dial(*refusing, timeout=60)


def test_nobody_answers(resolve: Callable[[Addresses], None], silent: tuple[str, int]) -> None:
    resolve([silent])
    with pytest.raises(NetworkError, match=r"no answer in time: gateway\.example:443") as caught:
        dial("gateway.example", 443, timeout=1.0)
    assert "HTTPS_PROXY" in caught.value.hint


def test_one_refuses_and_the_other_stays_silent_until_the_deadline(
    resolve: Callable[[Addresses], None], silent: tuple[str, int], refusing: tuple[str, int]
) -> None:
    resolve([silent, refusing])
    with pytest.raises(NetworkError, match="no answer in time"):
        dial("gateway.example", 443, timeout=0.5)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.ENETUNREACH, "no route"),
        (errno.EHOSTUNREACH, "no route"),
        (errno.ETIMEDOUT, "no answer in time"),
        (errno.EACCES, "EACCES"),
    ],
)
def test_other_failures_say_what_they_are(monkeypatch: pytest.MonkeyPatch, code: int, words: str) -> None:
    def begin(_family: int, _address: tuple[str, int], failures: list[OSError]) -> None:
        failures.append(OSError(code, "x"))

    monkeypatch.setattr(module, "_begin", begin)
    with pytest.raises(NetworkError, match=words):
        dial("127.0.0.1", 443, timeout=60)


@pytest.mark.parametrize(
    ("code", "words"), [(socket.EAI_NONAME, "does not resolve"), (socket.EAI_AGAIN, "name service cannot resolve")]
)
def test_a_name_that_does_not_resolve(monkeypatch: pytest.MonkeyPatch, code: int, words: str) -> None:
    def fail(*_: object) -> None:
        raise socket.gaierror(code, "x")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(NetworkError, match=words) as caught:
        dial("proxy-less.example", 443, timeout=60)
    assert "proxy-less.example:443" in caught.value.message
    assert "DNS" in caught.value.hint
    with pytest.raises(NetworkError, match=r"the proxy proxy\.example:1"):
        dial("example.com", 443, proxy=Proxy("proxy.example", 1), timeout=60)


@pytest.mark.parametrize("name", ["a" * 64 + ".example", "a..b", ""])
def test_a_name_that_cannot_exist(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.getaddrinfo

    def encode_only(host: bytes, *arguments: int) -> list[object]:
        host.decode("ascii").encode("idna")
        return list(real("", *arguments)) if arguments[3] else []

    monkeypatch.setattr(socket, "getaddrinfo", encode_only)
    with pytest.raises(NetworkError):
        dial(name, 443, timeout=60)


def test_a_resolver_that_stalls_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    finish = threading.Event()

    def stall(*arguments: object) -> list[object]:
        if arguments[5] == 0:
            finish.wait()
        raise socket.gaierror(socket.EAI_NONAME, "x")

    monkeypatch.setattr(socket, "getaddrinfo", stall)
    with pytest.raises(NetworkError, match="no answer in time: the address of"):
        dial("gateway.example", 443, timeout=0.1)
    finish.set()
