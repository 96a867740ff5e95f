"""The one loop: local descriptors <-> channel <-> transport, with tasks, signals, timers and a clean end.

One thread moves every byte. Whatever can block (starting, resuming, terminating) runs in a task, so that the end of the
local side is noticed at any moment, also before there is a session and while the network is away. The loop knows
nothing of what the session is for: that is the handler's part. The states are in states.py.
"""

from __future__ import annotations

from contextlib import nullcontext

from ssm_ssh.channel.events import Closed, Output, Refused
from ssm_ssh.errors import NetworkError, ProtocolError, SsmSshError
from ssm_ssh.relay.poller import READ, WRITE
from ssm_ssh.relay.shutdown import Shutdown
from ssm_ssh.relay.states import (
    CLOSED,
    CLOSING,
    CONNECTED,
    ENDED,
    ERROR_SENT,
    LINGERING,
    LOST,
    ONLINE,
    OPENING,
    OVER,
    RENEWED,
    SESSION_ENDED,
    TERMINATED,
    following,
)
from ssm_ssh.startup import TYPE_CHECKING
from ssm_ssh.text import describe_unexpected, printable

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from ssm_ssh.channel.events import Event
    from ssm_ssh.log import Log
    from ssm_ssh.relay.environment import Clock, PollSet, Socket, Tasks
    from ssm_ssh.relay.handler import Handler
    from ssm_ssh.relay.link import Link

# Bytes that may wait for the local side before reading from the gateway stops.
MOST_BACKLOG = 256 * 1024
# Seconds for a client to read an error: if this process was gone before, it would report a broken pipe instead. A
# client that has read it leaves, so only a slow one on a busy machine uses all of it.
LINGER = 5.0
# Seconds of the longest wait: so often the two clocks are compared.
_LONGEST_WAIT = 5.0
# Seconds of a wait while closing: its steps have no descriptors.
_CLOSING_WAIT = 0.05
# Seconds for TerminateSession after an unexpected error.
_TERMINATE_LAST = 2.0


class Relay:
    """Carries one session between a handler and a link until either ends."""

    def __init__(
        self,
        handler: Handler,
        link: Link,
        *,
        clock: Clock,
        tasks: Tasks,
        poller: PollSet,
        log: Log,
        signals: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        """Start nothing yet. `signals`: a context in which signals make the descriptor of `tasks` readable."""
        self.state = OPENING
        self.link = link
        self.tasks = tasks
        self.ended: tuple[str, float] | None = None
        """The reason that the gateway gave for closing the session, and when."""
        self._handler = handler
        self._clock = clock
        self._poller = poller
        self._log = log
        self._signals = signals
        self._status = 0
        self._linger_until = 0.0
        self._shutdown: Shutdown | None = None
        self._pending: Socket | None = None
        """The connection, if it has bytes that poll() does not see."""

    def run(self) -> int:
        """Move bytes until the session is terminated; returns 0, or 1 after an error."""
        with self._signals():
            self.begin()
            while self.state is not OVER:
                self.advance(self._poller.wait(self.prepare()))
        return self._status

    # --- one loop for several relays: each begins, and then prepares and advances in every turn -----------------------

    def begin(self) -> None:
        """Start the session and the handler."""
        try:
            self._poller.watch(self.tasks.fd, READ)
            self.link.open()  # first, because it takes longest
            self._handler.start(self)
        except Exception as error:
            self._end_after(error)

    def prepare(self) -> float:
        """Tell the poller what to wait for, and return for how many seconds at most."""
        try:
            return self._prepare()
        except Exception as error:
            self._end_after(error)
            return 0.0

    def advance(self, ready: dict[int, int]) -> None:
        """Do what is due; `ready`: what the poller returned, also of other relays. At the end the state is OVER."""
        if self.state is OVER:
            return
        try:
            self._turn(ready)
            if self.state is OVER:
                self._finish()
        except Exception as error:
            self._end_after(error)

    def _end_after(self, error: Exception) -> None:
        """End because of an error that no part of the relay foresaw."""
        self._crashed(error)
        self.state = OVER
        self._finish()

    def _finish(self) -> None:
        self.link.drop()
        self._handler.finish(self._status)

    # --- what a handler may ask for -----------------------------------------------------------------------------------

    def fail(self, error: SsmSshError, now: float) -> None:
        """End the session because of `error`, which the handler explains. Does nothing once an end has begun."""
        if self.state in (LINGERING, CLOSING):
            return
        self._status = 1
        self._log.info(f"error: {error.sentence()}")
        if self._handler.explain(error):
            self._go(ERROR_SENT)
            self._linger_until = now + LINGER
        else:
            self.close(now)

    def close(self, now: float) -> None:
        """Let the local side go and terminate the session."""
        if self.state is CLOSING:
            return
        self._go(CLOSED)
        self._handler.detach(self._poller)
        self._shutdown = Shutdown(self.link, self.tasks, self._log, now)

    def renew(self, at: float, data: bytes, now: float) -> None:
        """Start another session at `at` in the place of one that has ended; `data` are its first bytes."""
        self._go(RENEWED)
        self.ended = None
        self.link.renew(at, data, now)

    # --- one turn -----------------------------------------------------------------------------------------------------

    def _turn(self, ready: dict[int, int]) -> None:
        now = self._clock.monotonic()
        link = self.link
        if ready.get(self.tasks.fd):
            self._on_wakeup(now)
        if self.state is not CLOSING:
            self._handler.on_ready(ready, now)
        socket = link.socket
        if socket is not None:
            mask = ready.get(socket.fileno(), 0) | (READ if self._pending is socket else 0)
            if mask:
                self._on_socket(socket, mask, now)
        if self.state is not LINGERING:
            link.pump(now)  # before the timers, because a keystroke waits for it
        state = self.state
        self._on_time(now)
        if self.state is not state and self.state is not LINGERING:
            link.pump(now)

    def _prepare(self) -> float:
        poller, socket, closing = self._poller, self.link.socket, self.state is CLOSING
        self._pending = None
        if not closing:
            self._handler.watch(poller)
        if socket is None:
            return self._timeout()
        wants = 0
        if closing or self._handler.backlog < MOST_BACKLOG:
            wants = READ
            if socket.has_pending():
                self._pending = socket
        if socket.wants_write:
            wants |= WRITE
        poller.watch(socket.fileno(), wants)
        return 0.0 if self._pending is not None else self._timeout()

    def _timeout(self) -> float:
        if self.state is CLOSING:
            return _CLOSING_WAIT
        now = self._clock.monotonic()
        if self.state is LINGERING:
            return self._linger_until - now
        due = self._handler.timer(now)
        timeout = _LONGEST_WAIT if due is None else min(_LONGEST_WAIT, due - now)
        if self.state is not ENDED:
            due = self.link.timer()
            if due is not None and due - now < timeout:
                timeout = due - now
        return timeout

    def _on_wakeup(self, now: float) -> None:
        for number in self.tasks.drain():
            if number and self.state is not CLOSING:
                self._handler.on_signal(number, now)
        link, stopping = self.link, self.state in (LINGERING, CLOSING)
        was_online = link.socket is not None
        error = link.collect(now, stopping=stopping)
        if error is not None and not stopping:
            self._handler.on_not_connected(error, now)
        elif link.socket is not None and not was_online:
            self._go(CONNECTED)

    def _on_socket(self, socket: Socket, mask: int, now: float) -> None:
        link = self.link
        try:
            if mask & WRITE:
                socket.flush()
            if mask & ~WRITE:
                for event in link.receive(now):
                    self._on_event(event, now)
                if self.ended is not None and self.state is ONLINE:
                    self._go(SESSION_ENDED)
                    link.drop()
        except NetworkError as error:
            self._lost(error, now)
        except ProtocolError as error:
            if self.state in (LINGERING, CLOSING):  # a broken WebSocket raises it again and again
                link.drop()
            self.fail(error, now)

    def _on_event(self, event: Event, now: float) -> None:
        if isinstance(event, Closed):
            self._log.info(f"the session was closed: {event.reason or 'no reason given'}")
            self.ended = (event.reason, now)
        elif isinstance(event, Refused):
            self.fail(event.error, now)
        elif self.state is not ONLINE:
            return
        elif isinstance(event, Output):
            self._handler.on_output(event.data, now)
        else:
            self._handler.on_event(event, now)

    def _on_time(self, now: float) -> None:
        if self._shutdown is not None:
            if self._shutdown.over(now):
                self._go(TERMINATED)
            return
        if self.state is LINGERING:
            if now >= self._linger_until:
                self.close(now)
            return
        self._handler.on_time(now)
        if self._has_session:
            self._look(now)
        if self._has_session:
            given_up = self.link.try_again(now)
            if given_up is not None:
                self.fail(given_up, now)

    @property
    def _has_session(self) -> bool:
        return self.state not in (ENDED, LINGERING, CLOSING)

    def _look(self, now: float) -> None:
        link = self.link
        if not link.begun and self._handler.begun:
            link.begin()
        try:
            verdict = link.look(now, listening=self._handler.backlog < MOST_BACKLOG)
        except NetworkError as error:
            self._lost(error, now)
            return
        if verdict:
            self._handler.on_unanswered(verdict, now)

    # --- ends ---------------------------------------------------------------------------------------------------------

    def _go(self, event: str) -> None:
        self.state = following(self.state, event)

    def _lost(self, error: SsmSshError, now: float) -> None:
        if self.state is ONLINE:
            self._go(LOST)
            self.link.lost(error, now)
        else:
            self.link.drop()

    def _crashed(self, error: Exception) -> None:
        """End all the same after an unexpected error: the user is told, and no session is left behind."""
        self._log.failure(error)
        self._status = 1
        sentence = f"unexpected error: {printable(describe_unexpected(error))}"
        self._handler.explain(SsmSshError(sentence, "The log has more"))
        self._handler.detach(self._poller)
        session = self.link.session
        if session is not None:
            try:
                session.terminate(_TERMINATE_LAST)
            except SsmSshError as failure:
                self._log.info(f"not terminated: {failure.sentence()}")
