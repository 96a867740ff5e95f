"""An SSH server's public key: its blob in a KEX reply, its fingerprint and its line in a file (RFC 4253, 6.6)."""

from __future__ import annotations

import re
from binascii import Error, a2b_base64, b2a_base64

from ssm_ssh.errors import ProtocolError
from ssm_ssh.startup import NamedTuple

# Bytes. OpenSSH's largest RSA keys have 16384 bits; a certificate adds names and a second key.
LARGEST_BLOB = 64 * 1024
_CERTIFICATE = "-cert-v01@openssh.com"
# RFC 4251, 6: names are printable ASCII of at most 64 characters. These names become words of known_hosts.
_KIND = r"[a-z0-9][a-z0-9@.-]{0,63}"
_LINE = r"([a-z0-9][a-z0-9@.-]{0,63}) ([A-Za-z0-9+/]+={0,2})(?: [\x20-\x7e]*)?"
# More fields than any type of key has: ssh-dss has four.
_MOST_FIELDS = 8
_CURVES = {"nistp256": 256, "nistp384": 384, "nistp521": 521}
# The names that ssh-keygen -l shows in parentheses.
_SHORT = {"ssh-ed25519": "ED25519", "ssh-rsa": "RSA", "ssh-dss": "DSA"}


class HostKey(NamedTuple):
    """A server's plain public key: `kind` is its type, such as `ssh-ed25519`, and `blob` the key on the wire."""

    kind: str
    blob: bytes

    @property
    def line(self) -> str:
        """`type base64`."""
        return f"{self.kind} {b2a_base64(self.blob, newline=False).decode('ascii')}"

    @property
    def fingerprint(self) -> str:
        """`SHA256:...` as ssh prints it."""
        from hashlib import sha256

        digest = b2a_base64(sha256(self.blob).digest(), newline=False).decode("ascii")
        return f"SHA256:{digest.rstrip('=')}"

    @property
    def short(self) -> str:
        """The type as ssh prints it: `ED25519`, `RSA`, `ECDSA`, ..."""
        if self.kind.startswith("ecdsa-sha2-"):
            return "ECDSA"
        if self.kind.startswith("sk-ssh-ed25519@"):
            return "ED25519-SK"
        if self.kind.startswith("sk-ecdsa-"):
            return "ECDSA-SK"
        return _SHORT.get(self.kind, self.kind)

    @property
    def bits(self) -> int:
        """The size as ssh-keygen prints it; 0 for an unknown type."""
        if self.kind == "ssh-rsa":
            modulus = strings(self.blob)[2]
            return int.from_bytes(modulus, "big").bit_length()
        curve = self.kind.removeprefix("sk-").removeprefix("ecdsa-sha2-").removesuffix("@openssh.com")
        return 256 if "ed25519" in self.kind else _CURVES.get(curve, 0)

    def described(self, name: str) -> str:
        """`256 SHA256:... name (ED25519)`, as `ssh-keygen -l` prints it."""
        return f"{self.bits} {self.fingerprint} {name} ({self.short})"


class Shown(NamedTuple):
    """What a source says of an instance: its host `keys`, or none; `doubt` says why it is not to be believed, if so."""

    keys: frozenset[HostKey]
    doubt: str = ""


def strings(data: bytes) -> list[bytes]:
    """Return the strings (RFC 4251, 5: a length and as many bytes) in `data`. Raises ProtocolError."""
    found, at = [], 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        end = at + 4 + size
        if end > len(data) or at + 4 > len(data):
            raise ProtocolError("a string of the SSH key exchange is cut short")
        found.append(data[at + 4 : end])
        at = end
    return found


def from_blob(blob: bytes) -> HostKey:
    """Return the key in `blob`; for a certificate the plain key in it, which known_hosts can hold.

    ssh too looks for the plain key if known_hosts names no authority. Raises ProtocolError for a blob that is not a
    key of the type that it names.
    """
    if len(blob) > LARGEST_BLOB:
        raise ProtocolError("the server's host key exceeds 64 KiB")
    size = int.from_bytes(blob[:4], "big")
    name = blob[4 : 4 + size]
    kind = name.decode("ascii", "replace")
    if len(name) != size or not re.fullmatch(_KIND, kind):
        raise ProtocolError("the server's host key has no valid type")
    if not kind.endswith(_CERTIFICATE):
        _check(kind, blob)
        return HostKey(kind, blob)
    plain = kind.removesuffix(_CERTIFICATE)
    if plain.startswith("sk-"):
        plain += "@openssh.com"
    fields = _FIELDS.get(plain)
    if fields is None:
        plain, fields = _plain_kind(plain), _count_fields(blob, 4 + size)
    if not fields:
        raise ProtocolError(
            f"the server's host certificate has the unknown type '{kind}'",
            f"Use a plain host key: ssh -o HostKeyAlgorithms=-{kind}",
        )
    at = 4 + size
    parts = []
    for _ in range(1 + fields):  # the nonce, then the fields of the plain key
        part, at = _string(blob, at)
        parts.append(part)
    key = b"".join(len(part).to_bytes(4, "big") + part for part in (plain.encode("ascii"), *parts[1:]))
    return from_blob(key)


def _plain_kind(name: str) -> str:
    """Return the type of the plain key of an unknown certificate type, whose name without its ending is `name`.

    Certificates are an extension of OpenSSH, and so are the key types that it adds.
    """
    return name if "@" in name or name == "ssh-ed448" else f"{name}@openssh.com"


def _count_fields(blob: bytes, at: int) -> int:
    """Return how many strings the plain key in a certificate has; 0 for a blob without the form of a certificate.

    After nonce and key, all types have the same fields (OpenSSH's PROTOCOL.certkeys).
    """
    fits = []
    try:
        _, at = _string(blob, at)  # the nonce
        for count in range(1, _MOST_FIELDS + 1):
            _, at = _string(blob, at)
            if _is_host_certificates_end(blob[at:]):
                fits.append(count)
    except ProtocolError:
        pass
    return fits[0] if len(fits) == 1 else 0


def _is_host_certificates_end(data: bytes) -> bool:
    """Return whether `data` follows a key: serial, type (2: host), id, principals, times, options, signature."""
    try:
        _, at = _string(data, 12)  # the key's id
        _, at = _string(data, at)  # the principals
        at += 16  # valid after, valid before
        for _ in range(2):  # critical options, extensions
            _, at = _string(data, at)
        reserved, at = _string(data, at)
        for _ in range(2):  # the authority's key, its signature
            inner, at = _string(data, at)
            _string(inner, 0)
    except ProtocolError:
        return False
    return data[8:12] == b"\0\0\0\2" and not reserved and at == len(data)


def from_line(line: str) -> HostKey | None:
    """Return the key of one line of a .pub file (`type base64 comment`); None for anything else.

    Options, markers such as `@cert-authority`, several lines and certificates are not accepted.
    """
    match = re.fullmatch(_LINE, line)
    if match is None or match[1].endswith(_CERTIFICATE):
        return None
    try:
        key = from_blob(a2b_base64(match[2]))
    except (Error, ProtocolError):
        return None
    return key if key.line == f"{match[1]} {match[2]}" else None


def _string(data: bytes, at: int) -> tuple[bytes, int]:
    size = int.from_bytes(data[at : at + 4], "big")
    end = at + 4 + size
    if at + 4 > len(data) or end > len(data):
        raise ProtocolError("the server's host key is cut short")
    return data[at + 4 : end], end


# How many strings follow the type (RFC 4253 6.6, RFC 5656 3.1, RFC 8709 4, OpenSSH's PROTOCOL.u2f).
_FIELDS = {
    "ssh-ed25519": 1,
    "ssh-rsa": 2,
    "ssh-dss": 4,
    "ecdsa-sha2-nistp256": 2,
    "ecdsa-sha2-nistp384": 2,
    "ecdsa-sha2-nistp521": 2,
    "sk-ssh-ed25519@openssh.com": 2,
    "sk-ecdsa-sha2-nistp256@openssh.com": 3,
}


def _check(kind: str, blob: bytes) -> None:
    """Check that `blob` has the form of its type, if that type is known. Raises ProtocolError."""
    fields = _FIELDS.get(kind)
    if fields is None:
        return
    parts = strings(blob)
    fits = len(parts) == 1 + fields
    if fits and "ed25519" in kind:
        fits = len(parts[1]) == 32
    elif fits and "ecdsa" in kind:
        curve = kind.removeprefix("sk-").removeprefix("ecdsa-sha2-").removesuffix("@openssh.com")
        size = (_CURVES[curve] + 7) // 8
        fits = parts[1] == curve.encode("ascii") and len(parts[2]) == 1 + 2 * size and parts[2][0] == 4
    elif fits:  # positive numbers without redundant zeros
        fits = all(part and part[0] < 0x80 and not (part[0] == 0 and part[1:2] < b"\x80") for part in parts[1:])
    if not fits:
        raise ProtocolError(f"the server's host key does not have the form of its type, {kind}")
