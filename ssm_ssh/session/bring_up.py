"""Starts an instance that is off, and waits until a session with it can be started.

`BringUp.run` is called when AWS calls the instance not connected, so the way to an instance that runs costs nothing.
What it does with EC2, the terminal and the state files comes in, and so do time and pauses.
"""

from __future__ import annotations

import threading

from ssm_ssh.errors import (
    AccessDenied,
    AwsError,
    NetworkError,
    SsmSshError,
    TargetMissing,
    TargetNotConnected,
    Throttled,
)
from ssm_ssh.session import power
from ssm_ssh.session.power import PowerWait
from ssm_ssh.startup import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from ssm_ssh.aws.services.instance_power import PowerState

ASK, NEVER, ALWAYS = "ask", "never", "always"
"""The setting `start`."""
# Seconds for which AWS may still call an instance not connected whose agent has connected.
SETTLING = 30.0
# Seconds between two updates of the line on a terminal.
_TICK = 1.0


class World(Protocol):
    """What lies outside. Every method blocks, except as noted."""

    where: str
    """Account and region, for errors."""

    def power(self) -> PowerState | None:
        """Return EC2's state of the instance, None for none. Raises SsmSshError."""

    def start(self) -> None:
        """Have EC2 start it. Raises SsmSshError."""

    def connected(self) -> bool | None:
        """Return whether its agent is connected, None where that cannot be asked."""

    def agrees(self, question: str) -> bool | None:
        """Ask a person; None: there is none to ask."""

    def started_since(self) -> float | None:
        """Return the time (epoch) of an earlier start that is not over. Does not block."""

    def note_start(self) -> None:
        """Record a start."""

    def forget_start(self) -> None:
        """Record that a start is over."""

    def show(self, text: str, seconds: int) -> None:
        """Show what is awaited, for how long already."""

    def tell(self, text: str) -> None:
        """Show a line that stays."""

    def end_line(self) -> None:
        """Nothing is awaited any more."""

    def pause(self, seconds: float) -> None:
        """Wait. Raises SsmSshError where no session is wanted any more."""

    def now(self) -> float:
        """Return a time in seconds that never jumps. Does not block."""

    def clock(self, at: float) -> str:
        """Return a time of `started_since` as people read it. Does not block."""

    def hint(self) -> str:
        """Return how to start the instance by hand. Does not block."""


class BringUp:
    """Brings one instance up for the sessions of one command. Threads may share it: one works, the others wait."""

    def __init__(self, instance_id: str, wish: str, world: World) -> None:
        """`wish`: ASK, NEVER or ALWAYS."""
        self._instance_id = instance_id
        self._wish = wish
        self._world = world
        self._lock = threading.Lock()
        self._wait: PowerWait | None = None
        self._agreed = False
        self._ready_at: float | None = None
        self._failure: SsmSshError | None = None
        self._explains_nothing = False
        """Whether being off is not the cause, so that every call keeps its own error."""

    def run(self, error: TargetNotConnected) -> None:
        """Return when another attempt may succeed. Raises `error`, or what explains it better."""
        was_ready = self._ready_at is not None
        with self._lock:
            if self._explains_nothing:
                raise error
            if self._failure is not None:
                raise self._failure
            if self._ready_at is not None:
                if not was_ready:  # another thread has just seen to it
                    return
                if self._world.now() >= self._ready_at + SETTLING:
                    raise error
                self._world.pause(power.POLL)
                return
            try:
                if self._bring_up(error):
                    self._ready_at = self._world.now()
            except SsmSshError as failure:
                if failure is error:  # another call's error may say more
                    self._explains_nothing = True
                else:
                    self._failure = failure
                raise
            finally:
                self._world.end_line()

    def _bring_up(self, error: TargetNotConnected) -> bool:
        """Return True once the agent is connected, and False where only another StartSession can tell."""
        world = self._world
        if self._instance_id.startswith("mi-"):
            raise self._of_managed_node(error)
        state = self._first_state(error)
        wait = self._wait or self._begin(state)
        while True:
            if state is not None and state.state in (power.STOPPED, power.STOPPING) and not self._agreed:
                self._ask(state, error)
            decision = wait.look(state, world.now())
            if decision == power.OTHER_CAUSE:
                raise error
            if decision == power.START:
                self._start(wait)
            elif decision == power.AGENT:
                connected = world.connected()
                if connected is None:
                    self._pass_time(wait)
                    return False
                if connected:
                    world.forget_start()
                    return True
            self._pass_time(wait)
            state = self._next_state(state)

    def _pass_time(self, wait: PowerWait) -> None:
        """Wait until the next question to AWS; the person sees each second pass."""
        until = self._world.now() + power.POLL
        while (now := self._world.now()) < until:
            self._world.show(wait.shown, wait.waited(now))
            self._world.pause(min(_TICK, until - now))

    def _begin(self, state: PowerState | None) -> PowerWait:
        world = self._world
        since = world.started_since()
        if since is not None and state is not None and state.state in (power.PENDING, power.RUNNING):
            world.tell(f"{self._instance_id} has been starting since {world.clock(since)}")
        self._wait = PowerWait(self._instance_id, world.where, world.now(), expected=since is not None)
        return self._wait

    def _first_state(self, error: TargetNotConnected) -> PowerState | None:
        try:
            return self._world.power()
        except AccessDenied:
            if self._wish == ALWAYS:
                raise
        except SsmSshError:
            pass
        raise error

    def _next_state(self, last: PowerState | None) -> PowerState | None:
        """Return the state now; a question that fails on the way does not end a wait that has a limit of its own."""
        try:
            return self._world.power()
        except (NetworkError, Throttled):
            return last

    def _ask(self, state: PowerState, error: TargetNotConnected) -> None:
        """Return if the instance may be started. Raises TargetMissing."""
        world, name = self._world, self._instance_id
        word = "hibernated" if state.hibernated and state.state == power.STOPPED else state.state
        if self._wish == ALWAYS or (self._wish == ASK and world.agrees(f"ssm-ssh: {name} is {word}. Start it? [y/N]")):
            self._agreed = True
            return
        raise TargetMissing(
            f"{name} is {word} in {world.where}",
            world.hint(),
            code=error.code,
            operation=error.operation,
            status=error.status,
        )

    def _start(self, wait: PowerWait) -> None:
        try:
            self._world.start()
        except AwsError as refusal:
            # Between the look and the call it may have begun to stop.
            if not refusal.code.startswith("IncorrectInstanceState"):
                raise
            return
        self._world.note_start()
        wait.started(self._world.now())

    def _of_managed_node(self, error: TargetNotConnected) -> TargetNotConnected:
        if self._wish != ALWAYS:
            return error
        return TargetNotConnected(
            f"{self._instance_id} is a managed node, which AWS cannot start, and it is not connected in "
            f"{self._world.where}",
            "Start the machine itself, or its SSM Agent",
            code=error.code,
            operation=error.operation,
            status=error.status,
        )
