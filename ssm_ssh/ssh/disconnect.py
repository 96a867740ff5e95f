"""Errors in SSH's own terms: a banner and one plaintext SSH_MSG_DISCONNECT (RFC 4253, 4.2, 6 and 11.1).

Every OpenSSH prints the text, even under ControlPersist, which loses a proxy's stderr; so do scp, git and Ansible. The
message works until the server's keys are in use: before the server's banner with a banner added, then between its
packets. OpenSSH accepts a disconnect at any time, even under strict KEX, which allows no other unexpected message.
"""

from __future__ import annotations

from ssm_ssh.text import printable

BANNER = b"SSH-2.0-ssm_ssh\r\n"
LONGEST_TEXT = 400

_MSG_DISCONNECT = 1
_PROTOCOL_ERROR = 2
_BLOCK = 8


def disconnect(text: str, *, begun: bool = False) -> bytes:
    """Return the bytes that a proxy sends instead of the server to end the connection with `text`.

    `begun`: the server's banner has been passed on.
    """
    description = printable(text, LONGEST_TEXT).encode("ascii")
    payload = (
        bytes([_MSG_DISCONNECT])
        + _PROTOCOL_ERROR.to_bytes(4, "big")
        + len(description).to_bytes(4, "big")
        + description
        + bytes(4)
    )
    padding = _BLOCK - (5 + len(payload)) % _BLOCK
    if padding < 4:
        padding += _BLOCK
    packet = (1 + len(payload) + padding).to_bytes(4, "big") + bytes([padding]) + payload + bytes(padding)
    return packet if begun else BANNER + packet
