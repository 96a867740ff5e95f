"""PURE: when to tell a user that the connection is lost, and which users. State and time come in."""

from __future__ import annotations

QUIET, TELL, BACK = "", "tell", "back"
"""What `Outage.look` decides: nothing, tell that the connection is lost, tell that it is back."""

# Seconds: most breaks are over by then, and a person has begun to wonder.
TELL_AFTER = 10.0
# How to leave an ssh that waits.
LEAVE_SSH = "To leave: Enter, then ~. (or Ctrl-C where ssh runs a command)"


class Outage:
    """Since when there has been no connection."""

    def __init__(self, tell_after: float = TELL_AFTER) -> None:
        self._tell_after = tell_after
        self._since: float | None = None
        self._told = False

    def look(self, now: float, *, online: bool) -> str:
        """Return the verdict; each outage is told of once, and its end only if it was."""
        if online:
            told, self._told, self._since = self._told, False, None
            return BACK if told else QUIET
        if self._since is None:
            self._since = now
        if self._told or now < self._since + self._tell_after:
            return QUIET
        self._told = True
        return TELL

    def timer(self) -> float | None:
        """Return the time at which `look` may change its answer."""
        return None if self._since is None or self._told else self._since + self._tell_after


def lost_sentence(limit: float, leave: str = LEAVE_SSH) -> str:
    """Return the line for a person in front of a terminal; `limit`: seconds until the relay gives up."""
    return f"the connection is lost; ssm-ssh tries to restore it for up to {limit / 60:.0f} min. {leave}"


def may_interject(*, openssh: bool, foreground: bool, terminal: bool) -> bool:
    """Whether a line on stderr reaches a person and nothing else, in the middle of an open session.

    asyncssh takes a proxy's stderr for stream data; where stderr is a file or a pipe, a program reads it; and an ssh
    that has gone into the background leaves its terminal to others.
    """
    return openssh and foreground and terminal
