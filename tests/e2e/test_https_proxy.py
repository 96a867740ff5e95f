"""A whole connection through a proxy that is spoken to over TLS: the API's calls and the data channel."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ssm_ssh.lab import InstanceOptions, Lab, LabOptions
from tests.aws.conftest import make_certificate

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]


class TlsProxy:
    """Connects whoever asks by CONNECT to loopback, and remembers what was asked for."""

    def __init__(self, certificate: Path) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://127.0.0.1:{self._listener.getsockname()[1]}"
        self.asked: list[str] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError), self._context.wrap_socket(sock, server_side=True) as near:
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += near.recv(1)
            authority = head.split()[1].decode()
            self.asked.append(authority)
            host, _, port = authority.rpartition(":")
            with socket.create_connection((host, int(port))) as far:
                near.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                self._relay(near, far)

    @staticmethod
    def _relay(near: ssl.SSLSocket, far: socket.socket) -> None:
        while True:
            ready = [near] if near.pending() else select.select([near, far], [], [])[0]
            for one, other in ((near, far), (far, near)):
                if one in ready:
                    data = one.recv(16384)
                    if not data:
                        return
                    other.sendall(data)


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    options = LabOptions(instances=(InstanceOptions(name="web"),), pacing=False)
    with tempfile.TemporaryDirectory(prefix="proxy-") as base, Lab(options, base=Path(base)) as lab:
        yield lab


def test_ssh_goes_through_an_https_proxy(lab: Lab, tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path, "proxy")
    bundle = tmp_path / "bundle.pem"
    bundle.write_bytes(Path(lab.env["AWS_CA_BUNDLE"]).read_bytes() + certificate.read_bytes())
    proxy = TlsProxy(certificate)
    try:
        env = {**lab.env, "HTTPS_PROXY": proxy.url, "AWS_CA_BUNDLE": str(bundle), "NO_PROXY": "", "no_proxy": ""}
        web = lab.instances[0]
        done = subprocess.run(
            ["ssh", f"{web.users[0]}@{web.instance_id}", "head -c 300000 /dev/zero | cksum; cat"],
            env=env,
            input=b"x" * 300_000,
            capture_output=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr.decode()
        assert done.stdout.endswith(b"\n" + b"x" * 300_000)
        services = ("SSM", "SSMMESSAGES", "EC2_INSTANCE_CONNECT")
        urls = [lab.env.get(f"AWS_ENDPOINT_URL_{service}", lab.gateway_url) for service in services]
        assert {url.partition("://")[2].rstrip("/") for url in urls} <= set(proxy.asked)
        refused = subprocess.run(
            ["ssh", f"{web.users[0]}@{web.instance_id}", "true"],
            env={**env, "AWS_CA_BUNDLE": lab.env["AWS_CA_BUNDLE"]},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert refused.returncode == 255
        assert "the proxy 127.0.0.1:" in refused.stderr
    finally:
        proxy.close()
