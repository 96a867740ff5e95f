"""A relay put together from its parts, for a session of any purpose."""

from __future__ import annotations

from ssm_ssh.relay.clock import SystemClock
from ssm_ssh.relay.link import Link
from ssm_ssh.relay.loop import Relay
from ssm_ssh.relay.poller import Poller
from ssm_ssh.relay.tasks import TaskRunner
from ssm_ssh.startup import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from ssm_ssh.channel.session import Channel
    from ssm_ssh.log import Log
    from ssm_ssh.relay.environment import PollSet, Session, Tasks
    from ssm_ssh.relay.handler import Handler


class Parts(NamedTuple):
    """What a handler shares with its relay. `now`: when it was made; `random()`: in [0, 1)."""

    tasks: Tasks
    log: Log
    now: float
    resume_limit: float
    random: Callable[[], float]


def assemble(
    make_handler: Callable[[Parts], Handler],
    open_session: Callable[[], Session],
    make_channel: Callable[[], Channel],
    log: Log,
    *,
    resume_limit: float,
    random: Callable[[], float],
    back_pressure: bool,
    signals: Sequence[int] = (),
    poller: PollSet | None = None,
    tasks: TaskRunner | None = None,
) -> Relay:
    """Return a relay between a handler and a session that `open_session` starts. It takes over the process's signals.

    `resume_limit`: seconds for which a lost connection is looked for. `back_pressure`: the other end may be slow to
    read (relay/unanswered.py). `signals`: those that the handler wants to see besides INT, TERM and HUP.
    """
    clock = SystemClock()
    polled, tasks = poller or Poller(), tasks or TaskRunner()

    def catching() -> AbstractContextManager[None]:
        from ssm_ssh.relay.signals import catching

        return catching(tasks.waker, signals)

    link = Link(
        open_session,
        make_channel,
        clock=clock,
        tasks=tasks,
        poller=polled,
        log=log,
        random=random,
        resume_limit=resume_limit,
        back_pressure=back_pressure,
    )
    handler = make_handler(Parts(tasks, log, clock.monotonic(), resume_limit, random))
    return Relay(handler, link, clock=clock, tasks=tasks, poller=polled, log=log, signals=catching)
