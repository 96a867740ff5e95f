"""The plaintext start of an SSH connection: packets before NEWKEYS, negotiation and the server's host key.

RFC 4253, 6 to 8; RFC 4419 (group exchange), RFC 5656 and RFC 8731 (elliptic curves). The hybrid exchanges with
sntrup761 and mlkem768 have the form of RFC 5656.
"""

from __future__ import annotations

from ssm_ssh.errors import ProtocolError
from ssm_ssh.ssh.hostkey import HostKey, from_blob, strings
from ssm_ssh.startup import NamedTuple

DISCONNECT, IGNORE, UNIMPLEMENTED, DEBUG = 1, 2, 3, 4
KEXINIT, NEWKEYS = 20, 21
# In a group exchange 31 carries the group (RFC 4419, 5); everywhere else it is the reply (RFC 4253, 8; RFC 5656, 4).
KEX_REPLY, GEX_GROUP, GEX_REPLY = 31, 31, 33
# Messages that may come at any time (RFC 4253, 11). The client decides whether strict KEX allows them now.
ANYWHERE = frozenset({DISCONNECT, IGNORE, UNIMPLEMENTED, DEBUG})

# Bytes of a packet: OpenSSH's PACKET_MAX_SIZE.
LARGEST_PACKET = 256 * 1024
_BLOCK = 8
_LISTS = 10
# MAX_PROP of OpenSSH's match.c, which reads no more names of a list.
_MOST_NAMES = 40
# Exchanges that use the same message numbers differently: RFC 4462 (Kerberos), RFC 4432.
_OTHER_EXCHANGES = ("gss-", "rsa1024-", "rsa2048-")


class Packet(NamedTuple):
    """A plaintext packet: its `raw` bytes on the wire, its message number, and its payload with that number."""

    raw: bytes
    kind: int
    payload: bytes


class Packets:
    """Cuts one side's plaintext stream into packets, by the rules of OpenSSH's packet.c."""

    def __init__(self) -> None:
        self._data = bytearray()

    def feed(self, data: bytes) -> None:
        """Take bytes that follow the banner."""
        self._data += data

    @property
    def waiting(self) -> int:
        """The number of bytes that have not been taken."""
        return len(self._data)

    def take(self) -> Packet | None:
        """Return the next packet, None until it is complete. Raises ProtocolError for an invalid packet."""
        data = self._data
        if len(data) < 4:
            return None
        length = int.from_bytes(data[:4], "big")
        end = 4 + length
        if length < 5 or length > LARGEST_PACKET or end % _BLOCK:
            raise ProtocolError("an SSH packet has an invalid length")
        if len(data) < end:
            return None
        padding = data[4]
        if padding < 4 or padding + 1 >= length:
            raise ProtocolError("an SSH packet has invalid padding")
        raw = bytes(data[:end])
        del data[:end]
        return Packet(raw, raw[5], raw[5 : end - padding])

    def rest(self) -> bytes:
        """Return and remove the bytes that have not been taken."""
        rest = bytes(self._data)
        self._data.clear()
        return rest


class KexInit(NamedTuple):
    """The relevant parts of one side's SSH_MSG_KEXINIT."""

    exchanges: tuple[str, ...]
    guesses: bool
    """Whether a packet follows that counts only if its sender guessed the negotiation correctly."""


def read_kexinit(payload: bytes) -> KexInit:
    """Parse the payload of SSH_MSG_KEXINIT (RFC 4253, 7.1). Raises ProtocolError for an invalid payload."""
    tail = len(payload) - 5  # a boolean and a reserved number
    if tail < 17:
        raise ProtocolError("an SSH_MSG_KEXINIT is cut short")
    lists = strings(payload[17:tail])
    if len(lists) != _LISTS or any(b"\0" in names for names in lists):
        raise ProtocolError("an SSH_MSG_KEXINIT does not have ten lists")
    exchanges = tuple(lists[0].decode("ascii", "replace").split(","))
    # RFC 4251, 5. OpenSSH takes an empty name for the end of the list, other clients do not.
    if not all(exchanges):
        raise ProtocolError("a key exchange in an SSH_MSG_KEXINIT has no name")
    return KexInit(exchanges, guesses=payload[tail] != 0)


def negotiated(client: KexInit, server: KexInit) -> str:
    """Return the key exchange of both sides: the client's first that the server supports; "" for none.

    Raises ProtocolError for a server's list so long that clients would read different parts of it.
    """
    if len(server.exchanges) > _MOST_NAMES:
        raise ProtocolError("the server offers more key exchanges than a client reads")
    return next((name for name in client.exchanges if name in server.exchanges), "")


def reply_number(exchange: str) -> int:
    """Return the number of the message of `exchange` that carries the host key.

    Raises ProtocolError for exchanges that carry no host key, or carry it under another number.
    """
    if not exchange or exchange.startswith(_OTHER_EXCHANGES):
        raise ProtocolError(
            f"the key exchange '{exchange or 'none'}' does not carry a host key",
            "Use another: ssh -o KexAlgorithms=..., -o GSSAPIKeyExchange=no",
        )
    return GEX_REPLY if exchange.startswith("diffie-hellman-group-exchange-") else KEX_REPLY


def is_group(payload: bytes) -> bool:
    """Return whether the payload of message 31 is the group of a group exchange (two numbers) and not a reply."""
    return len(strings(payload[1:])) == 2


def reply_host_key(payload: bytes) -> HostKey:
    """Return the host key in the payload of a KEX reply: host key, the server's half, signature.

    Raises ProtocolError for any other payload.
    """
    parts = strings(payload[1:])
    if len(parts) != 3:
        raise ProtocolError("the reply of the SSH key exchange does not have three parts")
    return from_blob(parts[0])
