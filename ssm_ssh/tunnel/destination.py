"""PURE: the session that carries SSH to a port of an instance."""

from __future__ import annotations

SSH_DOCUMENT = "AWS-StartSSHSession"


def session_parameters(port: int) -> dict[str, list[str]]:
    """Return the parameters of a session document that carries one TCP connection to `port` of the instance."""
    return {"portNumber": [str(port)]}
