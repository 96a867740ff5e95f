"""Forwards put together: listeners, a pool for each destination, the hub, and the lines that say that they stand."""

from __future__ import annotations

import sys
import time

from ssm_ssh.channel.handshake import PORT
from ssm_ssh.forward.hub import Hub
from ssm_ssh.forward.listener import Listener
from ssm_ssh.forward.pool import Pool
from ssm_ssh.mux.unread import Total
from ssm_ssh.random_numbers import random_fraction
from ssm_ssh.relay.assembly import assemble
from ssm_ssh.relay.clock import SystemClock
from ssm_ssh.relay.poller import Poller
from ssm_ssh.relay.tasks import TaskRunner
from ssm_ssh.session.starter import SessionStarter, channel_maker
from ssm_ssh.startup import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ssm_ssh.aws.config.settings import AwsSettings
    from ssm_ssh.forward.handler import ForwardHandler
    from ssm_ssh.forward.specs import Spec
    from ssm_ssh.log import Log
    from ssm_ssh.relay.assembly import Parts
    from ssm_ssh.relay.loop import Relay
    from ssm_ssh.session.watch import Starter

OWN, REMOTE = "AWS-StartPortForwardingSession", "AWS-StartPortForwardingSessionToRemoteHost"
# Seconds within which the same notice is not repeated: several sessions report one lost network.
_SAME = 10.0


class Choices(NamedTuple):
    """What the user chose for all forwards. `hold`: seconds, see mux/streams.py; `most`: sessions per destination."""

    resume_limit: float
    hold: float
    most: int
    reason: str
    kms_key: str = ""
    start: str = ""


class Notices:
    """Lines for the user on stderr and in the log."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._last: dict[str, float] = {}
        self.silent = False

    def tell(self, text: str) -> None:
        """Show one line, unless it was shown a moment ago."""
        now = time.monotonic()
        self._log.info(f"notice: {text}")
        if self.silent or now - self._last.get(text, -_SAME) < _SAME:
            return
        if len(self._last) > 100:
            self._last.clear()
        self._last[text] = now
        try:
            sys.stderr.write(f"ssm-ssh: {text}\n")
            sys.stderr.flush()
        except (OSError, ValueError, AttributeError):
            self._log.info("not shown: stderr is full or closed")


def open_listeners(specs: Sequence[Spec]) -> list[Listener]:
    """Listen for every forward, or for none. Raises SsmSshError."""
    listeners: list[Listener] = []
    try:
        for spec in specs:
            listeners.append(Listener(spec))
    except BaseException:
        for listener in listeners:
            listener.close()
        raise
    return listeners


def make_hub(
    listeners: Sequence[Listener],
    settings: Callable[[bool], AwsSettings],
    instance_id: str,
    log: Log,
    *,
    choices: Choices,
    notices: Notices,
    on_ready: Callable[[], None],
) -> Hub:
    """Return the hub of forwards to what `listeners` want from `instance_id`; nothing is started yet.

    `settings(again)` returns the account and region to ask, read anew if `again`; it does not raise.
    """

    clock, poller, total = SystemClock(), Poller(), Total()
    chance = random_fraction
    make_channel = channel_maker((PORT,))
    runners: list[tuple[Relay, TaskRunner]] = []

    def starter_of(spec: Spec, *, again: bool) -> SessionStarter:
        parameters = {"portNumber": [str(spec.host_port)]}
        if spec.host:
            parameters["host"] = [spec.host]
        return SessionStarter(
            settings(again),
            instance_id,
            REMOTE if spec.host else OWN,
            parameters,
            log,
            purpose=f"forward {spec.destination} by {instance_id}",
            reason=choices.reason,
            kms_key=choices.kms_key,
            start="" if again else choices.start,
        )

    def pool_of(spec: Spec) -> Pool:
        kept: list[SessionStarter] = []

        def relay_of(pool: Pool, make: Callable[[Starter, Parts], ForwardHandler]) -> Relay:
            if not kept or pool.last_failed:
                kept[:] = [starter_of(spec, again=pool.last_failed)]
            starter = kept[0]
            relay = assemble(
                lambda parts: make(starter, parts),
                starter.start,
                make_channel,
                log,
                resume_limit=choices.resume_limit,
                random=chance,
                back_pressure=True,
                poller=poller,
                tasks=_idle_runner(runners),
            )
            runners.append((relay, relay.tasks))  # type: ignore[arg-type]
            return relay

        return Pool(
            relay_of,
            total,
            notices.tell,
            destination=spec.destination,
            remote=bool(spec.host),
            most=choices.most,
            hold=choices.hold,
            random=chance,
            clock=clock.monotonic,
        )

    pools: dict[tuple[str, int], Pool] = {}
    forwards = []
    for listener in listeners:
        spec = listener.spec
        key = spec.host, spec.host_port
        if key not in pools:
            pools[key] = pool_of(spec)
        forwards.append((listener, pools[key]))
    return Hub(forwards, poller=poller, clock=clock, log=log, tell=notices.tell, on_ready=on_ready)


def _idle_runner(runners: list[tuple[Relay, TaskRunner]]) -> TaskRunner:
    """Return the tasks of a relay that is over, or new ones: a late task must not wake a pipe that others use now."""
    from ssm_ssh.relay.states import OVER

    for index, (relay, tasks) in enumerate(runners):
        if relay.state is OVER:
            del runners[index]
            return tasks
    return TaskRunner()
