"""What the server sends before its keys are in use, and the gate that it passes.

Before the SSH banner everything is held back, so that a refusal (sshd's MaxStartups, a closed port) can be retried or
be said in an SSH packet of our own. Lines before the banner never pass: clients ignore them, but differ in where such a
line ends, so that one of them could see a banner, and another key exchange, where we do not. The banner and the
server's SSH_MSG_KEXINIT pass at once: a client's patience (ConnectTimeout) ends with the banner. Then comes the packet
with the host key, which is held until the key has been judged and the user's key is in place. From NEWKEYS on
everything passes.

    banner --> negotiation --> reply --> held --> newkeys --> open

Only whole packets pass, so until the gate is open a disconnect packet of ours can be put between them. A stream that
is not what SSH's rules allow at its place is an error, never passed on unread: else it would lead around the check.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ssm_ssh.errors import ProtocolError
from ssm_ssh.ssh.disconnect import disconnect
from ssm_ssh.ssh.kex import (
    ANYWHERE,
    DISCONNECT,
    GEX_GROUP,
    GEX_REPLY,
    KEXINIT,
    NEWKEYS,
    KexInit,
    Packets,
    is_group,
    negotiated,
    read_kexinit,
    reply_host_key,
    reply_number,
)

if TYPE_CHECKING:
    from ssm_ssh.ssh.hostkey import HostKey
    from ssm_ssh.ssh.kex import Packet

# Bytes before the banner and of it. RFC 4253, 4.2: a server MAY send other lines first. OpenSSH's client takes 1024
# lines of up to 8192 bytes; no server comes near.
LARGEST_PREFACE = 64 * 1024
# RFC 4253, 4.2: 255 bytes with the line's end at most. What stands in a name is not ours to judge.
_BANNER = re.compile(rb"SSH-(?:2\.0|1\.99)-[^\0\r\n]{0,245}\r?\n")
# Bytes in clear that may pass, and bytes that may wait behind the held packet: a handshake has a few KiB.
MOST_CLEAR = 1024 * 1024
MOST_HELD = 1024 * 1024


class _Hello:
    """The client's banner and SSH_MSG_KEXINIT, read from what it sends; the rest of it is not looked at."""

    def __init__(self) -> None:
        self.version = ""
        self.kexinit: KexInit | None = None
        self._line = bytearray()
        self._packets = Packets()

    def feed(self, data: bytes) -> None:
        if self.kexinit is not None:
            return
        if not self.version:
            part, newline, data = data.partition(b"\n")
            line = self._line
            line += part
            speaks = line.startswith(b"SSH-") or (not newline and b"SSH-".startswith(line))
            if len(line) > LARGEST_PREFACE or not speaks:
                raise ProtocolError("what wants to use this tunnel does not speak SSH")
            if not newline:
                return
            self.version = line.decode("ascii", "replace").strip()
        self._packets.feed(data)
        while self.kexinit is None and (packet := self._packets.take()) is not None:
            if packet.kind == KEXINIT:
                self.kexinit = read_kexinit(packet.payload)
                self._packets.rest()


def _said_again(payload: bytes) -> bytes:
    """A disconnect message with a printable text: ssh shows it raw, and nothing has proved yet whose words it holds."""
    return disconnect(payload[9 : 9 + int.from_bytes(payload[5:9], "big")].decode("utf-8", "replace"), begun=True)


class Gate:
    """Takes the server's bytes and yields those that may pass; looks at the client's on the way."""

    def __init__(self) -> None:
        self._stage = "banner"
        self._preface = bytearray()
        # Where the search for the banner's start goes on, and where it starts (-1: not found). Each byte is looked at
        # a bounded number of times, however they come.
        self._searched = 0
        self._banner_at = -1
        self._hello = _Hello()
        self._server = Packets()
        self._server_init: KexInit | None = None
        self._reply_number = 0
        self._group_seen = False
        self._reply: Packet | None = None
        self._clear = 0
        self.host_key: HostKey | None = None
        """The server's host key, from the moment on when the packet that shows it is held."""

    @property
    def banner_seen(self) -> bool:
        """True when the server has begun to speak SSH; from then on bytes have been passed on."""
        return self._stage != "banner"

    @property
    def held(self) -> bool:
        """True while the packet with the host key waits for `release`."""
        return self._stage == "held"

    @property
    def servers_turn(self) -> bool:
        """True while the server has the next move in the key exchange."""
        return self._stage in ("negotiation", "reply", "newkeys") and self._hello.kexinit is not None

    @property
    def open(self) -> bool:
        """True when everything passes, and nothing can be said in clear any more."""
        return self._stage == "open"

    @property
    def said(self) -> str:
        """What the server said instead of a banner."""
        return self._preface.decode("ascii", "replace")

    @property
    def client_version(self) -> str:
        """The client's banner, such as `SSH-2.0-OpenSSH_9.2`; "" before it came."""
        return self._hello.version

    def feed_client(self, data: bytes) -> None:
        """Look at bytes on their way to the server. Raises ProtocolError when they are not SSH."""
        if self._stage != "open":
            self._hello.feed(data)

    def feed(self, data: bytes) -> bytes:
        """Take server bytes; returns those that may be passed on now.

        Raises ProtocolError for what cannot be SSH at this place; then nothing of the rest may pass.
        """
        if self._stage == "open":
            return data
        if self._stage == "banner":
            return self._feed_banner(data)
        self._server.feed(data)
        return self._go_on()

    def release(self) -> bytes:
        """Let the held packet pass; returns what may be passed on now. Raises ProtocolError as `feed` does."""
        if self._stage != "held" or self._reply is None:
            return b""
        self._stage = "newkeys"
        return self._reply.raw + self._go_on()

    def show(self) -> bytes:
        """Return the held packet alone, for a client that is to see the key and get no further; it stays held."""
        return self._reply.raw if self._stage == "held" and self._reply is not None else b""

    def _feed_banner(self, data: bytes) -> bytes:
        preface, before = self._preface, len(self._preface)
        preface += data
        if self._banner_at < 0:
            self._banner_at = self._find_banner()
        start = self._banner_at
        end = preface.find(b"\n", max(start, before)) + 1 if start >= 0 else 0
        if (end or len(preface)) > LARGEST_PREFACE:
            raise ProtocolError("what answers on that port does not speak SSH", "Name sshd's port: ssh -p PORT")
        if not end:
            return b""
        banner, rest = bytes(preface[start:end]), bytes(preface[end:])
        if not _BANNER.fullmatch(banner):
            raise ProtocolError("the server's SSH banner is not one of SSH 2")
        preface.clear()
        self._stage = "negotiation"
        self._server.feed(rest)
        return banner + self._go_on()

    def _find_banner(self) -> int:
        """Return where the first line that begins with `SSH-` starts, -1 while there is none."""
        preface = self._preface
        if preface.startswith(b"SSH-"):
            return 0
        at = preface.find(b"\nSSH-", self._searched)
        self._searched = max(0, len(preface) - len(b"\nSSH"))
        return at + 1 if at >= 0 else -1

    def _go_on(self) -> bytes:
        out: list[bytes] = []
        while self._stage not in ("held", "open"):
            packet = self._server.take()
            if packet is None:
                break
            if self._passes(packet):
                out.append(_said_again(packet.payload) if packet.kind == DISCONNECT else packet.raw)
                self._clear += len(packet.raw)
        if self._stage == "open":
            out.append(self._server.rest())
            return b"".join(out)
        if self._clear > MOST_CLEAR or self._server.waiting > MOST_HELD:
            raise ProtocolError("the server says too much before the key exchange has ended")
        return b"".join(out)

    def _passes(self, packet: Packet) -> bool:
        """Whether `packet` passes at this stage; goes on to the next one where it is what that waits for."""
        if packet.kind in ANYWHERE:
            return True
        if self._stage == "negotiation" and packet.kind == KEXINIT:
            self._server_init = read_kexinit(packet.payload)
            if self._server_init.guesses:  # a reply that the client would ignore, before the one that it heeds
                raise ProtocolError("the server guesses at the key exchange, which none does")
            self._stage = "reply"
            return True
        if self._stage == "reply":
            return self._passes_exchange(packet)
        if self._stage == "newkeys" and packet.kind == NEWKEYS:
            self._stage = "open"
            return True
        raise ProtocolError(f"the server sent SSH message {packet.kind} where it has no place")

    def _passes_exchange(self, packet: Packet) -> bool:
        if not self._reply_number:
            if self._hello.kexinit is None or self._server_init is None:
                raise ProtocolError("the server answers a key exchange that nobody has begun")
            self._reply_number = reply_number(negotiated(self._hello.kexinit, self._server_init))
        if packet.kind == self._reply_number:
            self.host_key = reply_host_key(packet.payload)
            self._reply = packet
            self._stage = "held"
            return False
        if self._reply_number == GEX_REPLY and packet.kind == GEX_GROUP and not self._group_seen:
            # It passes unjudged, so it must not be what a client of another mind takes for a reply.
            self._group_seen = is_group(packet.payload)
            if self._group_seen:
                return True
        raise ProtocolError(f"the server sent SSH message {packet.kind} where it has no place")
