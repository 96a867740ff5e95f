"""The story of one shell: the terminal, the session, the relay, and the exit status."""

from __future__ import annotations

from ssm_ssh.random_numbers import random_fraction
from ssm_ssh.relay.signals import catching
from ssm_ssh.relay.tasks import TaskRunner
from ssm_ssh.session.starter import SessionStarter, channel_maker
from ssm_ssh.startup import TYPE_CHECKING

if TYPE_CHECKING:
    from ssm_ssh.aws.config.settings import AwsSettings
    from ssm_ssh.log import Log
    from ssm_ssh.relay.assembly import Parts
    from ssm_ssh.shell.commands import Start
    from ssm_ssh.shell.handler import ShellHandler
    from ssm_ssh.shell.terminal import Terminal


def carry(
    settings: AwsSettings,
    instance_id: str,
    start: Start,
    terminal: Terminal,
    log: Log,
    *,
    resume_limit: float,
    reason: str,
    kms_key: str = "",
    start_instance: str = "",
) -> int:
    """Carry a shell on `instance_id` until it ends; returns the exit status: 0, 255, or 128 + a signal.

    `settings`: the account and region to ask; `resume_limit`: seconds for which a lost connection is looked for;
    `reason`: what the audit trail shows, "" for who asks; `start_instance`: the setting `start`.
    """

    starter = SessionStarter(
        settings,
        instance_id,
        start.document,
        dict(start.parameters),
        log,
        purpose=f"shell {instance_id}",
        reason=reason,
        kms_key=kms_key,
        port=False,
        start=start_instance,
    )
    handlers: list[ShellHandler] = []
    tasks = TaskRunner()
    with catching(tasks.waker):
        starter.begin()
        from ssm_ssh.channel.handshake import INTERACTIVE, SHELL
        from ssm_ssh.relay.assembly import assemble
        from ssm_ssh.shell.handler import FAILED, SIGNALS, ShellHandler
        from ssm_ssh.shell.terminal import terminal_poller

        def handler(parts: Parts) -> ShellHandler:
            handlers.append(ShellHandler(starter, terminal, parts, unix=start.unix))
            return handlers[0]

        relay = assemble(
            handler,
            starter.start,
            channel_maker((SHELL, INTERACTIVE)),
            log,
            resume_limit=resume_limit,
            random=random_fraction,
            back_pressure=True,
            signals=SIGNALS,
            poller=terminal_poller(),
            tasks=tasks,
        )
        try:
            failed = relay.run()
        finally:
            terminal.close()
    return handlers[0].status or (FAILED if failed else 0)
