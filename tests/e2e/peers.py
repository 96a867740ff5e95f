"""Peers that are hostile or half dead: what each does, and what must come of it. docs/security.md shows this table."""

from __future__ import annotations

from typing import NamedTuple

BEFORE, OPEN = 30, 90
"""Seconds that a connection may take: before the login from its start, under an open session from the fault on."""


class Peer(NamedTuple):
    """One peer. `says` is a part of the sentence that the user must read, "" where the connection goes on."""

    key: str
    peer: str
    does: str
    happens: str
    seconds: int
    says: str


NO_HANDSHAKE, GAP = "no handshake for", "ended the session before it began"
NO_BANNER, CLOSED = "has sent no banner for", "nothing listens on port"
HALFWAY = "in the middle of the key exchange"
NOTHING, UNFINISHED = "has acknowledged nothing for", "has not finished it for"
RESUMES, PROBES = "resumes, ends", "probes, resumes, ends"

PEERS = (
    Peer("no_handshake", "agent", "joins the session and never begins the handshake", "ends", BEFORE, NO_HANDSHAKE),
    Peer("far_ahead", "agent", "begins with a far too high sequence number", "ends", BEFORE, GAP),
    Peer("no_banner", "agent", "acknowledges all input, never reaches the port", "ends", BEFORE, NO_BANNER),
    Peer("empty", "agent", "sends empty messages instead of sshd's banner", "ends", BEFORE, NO_BANNER),
    Peer("mute", "agent", "sends and acknowledges nothing after the handshake", "ends", BEFORE, CLOSED),
    Peer("silent_port", "sshd", "accepts the connection and sends no banner", "ends", BEFORE, NO_BANNER),
    Peer("dripping_preface", "sshd", "sends lines before its banner forever", "ends", BEFORE, NO_BANNER),
    Peer("banner_only", "sshd", "sends its banner and nothing else", "ends", BEFORE, HALFWAY),
    Peer("hung", "agent", "hangs under an open session; AWS answers pings", RESUMES, OPEN, NOTHING),
    Peer("no_acks", "agent", "takes an upload and acknowledges nothing", RESUMES, OPEN, NOTHING),
    Peer("kill_agent", "agent", "dies under an open session", RESUMES, OPEN, NOTHING),
    Peer("idle_restart", "instance", "restarts under an idle session", PROBES, OPEN, NOTHING),
    Peer("unfinished", "gateway", "begins a message and never ends it", RESUMES, OPEN, UNFINISHED),
    Peer("unfinished_once", "gateway", "does so once", "resumes, goes on", OPEN, ""),
    Peer("outside", "administrator", "ends the session", "ends", OPEN, "was ended from outside"),
    Peer("restart_up", "instance", "restarts under scp to it", RESUMES, OPEN, NOTHING),
    Peer("restart_down", "instance", "restarts under scp from it", PROBES, OPEN, NOTHING),
)


def table() -> list[str]:
    """The table, as Markdown lines."""
    rows = [
        f"| {one.peer} | {one.does} | {one.happens} | {one.seconds} | {f'… {one.says} …' if one.says else '-'} |"
        for one in PEERS
    ]
    return ["| peer | what it does | what happens | within (s) | sentence |", "|---|---|---|---|---|", *rows]
