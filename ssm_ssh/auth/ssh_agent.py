"""The public keys that ssh-agent holds. Private keys never leave the agent.

The protocol: https://datatracker.ietf.org/doc/html/draft-ietf-sshm-ssh-agent, section 4.4.
"""

from __future__ import annotations

import socket
import struct

from ssm_ssh.errors import ProtocolError, UsageError
from ssm_ssh.ssh.hostkey import from_blob, strings
from ssm_ssh.startup import TYPE_CHECKING, NamedTuple
from ssm_ssh.text import printable

if TYPE_CHECKING:
    from ssm_ssh.ssh.hostkey import HostKey

_TIMEOUT = 5.0
_REQUEST_IDENTITIES, _IDENTITIES_ANSWER = 11, 12
_MOST_IDENTITIES = 1000
# Bytes. An agent with a thousand keys sends less.
_LARGEST_ANSWER = 1 << 20


class AgentKey(NamedTuple):
    """A public key in the agent, with its comment."""

    key: HostKey
    comment: str


def find_key(selector: str, socket_path: str) -> HostKey:
    """Return the one key whose comment or SHA256 fingerprint is `selector`, or the only key for "".

    `socket_path` is the value of SSH_AUTH_SOCK. Raises UsageError where the agent does not answer or has none or
    several of such keys.
    """
    matching = [item for item in keys(socket_path) if selector in ("", item.comment, item.key.fingerprint)]
    if len(matching) == 1:
        return matching[0].key
    if not matching:
        what = f"no key '{printable(selector, 60)}'" if selector else "no key"
        raise UsageError(f"ssh-agent holds {what}", "List its keys: ssh-add -l")
    comments = ", ".join(printable(item.comment, 40) for item in matching[:5])
    raise UsageError(
        f"ssh-agent holds {len(matching)} such keys: {comments}",
        "Name one: agent:COMMENT, or agent:SHA256:... as ssh-add -l shows",
    )


def keys(socket_path: str) -> list[AgentKey]:
    """Return the keys of the agent at `socket_path`, without certificates and types that are unknown here.

    Raises UsageError where there is no agent or it gives no usable answer.
    """
    if not socket_path:
        raise UsageError("there is no ssh-agent (SSH_AUTH_SOCK is not set)", "Start one, or use another key")
    try:
        kind, count, parts = _ask(socket_path)
    except (OSError, struct.error, ProtocolError) as error:
        raise UsageError("ssh-agent does not answer", "Test it: ssh-add -l") from error
    if kind != _IDENTITIES_ANSWER or count > _MOST_IDENTITIES or len(parts) != 2 * count:
        raise UsageError("ssh-agent sent a malformed answer", "Test it: ssh-add -l")
    held = []
    for blob, comment in zip(parts[::2], parts[1::2], strict=True):
        try:
            held.append(AgentKey(from_blob(blob), comment.decode("utf-8", "replace")))
        except ProtocolError:
            continue  # a certificate, or a type of the future
    return held


def _ask(socket_path: str) -> tuple[int, int, list[bytes]]:
    """Return the type of the answer, the number of keys, and a blob and a comment for each key."""
    with socket.socket(socket.AF_UNIX) as agent:
        agent.settimeout(_TIMEOUT)
        agent.connect(socket_path)
        agent.sendall(struct.pack(">IB", 1, _REQUEST_IDENTITIES))
        with agent.makefile("rb") as answer:
            (length,) = struct.unpack(">I", answer.read(4))
            body = answer.read(min(length, _LARGEST_ANSWER))
    kind, count = struct.unpack(">BI", body[:5])
    return kind, count, strings(body[5:])
