"""PURE: whether the agent has stopped passing on what a command writes.

AWS's agent stops for good if it reads output of a separate-streams command while the connection is broken, and sends
what it has read (agent/session/shell/shell.go of amazon-ssm-agent 3.3, the pumps of its pipes). So the rest may be lost
when something has come after a resume that was made before it, and nothing since.
"""

from __future__ import annotations

TELL, LOST = "tell", "lost"
# Seconds. The script itself waits for 300 s, and then ends the session.
TELL_AFTER, LOST_AFTER = 30.0, 330.0


class Silence:
    """`suspicious` is Channel.only_stale; times are monotonic seconds."""

    def __init__(self, now: float) -> None:
        self._heard_at = now
        self._told = False

    def heard(self, now: float) -> None:
        """Note that output has come."""
        self._heard_at, self._told = now, False

    def seconds(self, now: float) -> float:
        """Return for how long nothing has come."""
        return now - self._heard_at

    def look(self, now: float, *, suspicious: bool) -> str:
        """Return TELL once after a while, LOST when waiting is in vain, else ""."""
        if not suspicious:
            return ""
        if self.seconds(now) >= LOST_AFTER:
            return LOST
        if self.seconds(now) >= TELL_AFTER and not self._told:
            self._told = True
            return TELL
        return ""

    def timer(self, *, suspicious: bool) -> float | None:
        """Return when `look` may have something to say."""
        if not suspicious:
            return None
        return self._heard_at + (LOST_AFTER if self._told else TELL_AFTER)
