"""A fake AWS on loopback: HTTPS with a certificate of its own, scripted answers, every request recorded."""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import json
import socket
import ssl
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from ssm_ssh.aws.api.client import Api
from ssm_ssh.aws.config.settings import load
from ssm_ssh.target import parse_target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Request(NamedTuple):
    line: str
    headers: dict[str, str]
    body: bytes

    @property
    def operation(self) -> str:
        return self.headers.get("x-amz-target", "").rpartition(".")[2]

    @property
    def payload(self) -> dict[str, Any]:
        return json.loads(self.body)


def http_answer(status: int, body: object = None, headers: dict[str, str] | None = None) -> bytes:
    content = body if isinstance(body, bytes) else json.dumps({} if body is None else body).encode()
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(content)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join([*lines, "", ""]).encode() + content


def refusal(code: str, message: str = "", status: int = 400, **headers: str) -> bytes:
    body = {"__type": code, "message": message}
    return http_answer(status, body, {name.replace("_", "-"): value for name, value in headers.items()})


class FakeAws:
    """Answers each request with the next of `answers` (raw bytes, or a function of the request); then with `{}`."""

    def __init__(self, certificate: Path | None) -> None:
        self.answers: list[bytes | Callable[[Request], bytes]] = []
        self.requests: list[Request] = []
        self.connections = 0
        self._context = None
        if certificate:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(certificate)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.url = f"{'https' if certificate else 'http'}://127.0.0.1:{self.port}"
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR) if hasattr(socket, "SHUT_RDWR") else None
        self._listener.close()
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock = self._listener.accept()[0]
                self.connections += 1
                thread = threading.Thread(target=self._serve, args=(sock,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _serve(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError), sock:
            sock.settimeout(30)
            channel = self._context.wrap_socket(sock, server_side=True) if self._context else sock
            with channel:
                request = read_request(channel)
                if request is None:
                    return
                self.requests.append(request)
                answer = self.answers.pop(0) if self.answers else http_answer(200)
                channel.sendall(answer if isinstance(answer, bytes) else answer(request))


def read_request(channel: socket.socket) -> Request | None:
    data = b""
    while b"\r\n\r\n" not in data:
        if not (got := channel.recv(65536)):
            return None
        data += got
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
    while len(body) < int(headers.get("content-length", "0")):
        body += channel.recv(65536)
    return Request(lines[0], headers, body)


def make_certificate(folder: Path, name: str) -> Path:
    """Write key and self-signed certificate for 127.0.0.1 into one PEM file, which is its own CA bundle."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / f"{name}.pem"
    file.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return file


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificate(tmp_path_factory.mktemp("tls"), "fake")


@pytest.fixture
def aws(certificate: Path) -> Iterator[FakeAws]:
    fake = FakeAws(certificate)
    yield fake
    fake.close()


@pytest.fixture
def plain_aws() -> Iterator[FakeAws]:
    fake = FakeAws(None)
    yield fake
    fake.close()


@pytest.fixture
def env(aws: FakeAws, certificate: Path, tmp_path: Path) -> dict[str, str]:
    """A whole environment: keys, the fake as every API, an empty home."""
    return {
        "HOME": str(tmp_path),
        "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
        "AWS_REGION": "eu-central-1",
        "AWS_ENDPOINT_URL": aws.url,
        "AWS_CA_BUNDLE": str(certificate),
    }


class Calls:
    """An Api over the fake, with a clock that stands still, and what it said and slept."""

    def __init__(self, env: dict[str, str], now: float = 1_700_000_000.0) -> None:
        self.said: list[str] = []
        self.slept: list[float] = []
        self.now = now
        self.api = Api(
            load(env=env), debug=self.said.append, sleep=self.slept.append, clock=lambda: self.now, random=lambda: 1.0
        )


@pytest.fixture
def calls(env: dict[str, str]) -> Calls:
    return Calls(env)


@pytest.fixture
def target() -> object:
    return parse_target("i-0123456789abcdef0")


@pytest.fixture
def answer() -> Callable[..., bytes]:
    return http_answer


@pytest.fixture
def refuse() -> Callable[..., bytes]:
    return refusal
