"""What an agent of a version can do in a port forward."""

from __future__ import annotations

# amazon-ssm-agent and session-manager-plugin compare with these: smux in later versions than the first, its keep-alive
# switched off in later ones than the second, remote hosts from the third on.
_MUX_AFTER = (3, 0, 196, 0)
_NO_KEEP_ALIVE_AFTER = (3, 1, 1511, 0)
_REMOTE_HOSTS = (3, 1, 1374, 0)


def multiplexes(version: str) -> bool:
    """Whether the agent carries several connections in one session."""
    return _numbers(version) > _MUX_AFTER


def keeps_alive(version: str) -> bool:
    """Whether the agent ends a forward whose client sends nothing, not even a NOP frame, for 30 s."""
    return multiplexes(version) and _numbers(version) <= _NO_KEEP_ALIVE_AFTER


def reaches_hosts(version: str) -> bool:
    """Whether the agent forwards to other hosts than its own."""
    return _numbers(version) >= _REMOTE_HOSTS


def _numbers(version: str) -> tuple[int, ...]:
    """Return the four numbers of a version; an unreadable one counts as the latest, as every current agent is."""
    parts = version.split(".")
    if not all(part.isascii() and part.isdigit() and len(part) <= 9 for part in parts):
        return (1 << 32,)
    return (*map(int, parts), 0, 0, 0, 0)[:4]
