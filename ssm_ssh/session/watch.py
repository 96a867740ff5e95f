"""What every session but ssh's tells its user on the way: what is awaited, an outage, an agent that takes no input.

A handler (relay/handler.py) asks it in `on_time`, `timer` and `on_unanswered`.
"""

from __future__ import annotations

from ssm_ssh.errors import SessionEnded
from ssm_ssh.relay import outage_notice, unanswered
from ssm_ssh.relay.outage_notice import Outage
from ssm_ssh.relay.states import ONLINE
from ssm_ssh.session import opening
from ssm_ssh.session.opening import Opening
from ssm_ssh.startup import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from ssm_ssh.relay.assembly import Parts
    from ssm_ssh.relay.environment import RunningTask
    from ssm_ssh.relay.handler import RelayControls

# Seconds of a lost connection until a person in front of a terminal is told. ssh waits longer, because it must not
# speak into a session; here the line is the user's only sign of life.
TELL_AFTER = 3.0


class Starter(Protocol):
    """The part of `session.starter.SessionStarter` that is needed here."""

    instance_id: str

    @property
    def asking(self) -> bool: ...  # noqa: D102
    def agent_connected(self) -> bool | None:
        """Ask AWS whether the agent is connected; None: it could not be asked. Blocks."""

    def cancel(self) -> None:
        """Wait for the instance no longer. Does not block."""


class SessionWatch:
    """The notices and errors of one session, from its start to its end."""

    def __init__(
        self,
        starter: Starter,
        parts: Parts,
        tell: Callable[[str], object],
        *,
        leave: str,
        tell_after: float = TELL_AFTER,
    ) -> None:
        """`tell` shows one line to the user; `leave`: how to leave, as a sentence without a full stop."""
        self._starter = starter
        self._tasks = parts.tasks
        self._resume_limit = parts.resume_limit
        self._tell = tell
        self._leave = leave
        self._opening = Opening(parts.now)
        self._outage = Outage(tell_after)
        self._question: RunningTask[bool | None] | None = None

    def look_at_opening(self, relay: RelayControls, now: float) -> None:
        """Tell what is awaited, or fail, as long as the session does not serve its purpose."""
        link = relay.link
        if relay.state is ONLINE:
            awaited = opening.BEGIN
        else:
            awaited = opening.CONNECT if link.session is not None else opening.START
        verdict = self._opening.look(now, awaited)
        if verdict == opening.TELL and (awaited != opening.START or self._starter.asking):
            self._tell(opening.awaited_sentence(awaited, self._starter.instance_id))
        elif verdict == opening.FAIL:
            relay.fail(opening.overdue(awaited, self._starter.instance_id, link.last_error), now)

    def look_at_outage(self, relay: RelayControls, now: float) -> str:
        """Tell of a lost connection, and of its return; returns `outage_notice`'s verdict. Only once it has begun."""
        question = self._question
        if question is not None and question.done:
            self._question = None
            relay.link.unanswered.connection_status(question.result, now)
        verdict = self._outage.look(now, online=relay.state is ONLINE)
        if verdict == outage_notice.TELL:
            self._tell(outage_notice.lost_sentence(self._resume_limit, self._leave))
        elif verdict == outage_notice.BACK:
            self._tell("the connection is back")
        return verdict

    def on_unanswered(self, relay: RelayControls, verdict: str, now: float) -> None:
        """Act on a verdict of relay/unanswered.py: tell how to leave, ask AWS about the agent, or end."""
        instance_id, waited = self._starter.instance_id, relay.link.unanswered.waited
        if verdict == unanswered.TELL:
            self._tell(f"{instance_id} has taken no input for {waited:.0f} s, though AWS answers. {self._leave}")
        elif verdict == unanswered.ASK:
            if self._question is None:
                self._question = self._tasks.start(self._starter.agent_connected)
        else:
            relay.fail(
                SessionEnded(
                    f"the SSM Agent on {instance_id} has acknowledged nothing for {waited:.0f} s, "
                    "and AWS reports it as not connected",
                    "It or the instance was stopped or restarted. Connect again",
                ),
                now,
            )

    def timer(self, *, begun: bool) -> float | None:
        """Return the time at which there may be something to do."""
        return self._outage.timer() if begun else self._opening.timer
