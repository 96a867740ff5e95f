"""PURE: what to do about an instance that is not connected, by what EC2 says of it. State and time come in.

A stopped instance is started, one that stops is waited for and started then, one that starts is waited for, and so is
its agent. Each of these steps has a limit. The table of all waits is docs/waits.md.
"""

from __future__ import annotations

from ssm_ssh.errors import SsmSshError, TargetMissing, TargetNotConnected
from ssm_ssh.startup import TYPE_CHECKING
from ssm_ssh.text import printable

if TYPE_CHECKING:
    from ssm_ssh.aws.services.instance_power import PowerState

STOPPING, STOPPED, PENDING, RUNNING = "stopping", "stopped", "pending", "running"
GONE = ("shutting-down", "terminated")
START, WAIT, AGENT, OTHER_CAUSE = "start", "wait", "agent", "other cause"
"""What `PowerWait.look` decides: start it, wait, ask for its agent, or leave it: being off is not the cause."""

# Seconds for a stop: instances with much memory take minutes, and one that hangs takes longer than anyone waits.
STOP_LIMIT = 300.0
# Seconds from the start to EC2's "running".
START_LIMIT = 300.0
# Seconds from "running" to a connected agent: a boot with updates, or Windows.
AGENT_LIMIT = 300.0
# Seconds for which EC2 may still call an instance stopped that it has been told to start.
SETTLING = 20.0
# Seconds between two questions.
POLL = 2.0


class PowerWait:
    """The way of one instance from off to connected."""

    def __init__(self, instance_id: str, where: str, now: float, *, expected: bool) -> None:
        """`where`: account and region, for errors. `expected`: the instance was started a short time ago."""
        self._instance_id = instance_id
        self._where = where
        self._expected = expected
        self._started_at: float | None = None
        self._phase = ""
        self._since = now
        self.shown = f"waiting for EC2 to start {instance_id}"
        """What is awaited, as a sentence without a full stop."""

    def started(self, now: float) -> None:
        """Note that EC2 has been told to start the instance."""
        self._started_at = now
        self._expected = True
        self._enter(PENDING, now)

    def look(self, power: PowerState | None, now: float) -> str:
        """Return the decision. Raises SsmSshError where the instance will not come up, or not in time."""
        name, where = self._instance_id, self._where
        state = power.state if power is not None else ""
        if state in GONE:
            raise TargetMissing(
                f"{name} is {state} in {where} and cannot be started", "Use another instance. See: ssm-ssh list"
            )
        if power is not None and state == STOPPED:
            if self._started_at is None:
                return START
            if now >= self._started_at + SETTLING:
                why = f": {printable(power.reason, 160)}" if power.reason else ""
                raise SsmSshError(f"{name} stopped again while it started{why}", "See its state in the EC2 console")
            return WAIT
        if state == STOPPING:
            self._enter(STOPPING, now)
            if now >= self._since + STOP_LIMIT:
                raise SsmSshError(
                    f"{name} has been stopping for {STOP_LIMIT:.0f} s, so it was not started",
                    "Try again when EC2 calls it stopped",
                )
            return WAIT
        if state == PENDING:
            self._expected = True
            self._enter(PENDING, now)
            if now >= self._since + START_LIMIT:
                raise SsmSshError(
                    f"{name} does not run {START_LIMIT:.0f} s after its start", "See its state in the EC2 console"
                )
            return WAIT
        if state != RUNNING or not self._expected:
            return OTHER_CAUSE
        self._enter(RUNNING, now)
        if now >= self._since + AGENT_LIMIT:
            raise TargetNotConnected(
                f"{name} runs, and its SSM Agent has not connected within {AGENT_LIMIT:.0f} s",
                f"To find the cause, run: ssm-ssh doctor {name}",
            )
        return AGENT

    def waited(self, now: float) -> int:
        """Return for how many seconds the current step has been waited for."""
        return int(now - self._since)

    def _enter(self, phase: str, now: float) -> None:
        if phase == self._phase:
            return
        self._phase, self._since = phase, now
        name = self._instance_id
        self.shown = {
            STOPPING: f"waiting until {name} has stopped, to start it",
            PENDING: f"waiting for {name} to start",
            RUNNING: f"{name} runs, waiting for its SSM Agent",
        }[phase]
