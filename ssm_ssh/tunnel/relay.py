"""The relay of one SSH connection, put together from its parts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ssm_ssh.relay.clock import SystemClock
from ssm_ssh.relay.link import Link
from ssm_ssh.relay.loop import Relay
from ssm_ssh.relay.poller import Poller
from ssm_ssh.relay.tasks import TaskRunner
from ssm_ssh.tunnel.ssh_handler import SshHandler

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from ssm_ssh.channel.session import Channel
    from ssm_ssh.log import Log
    from ssm_ssh.relay.stdio import StandardStreams
    from ssm_ssh.tunnel.service import TunnelService


def ssh_relay(
    service: TunnelService,
    streams: StandardStreams,
    make_channel: Callable[[], Channel],
    log: Log,
    *,
    resume_limit: float = 900.0,
    random: Callable[[], float],
) -> Relay:
    """Return a relay between `streams` and a session that `service` starts. It takes over the process's signals."""
    clock, tasks, poller = SystemClock(), TaskRunner(), Poller()

    def signals() -> AbstractContextManager[None]:
        from ssm_ssh.relay.signals import catching

        return catching(tasks.waker)

    link = Link(
        service.start,
        make_channel,
        clock=clock,
        tasks=tasks,
        poller=poller,
        log=log,
        random=random,
        resume_limit=resume_limit,
    )
    handler = SshHandler(
        service, streams, tasks=tasks, log=log, now=clock.monotonic(), resume_limit=resume_limit, random=random
    )
    return Relay(handler, link, clock=clock, tasks=tasks, poller=poller, log=log, signals=signals)
