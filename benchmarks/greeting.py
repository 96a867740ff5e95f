"""The cleartext start of an SSH connection: banners, KEXINIT, a reply with a host key, NEWKEYS.

The product's relay inspects this part of the stream, so it must be well-formed. Nothing is signed.
"""

from __future__ import annotations


def _string(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


def _packet(payload: bytes) -> bytes:
    padding = 8 - (len(payload) + 5) % 8
    padding += 8 if padding < 4 else 0
    return (len(payload) + padding + 1).to_bytes(4, "big") + bytes((padding,)) + payload + bytes(padding)


_LISTS = (
    b"curve25519-sha256",
    b"ssh-ed25519",
    *(b"aes128-ctr",) * 2,
    *(b"hmac-sha2-256",) * 2,
    *(b"none",) * 2,
    b"",
    b"",
)
_KEXINIT = _packet(b"\x14" + bytes(16) + b"".join(map(_string, _LISTS)) + bytes(5))
_HOST_KEY = _string(b"ssh-ed25519") + _string(bytes(range(32)))
_REPLY = _packet(b"\x1f" + _string(_HOST_KEY) + _string(bytes(32)) + _string(bytes(83)))
_NEWKEYS = _packet(b"\x15")

CLIENT = b"SSH-2.0-OpenSSH_benchmark\r\n" + _KEXINIT
SERVER_FIRST = b"SSH-2.0-lean\r\n" + _KEXINIT
SERVER_THEN = _REPLY + _NEWKEYS
SERVER = SERVER_FIRST + SERVER_THEN
