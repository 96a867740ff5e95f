"""The steps of an end: what is unsent goes out, AWS is told, and then it is over, in seconds in any case."""

from __future__ import annotations

from ssm_ssh.startup import TYPE_CHECKING

if TYPE_CHECKING:
    from ssm_ssh.log import Log
    from ssm_ssh.relay.environment import RunningTask, Tasks
    from ssm_ssh.relay.link import Link

# Seconds for what is still unsent, with the flag that ends the session.
FLUSH = 0.4
# Seconds for all of it, where there is a session. While AWS is in reach, the call is waited for: a session that is
# left behind lives on for twenty minutes, and no client waits for this process any more. After a failure without a
# connection since, there is little hope.
END, END_IN_REACH = 2.0, 12.0
# Seconds between the end of the call's own time and the end of the wait for it.
_SPARE = 0.2
# Seconds for a session that is just being started: it cannot be ended before AWS has told its id.
END_OPENING = 10.0


class Shutdown:
    """Begins when the local side has been let go."""

    def __init__(self, link: Link, tasks: Tasks, log: Log, now: float) -> None:
        self._link = link
        self._tasks = tasks
        self._log = log
        self._since = now
        self._limit = END
        self._terminating: RunningTask[None] | None = None
        link.channel.terminate(now)

    def over(self, now: float) -> bool:
        """Take the next step; returns True when nothing is left to do."""
        elapsed = now - self._since
        task = self._terminating
        if task is not None:
            if not task.done and elapsed < self._limit:
                return False
            if task.error is not None:
                self._log.info(f"not terminated: {task.error}")
            return True
        channel, session = self._link.channel, self._link.session
        if channel.closed:  # AWS itself has ended the session
            if session is not None:
                session.forget()
            return True
        if session is None:
            return not self._link.opening or elapsed >= END_OPENING
        connected = self._link.socket is not None
        if not connected or channel.drained or elapsed >= FLUSH:
            in_reach = connected or self._link.last_error is None
            self._limit = END_IN_REACH if in_reach else END
            self._since = max(self._since, now - FLUSH)
            patience = self._since + self._limit - _SPARE - now
            self._terminating = self._tasks.start(lambda: session.terminate(patience))
        return False
