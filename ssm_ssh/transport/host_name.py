"""Host names as the system's functions take them."""

from __future__ import annotations


def encoded(host: str) -> bytes | str:
    """Return `host` for getaddrinfo and TLS. For text, Python would load its IDNA codec, which takes 1 ms."""
    return host.encode("ascii") if host.isascii() else host
