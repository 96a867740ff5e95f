"""SSH itself as the channel for errors: a banner and one plaintext SSH_MSG_DISCONNECT (RFC 4253, 4.2, 6 and 11.1).

Every OpenSSH prints the text, also under ControlPersist (where a proxy's stderr is lost), and so do scp, git and
Ansible. It serves until the server's keys are in use: before its banner with one of our own, then between its packets.
OpenSSH heeds a disconnect at any time, with strict KEX too, which allows nothing else that is not expected.
"""

from __future__ import annotations

from ssm_ssh.text import printable

BANNER = b"SSH-2.0-ssm_ssh\r\n"
LONGEST_TEXT = 400

_MSG_DISCONNECT = 1
_PROTOCOL_ERROR = 2
_BLOCK = 8


def disconnect(text: str, *, begun: bool = False) -> bytes:
    """Return the bytes a proxy sends in the server's place to end the connection with `text`.

    `begun`: the server's own banner has been passed on.
    """
    said = printable(text, LONGEST_TEXT).encode("ascii")
    payload = (
        bytes([_MSG_DISCONNECT]) + _PROTOCOL_ERROR.to_bytes(4, "big") + len(said).to_bytes(4, "big") + said + bytes(4)
    )
    padding = _BLOCK - (5 + len(payload)) % _BLOCK
    if padding < 4:
        padding += _BLOCK
    packet = (1 + len(payload) + padding).to_bytes(4, "big") + bytes([padding]) + payload + bytes(padding)
    return packet if begun else BANNER + packet
