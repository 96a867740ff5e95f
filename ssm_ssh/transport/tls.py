"""TLS as a client: the trusted certificates, and the errors of a failed verification."""

from __future__ import annotations

import os
import ssl

from ssm_ssh.errors import NetworkError, NotTrusted, UsageError
from ssm_ssh.text import printable

# Where distributions keep their root certificates: one file each, named by the hash of its subject, so that OpenSSL
# reads only the one that it needs, which saves 25 to 37 ms over reading a whole bundle ...
_DIRECTORIES = ("/etc/ssl/certs", "/etc/pki/ca-trust/extracted/pem/directory-hash", "/etc/pki/tls/certs")
# ... or all of them in one file (Debian, Fedora and RHEL, SUSE, macOS and Alpine).
_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
# A directory with fewer hashed certificates is not a distribution's root store, which has about 140. It holds a user's
# additions to a bundle: used alone, it would make every public certificate unknown.
_MIN_HASHED = 50
_HEX_DIGITS = frozenset("0123456789abcdef")

_INTERCEPTED = "If a proxy inspects TLS on this network, point AWS_CA_BUNDLE at a file with its CA certificate"
# OpenSSL's X509_V_ERR_* codes, from x509_vfy.h.
_EXPLAINED = {
    9: ("is not valid yet", "Check this computer's clock"),
    10: ("has expired", "Check this computer's clock. " + _INTERCEPTED),
    18: ("is self-signed", _INTERCEPTED),
    19: ("was issued by a root that this computer does not trust", _INTERCEPTED),
    20: ("has an unknown issuer", _INTERCEPTED),
    21: ("has an unknown issuer", _INTERCEPTED),
    62: ("is for another name", "Check the endpoint settings. " + _INTERCEPTED),
    64: ("is for another address", "Check the endpoint settings. " + _INTERCEPTED),
}


def client_context(ca_bundle: str | None = None) -> ssl.SSLContext:
    """Return a context that always verifies certificate and host name, and requires TLS 1.2.

    It trusts only the certificates in `ca_bundle`, a PEM file or a directory hashed by `openssl rehash`. If that is
    None, it trusts those of SSL_CERT_FILE and SSL_CERT_DIR, else the system's roots, else those of certifi or
    botocore. Raises UsageError if `ca_bundle` cannot be used. One context serves many connections.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # verifies certificate and host name
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION
    if ca_bundle:
        _trust_only(context, ca_bundle)
    else:
        _trust_system(context)
    return context


def tls_error(error: OSError, host: str) -> NetworkError:
    """Return the error of a failed TLS handshake with `host`: NotTrusted if its certificate did not verify."""
    if isinstance(error, ssl.SSLCertVerificationError):
        why, hint = _EXPLAINED.get(
            error.verify_code, (f"does not verify ({printable(error.verify_message, 100)})", _INTERCEPTED)
        )
        return NotTrusted(f"the TLS certificate of {host} {why}", hint)
    reason = getattr(error, "reason", None) or error.strerror or type(error).__name__
    return NetworkError(
        f"TLS with {host} failed: {printable(reason, 100)}",
        "Check the endpoint settings and HTTPS_PROXY; the server or a proxy may not support TLS 1.2",
    )


def _trust_only(context: ssl.SSLContext, ca_bundle: str) -> None:
    directory = os.path.isdir(ca_bundle)  # noqa: PTH112 - pathlib costs 7 ms of every start
    try:
        if directory:
            context.load_verify_locations(capath=ca_bundle)
        else:
            context.load_verify_locations(cafile=ca_bundle)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise UsageError(
            f"the CA bundle {ca_bundle} cannot be used: {error.strerror if isinstance(error, OSError) else error}",
            "Point AWS_CA_BUNDLE, ca_bundle in ~/.aws/config or REQUESTS_CA_BUNDLE at a readable file of certificates",
        ) from None
    if directory and not _hashed(ca_bundle, 1):
        raise UsageError(f"the CA directory {ca_bundle} has no hashed certificates", f"Run: openssl rehash {ca_bundle}")


def _trust_system(context: ssl.SSLContext) -> None:
    if os.environ.get("SSL_CERT_FILE") or os.environ.get("SSL_CERT_DIR"):
        context.set_default_verify_paths()
        return
    built_in = ssl.get_default_verify_paths()
    for directory in (built_in.openssl_capath, *_DIRECTORIES):
        if directory and _hashed(directory, _MIN_HASHED):
            context.load_verify_locations(capath=directory)
            return
    for bundle in (built_in.openssl_cafile, *_BUNDLES):
        if _loads(context, bundle):
            return
    context.set_default_verify_paths()
    for bundle in _packaged():
        if _loads(context, bundle):
            return


def _hashed(directory: str, enough: int) -> bool:
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                name, _, number = entry.name.partition(".")
                if len(name) == 8 and _HEX_DIGITS.issuperset(name) and number.isdigit():
                    enough -= 1
                    if enough <= 0:
                        return True
    except OSError:
        pass
    return False


def _loads(context: ssl.SSLContext, bundle: str | None) -> bool:
    try:
        if bundle:
            context.load_verify_locations(cafile=bundle)
    except OSError:
        return False
    return context.cert_store_stats()["x509_ca"] > 0


def _packaged() -> list[str]:
    """Return the bundles of installed packages, without importing the packages."""
    from importlib.util import find_spec

    bundles = []
    for package in ("certifi", "botocore"):
        spec = find_spec(package)
        if spec and spec.origin:
            bundles.append(os.path.join(os.path.dirname(spec.origin), "cacert.pem"))  # noqa: PTH118, PTH120
    return bundles
