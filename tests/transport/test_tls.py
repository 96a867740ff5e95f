from __future__ import annotations

import ssl
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from ssm_ssh.errors import NetworkError, NotTrusted, UsageError
from ssm_ssh.transport import tls
from ssm_ssh.transport.dial import dial
from ssm_ssh.transport.proxy import Proxy
from ssm_ssh.transport.stream import TlsStream
from ssm_ssh.transport.tls import client_context, tls_error

from .conftest import Certificates, Loopback, read_head


def handshake(loopback: Loopback, certificates: Certificates, server: str, context: ssl.SSLContext, host: str) -> None:
    port = loopback.serve(lambda connection: connection.settimeout(None), tls=certificates.context(server))
    TlsStream(dial("127.0.0.1", port, timeout=60), context, host, time.monotonic() + 60).close()


def test_a_context_verifies_always_and_speaks_nothing_old(certificates: Certificates) -> None:
    for bundle in (None, certificates.ca):
        context = client_context(bundle)
        assert context.verify_mode == ssl.CERT_REQUIRED
        assert context.check_hostname
        assert context.minimum_version == ssl.TLSVersion.TLSv1_2
        assert context.options & ssl.OP_NO_COMPRESSION


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_a_good_certificate_is_trusted(loopback: Loopback, certificates: Certificates, host: str) -> None:
    handshake(loopback, certificates, "good", client_context(certificates.ca), host)


BAD = [
    ("wrong name", "another", "endpoint"),
    ("expired", "expired", "clock"),
    ("future", "not valid yet", "clock"),
    ("self-signed", "self-signed", "AWS_CA_BUNDLE"),
    ("unknown issuer", "unknown issuer", "AWS_CA_BUNDLE"),
    ("unknown root", "does not trust", "AWS_CA_BUNDLE"),
]


@pytest.mark.parametrize(("server", "why", "hint"), BAD)
def test_a_bad_certificate_is_refused_with_the_reason(
    loopback: Loopback, certificates: Certificates, server: str, why: str, hint: str
) -> None:
    for host in ("localhost", "127.0.0.1"):
        with pytest.raises(NotTrusted, match=why) as caught:
            handshake(loopback, certificates, server, client_context(certificates.ca), host)
        assert host in caught.value.message
        assert hint in caught.value.hint


@pytest.mark.parametrize(("server", "why", "hint"), BAD)
def test_so_it_is_through_a_proxy(
    loopback: Loopback, certificates: Certificates, server: str, why: str, hint: str
) -> None:
    def handle(connection: object) -> None:
        read_head(connection)  # type: ignore[arg-type]
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")  # type: ignore[attr-defined]
        certificates.context(server).wrap_socket(connection, server_side=True).close()  # type: ignore[arg-type]

    proxy = Proxy("127.0.0.1", loopback.serve(handle))
    sock = dial("localhost", 443, proxy=proxy, timeout=60)
    with pytest.raises(NotTrusted, match=why) as caught:
        TlsStream(sock, client_context(certificates.ca), "localhost", time.monotonic() + 60)
    assert hint in caught.value.hint
    assert sock.fileno() < 0


def test_a_bundle_takes_the_place_of_the_systems_roots(loopback: Loopback, certificates: Certificates) -> None:
    with pytest.raises(NotTrusted, match="issuer"):
        handshake(loopback, certificates, "good", client_context(certificates.other_ca), "localhost")


def test_a_hashed_directory_can_be_the_bundle(loopback: Loopback, certificates: Certificates, hashed: Path) -> None:
    context = client_context(str(hashed))
    assert context.cert_store_stats()["x509"] == 0
    handshake(loopback, certificates, "good", context, "localhost")
    for server, why, _ in BAD:
        with pytest.raises(NotTrusted, match=why):
            handshake(loopback, certificates, server, context, "localhost")


def test_a_directory_that_is_not_hashed_is_no_bundle(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").touch()
    with pytest.raises(UsageError, match="no hashed certificates"):
        client_context(str(tmp_path))


def test_a_bundle_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    for name, text in (("missing.pem", None), ("empty.pem", ""), ("text.pem", "hello")):
        path = tmp_path / name
        if text is not None:
            path.write_text(text)
        with pytest.raises(UsageError, match=name) as caught:
            client_context(str(path))
        assert "AWS_CA_BUNDLE" in caught.value.hint


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A system without any root certificate."""
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: SimpleNamespace(openssl_capath="", openssl_cafile=""))
    monkeypatch.setattr(tls, "_DIRECTORIES", ())
    monkeypatch.setattr(tls, "_BUNDLES", ())
    monkeypatch.setattr(ssl.SSLContext, "set_default_verify_paths", lambda _: None)
    monkeypatch.setattr(tls, "_packaged", list)
    return monkeypatch


def test_without_any_roots_nothing_is_trusted(
    bare: pytest.MonkeyPatch, loopback: Loopback, certificates: Certificates
) -> None:
    with pytest.raises(NotTrusted):
        handshake(loopback, certificates, "good", client_context(), "localhost")


def test_a_whole_hashed_directory_is_read_only_when_needed(
    bare: pytest.MonkeyPatch, loopback: Loopback, certificates: Certificates, hashed: Path
) -> None:
    for number in range(tls._MIN_HASHED):
        (hashed / f"{number:08x}.0").touch()
    bare.setattr(tls, "_DIRECTORIES", ("/no/such/directory", str(hashed)))
    context = client_context()
    assert context.cert_store_stats()["x509"] == 0
    handshake(loopback, certificates, "good", context, "localhost")
    for server, why, _ in BAD:
        with pytest.raises(NotTrusted, match=why):
            handshake(loopback, certificates, server, context, "localhost")


def test_a_few_hashed_files_are_not_taken_for_the_systems_roots(
    bare: pytest.MonkeyPatch, certificates: Certificates, hashed: Path
) -> None:
    bare.setattr(tls, "_DIRECTORIES", (str(hashed),))
    bare.setattr(tls, "_BUNDLES", ("/no/such/file", certificates.ca))
    assert client_context().cert_store_stats()["x509_ca"] == 1


def test_pythons_own_locations_come_first(bare: pytest.MonkeyPatch, certificates: Certificates, hashed: Path) -> None:
    paths = SimpleNamespace(openssl_capath="", openssl_cafile=certificates.ca)
    bare.setattr(ssl, "get_default_verify_paths", lambda: paths)
    bare.setattr(tls, "_BUNDLES", ("/no/such/file",))
    assert client_context().cert_store_stats()["x509_ca"] == 1


def test_a_packages_bundle_is_the_last_resort(bare: pytest.MonkeyPatch, certificates: Certificates) -> None:
    bare.setattr(tls, "_packaged", lambda: ["/no/such/file", certificates.ca])
    assert client_context().cert_store_stats()["x509_ca"] == 1


def test_botocore_brings_a_bundle() -> None:
    assert any(path.endswith("botocore/cacert.pem") and Path(path).is_file() for path in tls._packaged())


def test_openssls_own_variables_count(bare: pytest.MonkeyPatch, certificates: Certificates) -> None:
    bare.undo()
    bare.setenv("SSL_CERT_FILE", certificates.ca)
    bare.setenv("SSL_CERT_DIR", "/no/such/directory")
    assert client_context().cert_store_stats()["x509_ca"] == 1


def test_a_broken_connection_in_the_handshake_is_no_matter_of_trust() -> None:
    error = tls_error(ConnectionResetError(104, "Connection reset by peer"), "example.com")
    assert not isinstance(error, NotTrusted)
    assert "example.com" in error.message


def test_another_failure_to_verify_shows_openssls_words_printable() -> None:
    verification = ssl.SSLCertVerificationError(1, "x")
    verification.verify_code = 23
    verification.verify_message = "certificate\x1b revoked"
    error = tls_error(verification, "example.com")
    assert isinstance(error, NotTrusted)
    assert "(certificate revoked)" in error.message


def test_old_tls_is_refused(loopback: Loopback, certificates: Certificates) -> None:
    server = certificates.context("good")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        server.maximum_version = ssl.TLSVersion.TLSv1_1
    port = loopback.serve(loopback.stall, tls=server)
    with pytest.raises(NetworkError, match="TLS with localhost failed"):
        TlsStream(
            dial("127.0.0.1", port, timeout=60), client_context(certificates.ca), "localhost", time.monotonic() + 60
        )
