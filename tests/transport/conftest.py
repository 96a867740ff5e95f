"""Loopback servers whose behaviour is a function, certificates good and bad, and sockets under a test's control."""

from __future__ import annotations

import base64
import contextlib
import datetime
import hashlib
import ipaddress
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Handler = Callable[[socket.socket], None]


class Certificates(NamedTuple):
    """Paths of PEM files: the CA, and server chains with their keys by name."""

    ca: str
    other_ca: str
    servers: dict[str, str]

    def context(self, name: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.servers[name])
        return context


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


class _Authority:
    def __init__(self, name: str) -> None:
        self.name = _name(name)
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = self.issue(self.key, self.name, [], authority=True)[0]

    def issue(
        self,
        key: ec.EllipticCurvePrivateKey,
        subject: x509.Name,
        names: list[x509.GeneralName],
        *,
        authority: bool = False,
        signer: ec.EllipticCurvePrivateKey | None = None,
        days: tuple[int, int] = (-1, 30),
    ) -> tuple[x509.Certificate, bytes]:
        now = datetime.datetime.now(datetime.timezone.utc)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject if signer else self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + datetime.timedelta(days=days[0]))
            .not_valid_after(now + datetime.timedelta(days=days[1]))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        certificate = builder.sign(signer or self.key, hashes.SHA256())
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return certificate, private + _pem(certificate)


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    folder = tmp_path_factory.mktemp("certificates")
    good, other = _Authority("Test CA"), _Authority("Other CA")
    here: list[x509.GeneralName] = [
        x509.DNSName("localhost"),
        x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
    ]
    servers = {}

    def make(name: str, data: bytes) -> None:
        path = folder / f"{name}.pem"
        path.write_bytes(data)
        servers[name] = str(path)

    def key() -> ec.EllipticCurvePrivateKey:
        return ec.generate_private_key(ec.SECP256R1())

    own = key()
    make("good", good.issue(key(), _name("server"), here)[1])
    make("wrong name", good.issue(key(), _name("server"), [x509.DNSName("example.com")])[1])
    make("expired", good.issue(key(), _name("server"), here, days=(-30, -1))[1])
    make("future", good.issue(key(), _name("server"), here, days=(1, 30))[1])
    make("self-signed", good.issue(own, _name("self"), here, signer=own)[1])
    make("unknown issuer", other.issue(key(), _name("server"), here)[1])
    make("unknown root", other.issue(key(), _name("server"), here)[1] + _pem(other.certificate))
    (folder / "ca.pem").write_bytes(_pem(good.certificate))
    (folder / "other.pem").write_bytes(_pem(other.certificate))
    return Certificates(str(folder / "ca.pem"), str(folder / "other.pem"), servers)


class Loopback:
    """Servers in threads. `finish` is set when the test is over: a handler that stalls waits for it."""

    def __init__(self) -> None:
        self.finish = threading.Event()
        self._listeners: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self.failures: list[BaseException] = []

    def serve(self, handler: Handler, *, tls: ssl.SSLContext | None = None) -> int:
        """Start a server on 127.0.0.1 that passes each connection to `handler`; return its port."""
        listener = socket.create_server(("127.0.0.1", 0))
        self._listeners.append(listener)
        self._start(self._accept, listener, handler, tls)
        return int(listener.getsockname()[1])

    def run(self, work: Callable[[], None]) -> None:
        """Run `work` in a thread; what it raises, other than that its peer is gone, fails the test."""
        self._start(work)

    def stall(self, _: socket.socket) -> None:
        """Do nothing until the test is over."""
        self.finish.wait()

    def stop(self) -> None:
        self.finish.set()
        for listener in self._listeners:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        for thread in self._threads:
            thread.join(30)
            assert not thread.is_alive()
        for failure in self.failures:
            raise failure

    def _start(self, work: Callable[..., None], *arguments: object) -> None:
        def guarded() -> None:
            try:
                work(*arguments)
            except OSError:
                pass  # the peer hung up: what the test is about, mostly
            except BaseException as error:
                self.failures.append(error)

        thread = threading.Thread(target=guarded, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket, handler: Handler, tls: ssl.SSLContext | None) -> None:
        while True:
            connection, _ = listener.accept()
            self._start(self._serve_one, connection, handler, tls)

    def _serve_one(self, connection: socket.socket, handler: Handler, tls: ssl.SSLContext | None) -> None:
        connection.settimeout(30)
        with connection:
            if tls:
                with tls.wrap_socket(connection, server_side=True) as wrapped:
                    handler(wrapped)
            else:
                handler(connection)


@pytest.fixture
def loopback() -> Iterator[Loopback]:
    servers = Loopback()
    yield servers
    servers.stop()


@pytest.fixture
def soon() -> float:
    """A deadline that no test reaches."""
    return time.monotonic() + 60


def read_head(connection: socket.socket) -> bytes:
    """Read until an empty line."""
    data = b""
    while b"\r\n\r\n" not in data:
        part = connection.recv(4096)
        if not part:
            raise ConnectionError
        data += part
    return data


def accepted(request: bytes, *more: str) -> bytes:
    """Return the answer that accepts the upgrade `request`, with `more` header lines."""
    key = re.search(rb"(?i)sec-websocket-key: (\S+)", request)
    assert key
    proof = base64.b64encode(hashlib.sha1(key[1] + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()).decode()
    lines = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade", *more]
    return ("\r\n".join([*lines, f"Sec-WebSocket-Accept: {proof}"]) + "\r\n\r\n").encode()


def frame(opcode: int, payload: bytes = b"", *, final: bool = True, reserved: int = 0) -> bytes:
    """Return a server's (unmasked) WebSocket frame."""
    first = bytes([opcode | (0x80 if final else 0) | reserved])
    if len(payload) < 126:
        return first + bytes([len(payload)]) + payload
    if len(payload) < 65536:
        return first + b"\x7e" + len(payload).to_bytes(2, "big") + payload
    return first + b"\x7f" + len(payload).to_bytes(8, "big") + payload


class Wire(NamedTuple):
    """The pieces that tests of the WebSocket put together."""

    read_head: Callable[[socket.socket], bytes]
    accepted: Callable[..., bytes]
    frame: Callable[..., bytes]


@pytest.fixture
def wire() -> Wire:
    return Wire(read_head, accepted, frame)


@pytest.fixture
def hashed(certificates: Certificates, tmp_path: Path) -> Path:
    """A directory of CA certificates such as `openssl rehash` makes, the test's CA among them."""
    folder = tmp_path / "hashed"
    folder.mkdir()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(certificates.ca)
    text = Path(certificates.ca).read_bytes()
    subject = x509.load_pem_x509_certificate(text).subject
    (folder / f"{_subject_hash(subject):08x}.0").write_bytes(text)
    return folder


def _subject_hash(subject: x509.Name) -> int:
    """Return OpenSSL's X509_NAME_hash: SHA-1 over the canonical encoding, first four bytes, little endian."""
    canonical = b""
    for attribute in subject:
        oid = attribute.oid
        assert oid == NameOID.COMMON_NAME
        value = " ".join(str(attribute.value).lower().split()).encode()
        inner = b"\x06\x03\x55\x04\x03" + b"\x0c" + bytes([len(value)]) + value
        sequence = b"\x30" + bytes([len(inner)]) + inner
        canonical += b"\x31" + bytes([len(sequence)]) + sequence
    return int.from_bytes(hashlib.sha1(canonical).digest()[:4], "little")
