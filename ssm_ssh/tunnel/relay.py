"""The relay of one SSH connection, put together from its parts."""

from __future__ import annotations

from ssm_ssh.relay.assembly import assemble
from ssm_ssh.startup import TYPE_CHECKING
from ssm_ssh.tunnel.ssh_handler import SshHandler

if TYPE_CHECKING:
    from collections.abc import Callable

    from ssm_ssh.channel.session import Channel
    from ssm_ssh.log import Log
    from ssm_ssh.relay.assembly import Parts
    from ssm_ssh.relay.loop import Relay
    from ssm_ssh.relay.stdio import StandardStreams
    from ssm_ssh.relay.tasks import TaskRunner
    from ssm_ssh.tunnel.service import TunnelService


def ssh_relay(
    service: TunnelService,
    streams: StandardStreams,
    make_channel: Callable[[], Channel],
    log: Log,
    *,
    resume_limit: float = 900.0,
    random: Callable[[], float],
    tasks: TaskRunner | None = None,
) -> Relay:
    """Return a relay between `streams` and a session that `service` starts. It takes over the process's signals."""

    def handler(parts: Parts) -> SshHandler:
        return SshHandler(
            service,
            streams,
            tasks=parts.tasks,
            log=log,
            now=parts.now,
            resume_limit=parts.resume_limit,
            random=parts.random,
        )

    return assemble(
        handler,
        service.start,
        make_channel,
        log,
        resume_limit=resume_limit,
        random=random,
        back_pressure=False,
        tasks=tasks,
    )
