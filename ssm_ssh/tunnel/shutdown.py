"""The steps of an end: what is unsent goes out, AWS is told, and then it is over, in seconds in any case."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ssm_ssh.relay.tasks import Task

if TYPE_CHECKING:
    from ssm_ssh.channel.session import Channel
    from ssm_ssh.log import Log
    from ssm_ssh.relay.tasks import Waker
    from ssm_ssh.tunnel.service import Session

# For what is still unsent, the flag that ends the session among it.
_FLUSH = 0.4
# For all of it, where there is a session: when AWS is in reach the call is waited for, however busy everybody is, for a
# session that is left lives on for twenty minutes; nobody waits for us. Else there is little hope.
_END, _END_IN_REACH = 2.0, 12.0
# Between the end of the call's own time and ours.
_SPARE = 0.2
# A session that is just being started cannot be ended before AWS has told its id. Nobody waits for us any more.
_END_STARTING = 10.0


class Shutdown:
    """Begun when everything of ssh's has been let go."""

    def __init__(self, waker: Waker, log: Log, now: float) -> None:
        self._waker = waker
        self._log = log
        self._since = now
        self._limit = _END
        self._terminating: Task[None] | None = None

    def over(self, session: Session | None, channel: Channel, now: float, *, connected: bool, starting: bool) -> bool:
        """Take the next step; returns True when nothing is left to be done.

        `connected`: the channel has a connection; `starting`: a session is being started.
        """
        elapsed = now - self._since
        task = self._terminating
        if task is not None:
            if not task.done and elapsed < self._limit:
                return False
            if task.error is not None:
                self._log.info(f"not terminated: {task.error}")
            return True
        if channel.closed:  # AWS itself has said that the session is over
            return True
        if session is None:
            return not starting or elapsed >= _END_STARTING
        if not connected or channel.drained or elapsed >= _FLUSH:
            self._limit = _END_IN_REACH if connected else _END
            self._since = max(self._since, now - _FLUSH)
            patience = self._since + self._limit - _SPARE - now
            self._terminating = Task(lambda: session.terminate(patience), self._waker)
        return False
