"""The gate for the server's bytes before its keys are in use.

Before the SSH banner, the gate holds everything back, so that a refusal (sshd's MaxStartups, a closed port) can be
retried or reported in an SSH packet. Lines before the banner never pass: clients ignore them but disagree on where such
a line ends, so a client could see a banner, and another key exchange, that the gate does not. The banner and the
server's SSH_MSG_KEXINIT pass at once, because a client's ConnectTimeout ends with the banner. The packet with the host
key is held until the key has been verified and the user's key is in place. From NEWKEYS on everything passes.

    banner --> negotiation --> reply --> held --> newkeys --> open

Only whole packets pass, so a disconnect packet can be inserted between them until the gate is open. Bytes that SSH does
not allow at their place are an error and never pass unread: they could bypass the verification.
"""

from __future__ import annotations

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
from ssm_ssh.startup import TYPE_CHECKING

if TYPE_CHECKING:
    from ssm_ssh.ssh.hostkey import HostKey
    from ssm_ssh.ssh.kex import Packet

# Bytes before the banner and of the banner. RFC 4253, 4.2: a server MAY send other lines first. OpenSSH's client
# accepts 1024 lines of up to 8192 bytes; no server comes near that.
LARGEST_PREFACE = 64 * 1024
_BANNERS = (b"SSH-2.0-", b"SSH-1.99-")
# RFC 4253, 4.2: at most 255 bytes with the line's end.
_LONGEST_SOFTWARE = 245
# Bytes that may pass in clear, and bytes that may wait after the held packet: a handshake has a few KiB.
MOST_CLEAR = 1024 * 1024
MOST_HELD = 1024 * 1024


class _ClientStart:
    """Reads the client's banner and SSH_MSG_KEXINIT, and ignores the rest of its bytes."""

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
                raise ProtocolError("the client of this tunnel does not speak SSH")
            if not newline:
                return
            self.version = line.decode("ascii", "replace").strip()
        self._packets.feed(data)
        while self.kexinit is None and (packet := self._packets.take()) is not None:
            if packet.kind == KEXINIT:
                self.kexinit = read_kexinit(packet.payload)
                self._packets.rest()


def _sanitized_disconnect(payload: bytes) -> bytes:
    """Return a disconnect message with its text made printable: ssh shows it raw, from a sender not yet verified."""
    return disconnect(payload[9 : 9 + int.from_bytes(payload[5:9], "big")].decode("utf-8", "replace"), begun=True)


class Gate:
    """Takes the server's bytes and returns those that may pass; watches the client's bytes."""

    def __init__(self) -> None:
        self._stage = "banner"
        self._preface = bytearray()
        # Where to continue the search for the banner, and where the banner starts (-1: not found). This bounds how
        # often each byte is examined, however the bytes arrive.
        self._searched = 0
        self._banner_at = -1
        self._client = _ClientStart()
        self._server = Packets()
        self._server_init: KexInit | None = None
        self._reply_number = 0
        self._group_seen = False
        self._reply: Packet | None = None
        self._clear = 0
        self.host_key: HostKey | None = None
        """The server's host key, as soon as the packet with it is held."""

    @property
    def banner_seen(self) -> bool:
        """Whether the server has begun to speak SSH; its banner has then been passed on."""
        return self._stage != "banner"

    @property
    def held(self) -> bool:
        """Whether the packet with the host key waits for `release`."""
        return self._stage == "held"

    @property
    def servers_turn(self) -> bool:
        """Whether the key exchange waits for the server."""
        return self._stage in ("negotiation", "reply", "newkeys") and self._client.kexinit is not None

    @property
    def open(self) -> bool:
        """Whether everything passes; no packet can be inserted any more."""
        return self._stage == "open"

    @property
    def preface(self) -> str:
        """The text that the server sent instead of a banner."""
        return self._preface.decode("ascii", "replace")

    @property
    def client_version(self) -> str:
        """The client's banner, such as `SSH-2.0-OpenSSH_9.2`; "" before it arrives."""
        return self._client.version

    def feed_client(self, data: bytes) -> None:
        """Watch bytes on their way to the server. Raises ProtocolError if they are not SSH."""
        if self._stage != "open":
            self._client.feed(data)

    def feed(self, data: bytes) -> bytes:
        """Take bytes of the server; return the bytes that may pass now.

        Raises ProtocolError for bytes that SSH does not allow at this place; nothing may pass after that.
        """
        if self._stage == "open":
            return data
        if self._stage == "banner":
            return self._feed_banner(data)
        self._server.feed(data)
        return self._advance()

    def release(self) -> bytes:
        """Let the held packet pass; return the bytes that may pass now. Raises ProtocolError as `feed` does."""
        if self._stage != "held" or self._reply is None:
            return b""
        self._stage = "newkeys"
        return self._reply.raw + self._advance()

    def show(self) -> bytes:
        """Return only the held packet, for a client that may see the key but get no further; it stays held."""
        return self._reply.raw if self._stage == "held" and self._reply is not None else b""

    def _feed_banner(self, data: bytes) -> bytes:
        preface, before = self._preface, len(self._preface)
        preface += data
        if self._banner_at < 0:
            self._banner_at = self._find_banner()
        start = self._banner_at
        end = preface.find(b"\n", max(start, before)) + 1 if start >= 0 else 0
        if (end or len(preface)) > LARGEST_PREFACE:
            raise ProtocolError("the server on that port does not speak SSH", "Use the port of sshd: ssh -p PORT")
        if not end:
            return b""
        banner, rest = bytes(preface[start:end]), bytes(preface[end:])
        if not _is_banner(banner):
            raise ProtocolError("the server's banner is not that of SSH 2")
        preface.clear()
        self._stage = "negotiation"
        self._server.feed(rest)
        return banner + self._advance()

    def _find_banner(self) -> int:
        """Return where the first line with `SSH-` at its start begins, -1 while there is none."""
        preface = self._preface
        if preface.startswith(b"SSH-"):
            return 0
        position = preface.find(b"\nSSH-", self._searched)
        self._searched = max(0, len(preface) - len(b"\nSSH"))
        return position + 1 if position >= 0 else -1

    def _advance(self) -> bytes:
        out: list[bytes] = []
        while self._stage not in ("held", "open"):
            packet = self._server.take()
            if packet is None:
                break
            if self._passes(packet):
                out.append(_sanitized_disconnect(packet.payload) if packet.kind == DISCONNECT else packet.raw)
                self._clear += len(packet.raw)
        if self._stage == "open":
            out.append(self._server.rest())
            return b"".join(out)
        if self._clear > MOST_CLEAR or self._server.waiting > MOST_HELD:
            raise ProtocolError("the server sends too much before the key exchange has ended")
        return b"".join(out)

    def _passes(self, packet: Packet) -> bool:
        """Return whether `packet` passes at this stage; advance to the next stage if it is the expected packet."""
        if packet.kind in ANYWHERE:
            return True
        if self._stage == "negotiation" and packet.kind == KEXINIT:
            self._server_init = read_kexinit(packet.payload)
            if self._server_init.guesses:  # the client would ignore the reply to a wrong guess
                raise ProtocolError("the server guesses the key exchange, which no SSH server does")
            self._stage = "reply"
            return True
        if self._stage == "reply":
            return self._passes_exchange(packet)
        if self._stage == "newkeys" and packet.kind == NEWKEYS:
            self._stage = "open"
            return True
        raise ProtocolError(f"the server sent SSH message {packet.kind} at the wrong place")

    def _passes_exchange(self, packet: Packet) -> bool:
        if not self._reply_number:
            if self._client.kexinit is None or self._server_init is None:
                raise ProtocolError("the server answers a key exchange that has not begun")
            self._reply_number = reply_number(negotiated(self._client.kexinit, self._server_init))
        if packet.kind == self._reply_number:
            self.host_key = reply_host_key(packet.payload)
            self._reply = packet
            self._stage = "held"
            return False
        if self._reply_number == GEX_REPLY and packet.kind == GEX_GROUP and not self._group_seen:
            # It passes without verification, so no client may be able to take it for a reply.
            self._group_seen = is_group(packet.payload)
            if self._group_seen:
                return True
        raise ProtocolError(f"the server sent SSH message {packet.kind} at the wrong place")


def _is_banner(line: bytes) -> bool:
    """Return whether `line` is the identification of an SSH 2 server; the software's name may contain anything."""
    name = line.removesuffix(b"\n").removesuffix(b"\r")
    start = next((start for start in _BANNERS if name.startswith(start)), b"")
    if not start or not line.endswith(b"\n") or len(name) - len(start) > _LONGEST_SOFTWARE:
        return False
    return not any(byte in name for byte in (0, 13, 10))
