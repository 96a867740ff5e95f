"""PURE: what `-L` asks for, in ssh's form and in shorter ones."""

from __future__ import annotations

import re

from ssm_ssh.errors import UsageError
from ssm_ssh.startup import NamedTuple
from ssm_ssh.text import printable

# HOST values that mean the instance itself. Agents refuse to forward to loopback as a remote host, so these take the
# document for the instance's own ports.
_OWN = ("localhost", "127.0.0.1", "::1")
# Host names and addresses. AWS-StartPortForwardingSessionToRemoteHost allows more, but no fewer than three characters.
_HOST = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9.:_-]{0,254}")
_SHORTEST_HOST = 3
_PART = re.compile(r"\[([^\]]*)\]|([^:\[\]]*)")
FORMS = "Use PORT, PORT:HOSTPORT or [BIND:]PORT:HOST:HOSTPORT, with IPv6 addresses in brackets"


class Spec(NamedTuple):
    """One forward: where it listens, and where it leads."""

    bind: str
    """The address to listen on; "" for both loopback addresses, "*" for all."""
    port: int
    """The port to listen on; 0: any free one."""
    path: str
    """The unix socket to listen on instead, or ""."""
    host: str
    """The host that the instance connects to; "" for itself."""
    host_port: int

    @property
    def destination(self) -> str:
        """HOST:PORT as people write it."""
        return f"{bracketed(self.host or 'localhost')}:{self.host_port}"


def bracketed(host: str) -> str:
    """Return an address as it stands in front of a port."""
    return f"[{host}]" if ":" in host else host


def parse(text: str) -> Spec:
    """Return what `text` means. Raises UsageError."""
    parts = _split(text)
    if parts is None or not 1 <= len(parts) <= 4:
        raise _unclear(text)
    if "/" in parts[0]:
        if len(parts) not in (2, 3):
            raise _unclear(text)
        host = parts[1] if len(parts) == 3 else ""
        return Spec("", 0, parts[0], _host(text, host), _port(text, parts[-1]))
    bind = ""
    if len(parts) == 4:
        bind, parts = parts[0] or "*", parts[1:]
    if len(parts) == 3:
        return Spec(bind, _port(text, parts[0], free=True), "", _host(text, parts[1]), _port(text, parts[2]))
    if len(parts) == 2 and parts[1].isdigit() and not parts[0].isdigit():
        raise UsageError(f"'{printable(text, 80)}' names no local port", f"Use {printable(f'{parts[1]}:{text}', 80)}")
    if len(parts) == 1:
        return Spec(bind, _port(text, parts[0]), "", "", _port(text, parts[0]))
    return Spec(bind, _port(text, parts[0], free=True), "", "", _port(text, parts[1]))


def _split(text: str) -> list[str] | None:
    """Return the parts between colons, those in brackets without these. None: not of that form."""
    parts, at = [], 0
    while True:
        match = _PART.match(text, at)
        assert match is not None
        parts.append(match[2] if match[1] is None else match[1])
        at = match.end()
        if at == len(text):
            return parts
        if text[at] != ":":
            return None
        at += 1


def _port(text: str, digits: str, *, free: bool = False) -> int:
    number = int(digits) if digits.isascii() and digits.isdigit() and len(digits) <= 5 else -1
    if not (0 if free else 1) <= number <= 65535:
        raise UsageError(f"'{printable(digits, 40)}' in '{printable(text, 80)}' is not a port", FORMS)
    return number


def _host(text: str, host: str) -> str:
    if host.lower() in (*_OWN, ""):
        return ""
    if not _HOST.fullmatch(host):
        raise UsageError(f"'{printable(host, 80)}' in '{printable(text, 80)}' is not a host", FORMS)
    if len(host) < _SHORTEST_HOST:
        raise UsageError(f"AWS takes no host of fewer than three characters, such as '{host}'", "Use its full name")
    return host


def _unclear(text: str) -> UsageError:
    return UsageError(f"'{printable(text, 80)}' is not a forward", FORMS)
