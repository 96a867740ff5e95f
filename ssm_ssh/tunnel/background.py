"""PURE: notices when ssh goes into the background, and lets its stderr go then.

A program that reads ssh's output to its end (`subprocess.run(..., capture_output=True)`) waits for every process that
holds the other end. ssh itself closes it when it goes into the background (-f), and this process has inherited it. All
that is visible of that moment is that the parent of this process ends: ssh lives on as its child.

A terminal is let go as well, because it is no longer ssh's. What comes after that is in the log, in `ssm-ssh status`
and, once, in what the next connection prints (outcomes.py).
"""

from __future__ import annotations

from ssm_ssh.relay.poller import READ
from ssm_ssh.startup import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ssm_ssh.log import Log
    from ssm_ssh.relay.environment import LocalStreams, PollSet

# Seconds after the last bytes at which to look, where the system does not report the end of a parent. ssh forks within
# milliseconds of the server's answer, so the pauses double until they are as long as the loop's longest wait.
_FIRST_LOOK, _LAST_LOOK = 0.05, 2.5


class Background:
    """Watches the parent of this process, from the end of the key exchange on: ssh logs in before it forks."""

    def __init__(self, local: LocalStreams, log: Log) -> None:
        self._local = local
        self._log = log
        self._since = 0.0
        self._watching = self._parent_ended = self._released = False

    def watch(self, poller: PollSet) -> None:
        """Wait for the end of the parent, where the system reports it."""
        if not self._watching:
            self._watching = True
            self._local.watch_parent()
        if self._released or self._parent_ended:  # the descriptor stays readable, and would keep the loop turning
            self.stop(poller)
        elif self._local.parent_fd >= 0:
            poller.watch(self._local.parent_fd, READ)

    def stop(self, poller: PollSet) -> None:
        """Watch no more."""
        if self._local.parent_fd >= 0:
            poller.forget(self._local.parent_fd)
            self._local.forget_parent()

    def on_ready(self, ready: Mapping[int, int]) -> None:
        """Take what poll() has reported."""
        if ready.get(self._local.parent_fd):
            self._parent_ended = True

    def look(self) -> None:
        """Let stderr go if the parent has ended."""
        if self._released or not (self._parent_ended or not self._local.client_is_parent()):
            return
        self._released = True
        self._log.info("ssh is in the background: its stderr is let go")
        self._log.release_stderr()
        self._local.release_stderr()

    def timer(self, now: float, last: float) -> float | None:
        """Return when to look, None where the system reports the end; `last`: when bytes have passed, 0 for never."""
        self._since = self._since or now
        idle = now - max(self._since, last)
        if self._released or self._local.parent_fd >= 0 or idle > _LAST_LOOK:
            return None
        return now + max(_FIRST_LOOK, idle)
