"""Quirks: an agent that stays online at the gateway, but misbehaves in its sessions.

The official agent is seen like this when its machine thrashes, when its session worker hangs, and in its own bugs; a
hostile one can do it on purpose. What is set holds for sessions that run and for those to come.
"""

from __future__ import annotations

from ssm_ssh.lab.wire.rpc import CallFailed

QUIRKS = (
    "",  # none: a healthy agent
    "no_handshake",  # it joins the session and never asks for the handshake
    "far_ahead",  # its first message has a sequence number far above 0
    "no_banner",  # the handshake completes and input is acknowledged, but it never connects to the port
    "mute",  # the handshake completes; after it nothing is acknowledged or sent
    "empty",  # as no_banner, with an empty message every now and then
    "no_acks",  # input is handed over and not acknowledged
    "hung",  # as a stopped process: its socket stays open, and nothing is read or sent any more
)
# How far above: within what a client buffers.
FAR_AHEAD = 5_000
EMPTY_INTERVAL = 0.5


class Quirk:
    """The quirk of one agent, shared by all of its sessions."""

    def __init__(self) -> None:
        self.kind = ""

    def set(self, kind: str) -> None:
        """Change it. Raises CallFailed for an unknown kind."""
        if kind not in QUIRKS:
            raise CallFailed("ValidationException", f"kind must be one of {', '.join(filter(None, QUIRKS))}")
        self.kind = kind
