r"""The StreamUrl in StartSession's answer, and where it may lead, decided before anything is sent there.

One pattern parses it instead of urllib: `urlsplit('wss://good\\@evil.com/')` has the host evil.com.
"""

from __future__ import annotations

import re

from ssm_ssh.errors import ProtocolError, UsageError
from ssm_ssh.startup import NamedTuple

# Bytes. A real URL has about 400, a presigned one with a session token up to 3 KiB; proxies and gateways accept 8 KiB.
_MAX_LENGTH = 8192
# RFC 3986 without user information and fragment. A host has letters, digits, dots and hyphens, or is an IPv6 literal.
_CHARACTER = r"[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2}"
_URL = re.compile(
    r"(wss|ws|https|http)://([a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:]+\])(?::([1-9][0-9]{0,4}))?"
    rf"(/(?:{_CHARACTER})*)?(?:\?((?:{_CHARACTER}|\?)*))?",
    re.ASCII,
)
_LOOPBACK = r"127(?:\.(?:0|[1-9][0-9]{0,2})){3}|::1"
_DEFAULT_PORTS = {"wss": 443, "https": 443, "ws": 80, "http": 80}


class StreamUrl(NamedTuple):
    """Where the data channel is opened. Only `check_stream_url` creates one. The query is a secret."""

    host: str
    port: int
    path: str
    query: str
    secure: bool
    presigned: bool

    @property
    def host_header(self) -> str:
        """The value of the Host header, which SigV4 signs too. It contains the port unless that is the default."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS["wss" if self.secure else "ws"] else f"{host}:{self.port}"

    def __repr__(self) -> str:
        return f"<StreamUrl {'wss' if self.secure else 'ws'}://{self.host}:{self.port}>"


class _Parts(NamedTuple):
    secure: bool
    host: str
    port: int
    path: str
    query: str

    @property
    def loopback(self) -> bool:
        return is_loopback(self.host)


def check_stream_url(
    url: str, *, hosts: tuple[str, ...], override: str | None = None, api_loopback: bool = False
) -> StreamUrl:
    """Parse `url`, and check that the session may be opened there.

    `hosts` are the region's host names of ssmmessages. `override` is the configured endpoint (`https://HOST[:PORT]`),
    which the URL may name too and which replaces its host and port. `api_loopback` says that the API endpoint is a
    literal loopback address; without it nothing unencrypted is accepted. Raises ProtocolError for a bad `url`, whose
    message shows at most the host, and UsageError for a bad `override`.
    """
    replacement = _override(override, api_loopback) if override else None
    parts = _parse(url, ("wss", "ws"))
    if parts is None or len(url) > _MAX_LENGTH:
        raise ProtocolError("the stream URL of the session is malformed", "Check the endpoint settings and HTTPS_PROXY")
    named = replacement is not None and parts[:3] == replacement[:3]
    if not named and not (parts.secure and parts.host in hosts and parts.port == 443):
        raise ProtocolError(
            f"the stream URL of the session leads to {parts.host}:{parts.port}, which is not this region's endpoint",
            "If that is your VPC endpoint, set AWS_ENDPOINT_URL_SSMMESSAGES=https://HOST",
        )
    final = replacement or parts
    presigned = any(name.lower().startswith("x-amz-") for name in parts.query.split("&"))
    return StreamUrl(final.host, final.port, parts.path or "/", parts.query, final.secure, presigned)


def is_loopback(host: str) -> bool:
    """Return whether `host` is a literal loopback address: 127.0.0.0/8 or ::1, but no name such as localhost."""
    matches = re.fullmatch(_LOOPBACK, host, re.ASCII) is not None
    return matches and all(int(part) < 256 for part in host.split(".") if part.isdigit())


def _override(endpoint: str, api_loopback: bool) -> _Parts:
    parts = _parse(endpoint, ("https", "http", "wss", "ws"))
    if parts is None or parts.path not in {"", "/"} or parts.query:
        raise UsageError(
            "the endpoint setting for ssmmessages is not a usable URL",
            "Set AWS_ENDPOINT_URL_SSMMESSAGES to https://HOST or https://HOST:PORT in lower case",
        )
    if not parts.secure and not (parts.loopback and api_loopback):
        raise UsageError(
            f"the endpoint setting for ssmmessages is not encrypted: {parts.host}",
            "Use https://; http:// is allowed for 127.0.0.1 if the ssm endpoint is there too",
        )
    return parts


def _parse(url: str, schemes: tuple[str, ...]) -> _Parts | None:
    match = _URL.fullmatch(url)
    if not match or match[1] not in schemes:
        return None
    port = int(match[3] or _DEFAULT_PORTS[match[1]])
    if port > 65535:
        return None
    return _Parts(match[1] in {"wss", "https"}, match[2].strip("[]"), port, match[4] or "", match[5] or "")
