"""The HTTPS proxy for a host, from HTTPS_PROXY and NO_PROXY as botocore and requests read them."""

from __future__ import annotations

import re

from ssm_ssh.errors import UsageError
from ssm_ssh.startup import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

# Compiled when a proxy is set, which most connections have not.
_SCHEME = r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)"
_HOST_PORT = r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::([0-9]{1,5}))?"
_FORM = "Use http(s)://HOST:PORT or http(s)://USER:PASSWORD@HOST:PORT, with special characters percent-encoded"


class Proxy:
    """An HTTP proxy that supports CONNECT; `authorization` is the value of Proxy-Authorization, or empty.

    `secure`: the connection to the proxy itself uses TLS. The repr does not show the password.
    """

    __slots__ = ("authorization", "host", "port", "secure")

    def __init__(self, host: str, port: int, authorization: str = "", *, secure: bool = False) -> None:
        self.host = host
        self.port = port
        self.authorization = authorization
        self.secure = secure

    def __repr__(self) -> str:
        return f"<Proxy {self.host}:{self.port}>"


def proxy_for(host: str, port: int, env: Mapping[str, str]) -> Proxy | None:
    """Return the Proxy that `env` names for HTTPS connections to `host`:`port`, or None for a direct connection.

    As in urllib, requests and botocore, the lower-case variable wins (empty, it disables the upper-case one),
    ALL_PROXY is ignored, and loopback addresses are no exception. Raises UsageError if the variable is malformed or
    names an unsupported kind of proxy (SOCKS); the message never shows the value.
    """
    value = _variable(env, "https_proxy")
    if not value or _bypassed(host, port, _variable(env, "no_proxy")):
        return None
    return _parse(value)


def _variable(env: Mapping[str, str], name: str) -> str:
    return (env[name] if name in env else env.get(name.upper(), "")).strip()


def _parse(value: str) -> Proxy:
    match = re.fullmatch(_SCHEME, value, re.DOTALL)
    scheme, rest = (match[1].lower(), match[2]) if match else ("http", value.removeprefix("//"))
    if scheme.startswith("socks"):
        raise UsageError(
            "HTTPS_PROXY names a SOCKS proxy, which ssm-ssh does not support",
            "Run an HTTP proxy that forwards to it, such as privoxy, and set HTTPS_PROXY=http://127.0.0.1:8118",
        )
    if scheme not in ("http", "https"):
        raise UsageError("HTTPS_PROXY names an unsupported kind of proxy", _FORM)
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    if "@" in rest[len(authority) :]:
        raise UsageError("HTTPS_PROXY has a /, ? or # in its user name or password", _FORM)
    credentials, at, address = authority.rpartition("@")
    parts = re.fullmatch(_HOST_PORT, address)
    port = int(parts[3] or (443 if scheme == "https" else 80)) if parts else 0
    if not parts or not 1 <= port <= 65535:
        raise UsageError("HTTPS_PROXY is not a usable proxy address", _FORM)
    return Proxy(parts[1] or parts[2], port, _basic(credentials) if at else "", secure=scheme == "https")


def _basic(credentials: str) -> str:
    """Return the Basic credentials (RFC 7617) of the percent-encoded `user:password`."""
    import binascii
    from urllib.parse import unquote

    user, _, password = credentials.partition(":")
    plain = f"{unquote(user)}:{unquote(password)}".encode("utf-8", "surrogateescape")
    return "Basic " + binascii.b2a_base64(plain, newline=False).decode("ascii")


def _bypassed(host: str, port: int, no_proxy: str) -> bool:
    host = host.lower().rstrip(".").strip("[]")
    return any(_matches(entry, host, port) for entry in re.split(r"[\s,]+", no_proxy.lower()) if entry)


def _matches(entry: str, host: str, port: int) -> bool:
    if entry == "*":
        return True
    if "/" in entry or ":" in host or host.replace(".", "").isdigit():
        return _address_matches(entry, host, port)
    name, colon, number = entry.rpartition(":")
    if colon and number != str(port):
        return False
    name = (name if colon else entry).removeprefix("*").strip(".")
    return bool(name) and (host == name or host.endswith("." + name))


def _address_matches(entry: str, host: str, port: int) -> bool:
    """Return whether `entry` matches the IP address `host`: an address, an address and port, or 10.0.0.0/8."""
    import ipaddress

    parts = re.fullmatch(_HOST_PORT, entry)
    if parts and parts[3]:
        if int(parts[3]) != port:
            return False
        entry = parts[1] or parts[2]
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(entry.strip("[]"), strict=False)
    except ValueError:
        return False
