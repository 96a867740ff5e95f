"""One command from its request to its exit status, on the first way that exists: the plain one, else a raw terminal."""

from __future__ import annotations

import secrets
import signal

from ssm_ssh.channel.handshake import INTERACTIVE, NONINTERACTIVE
from ssm_ssh.command.progress import NOT_FOUND, not_a_line
from ssm_ssh.command.script import Way, parameter
from ssm_ssh.random_numbers import random_fraction
from ssm_ssh.startup import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from ssm_ssh.aws.config.settings import AwsSettings
    from ssm_ssh.command.handler import CommandHandler
    from ssm_ssh.command.script import Request
    from ssm_ssh.errors import SsmSshError
    from ssm_ssh.log import Log
    from ssm_ssh.relay.assembly import Parts

DOCUMENTS = {
    Way.APART: "AWS-StartNonInteractiveCommand",
    Way.FRAMED: "AWS-StartInteractiveCommand",
    Way.TERMINAL: "AWS-StartInteractiveCommand",
}
_TYPES = {Way.APART: NONINTERACTIVE, Way.FRAMED: INTERACTIVE, Way.TERMINAL: INTERACTIVE}
LEAST_AGENT = "3.1.1511.0"
"""The first agent whose AWS-StartNonInteractiveCommand keeps stdout and stderr apart."""


def ways(request: Request) -> tuple[Way, ...]:
    """Return how the command may be run, the best way first. Only a terminal takes input."""
    if request.terminal:
        return (Way.TERMINAL,)
    return (Way.FRAMED,) if request.stdin else (Way.APART, Way.FRAMED)


def check(request: Request) -> None:
    """Raise UsageError for a command that cannot be sent."""
    for way in ways(request):
        parameter(request, way, "0" * 16)


def run(
    settings: AwsSettings,
    instance_id: str,
    request: Request,
    log: Log,
    *,
    resume_limit: float,
    reason: str,
    kms_key: str,
    start: str,
    report: Callable[[SsmSshError], None],
) -> int:
    """Run the command and return the exit status of `ssm-ssh exec`; `report` shows an error to the user.

    `start`: the setting of that name.
    """
    from ssm_ssh.relay.signals import catching
    from ssm_ssh.relay.tasks import TaskRunner
    from ssm_ssh.session.starter import SessionStarter, channel_maker

    first: SsmSshError | None = None
    for way in ways(request):
        token = secrets.token_hex(8)
        parameters = {"command": [parameter(request, way, token)]}
        if way is Way.APART:
            parameters["separateOutputStream"] = ["true"]
        starter = SessionStarter(
            settings,
            instance_id,
            DOCUMENTS[way],
            parameters,
            log,
            purpose=f"exec on {instance_id}",
            reason=reason,
            kms_key=kms_key,
            port=False,
            start=start,
        )
        handlers: list[CommandHandler] = []
        tasks = TaskRunner()
        with catching(tasks.waker):
            starter.begin()
            from ssm_ssh.command.handler import CommandHandler
            from ssm_ssh.relay.assembly import assemble
            from ssm_ssh.shell.terminal import terminal_poller

            def make_handler(
                parts: Parts,
                starter: SessionStarter = starter,
                way: Way = way,
                token: str = token,
                handlers: list[CommandHandler] = handlers,
            ) -> CommandHandler:
                handlers.append(CommandHandler(starter, parts, request, way, token))
                return handlers[0]

            relay = assemble(
                make_handler,
                starter.start,
                channel_maker((_TYPES[way],), least_agent=LEAST_AGENT if way is Way.APART else ""),
                log,
                resume_limit=resume_limit,
                random=random_fraction,
                back_pressure=True,
                signals=(signal.SIGWINCH,) if way is Way.TERMINAL else (),
                poller=terminal_poller() if way is Way.TERMINAL else None,
                tasks=tasks,
            )
            relay.run()
        handler = handlers[0]
        if handler.missing and way is Way.APART:
            first = handler.error
            log.info("AWS-StartNonInteractiveCommand cannot be used here; AWS-StartInteractiveCommand is tried")
            continue
        if handler.status == NOT_FOUND and (hint := not_a_line(request.argv)) is not None:
            report(hint)
        if handler.error is not None:
            report(first if first is not None and type(handler.error) is type(first) else handler.error)
        return handler.status
    raise AssertionError("the last way is never missing")
