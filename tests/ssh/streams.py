"""SSH's clear beginning: recorded from OpenSSH, and made up."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import NamedTuple

from ssm_ssh.ssh.hostkey import HostKey, from_line

BANNER = b"SSH-2.0-OpenSSH_9.2\r\n"


class Recording(NamedTuple):
    exchange: str
    algorithm: str
    host_key: HostKey
    client: bytes
    server: bytes

    @property
    def reply_at(self) -> int:
        """Where in `server` the packet with the host key begins."""
        at = self.server.index(b"\n") + 1
        number = 33 if "group-exchange" in self.exchange else 31
        while self.server[at + 5] != number:
            at += 4 + int.from_bytes(self.server[at : at + 4], "big")
        return at


def recordings() -> list[Recording]:
    found = []
    for line in (Path(__file__).parent / "recorded" / "kex.jsonl").read_text().splitlines():
        one = json.loads(line)
        key = from_line(one["host_key"])
        assert key is not None
        client, server = (base64.b64decode(one[side]) for side in ("client", "server"))
        found.append(Recording(one["exchange"], one["algorithm"], key, client, server))
    return found


def string(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


def packet(payload: bytes, *, padding: int = 0) -> bytes:
    padding = padding or 4 + -(5 + len(payload) + 4) % 8
    return (1 + len(payload) + padding).to_bytes(4, "big") + bytes([padding]) + payload + bytes(padding)


def kexinit(exchanges: str = "curve25519-sha256", *, guess: bool = False) -> bytes:
    lists = string(exchanges.encode()) + string(b"ssh-ed25519") + string(b"x") * 8
    return packet(bytes([20]) + bytes(16) + lists + bytes([guess]) + bytes(4))


def ed25519(fill: int = 1) -> HostKey:
    return HostKey("ssh-ed25519", string(b"ssh-ed25519") + string(bytes([fill]) * 32))


def reply(key: bytes, number: int = 31) -> bytes:
    return packet(bytes([number]) + string(key) + string(b"half") + string(b"signature"))


NEWKEYS = packet(bytes([21]))
CLIENT = BANNER + kexinit()
SERVER = BANNER + kexinit() + reply(ed25519().blob) + NEWKEYS + b"encrypted"
