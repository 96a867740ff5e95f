"""The sessions that lead to one destination, and which of them takes a new connection.

smux v1 has no windows and dials one connection after another, so one server that reads nothing, or one that does not
answer, holds up its whole session. Connections are therefore spread over several sessions, which also multiplies the
agent's pace. A session is started when a connection would otherwise share a busy one, and when the last one is over and
a program connects: a forward that nothing uses costs one session until AWS ends it.
"""

from __future__ import annotations

from collections import deque

from ssm_ssh.errors import AccessDenied, NetworkError, ProtocolError, UsageError
from ssm_ssh.forward.handler import ForwardHandler
from ssm_ssh.mux.unread import Unread
from ssm_ssh.relay.backoff import Backoff
from ssm_ssh.relay.states import CLOSING, OVER
from ssm_ssh.startup import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from ssm_ssh.errors import SsmSshError
    from ssm_ssh.forward.local import Local
    from ssm_ssh.mux.unread import Total
    from ssm_ssh.relay.assembly import Parts
    from ssm_ssh.relay.loop import Relay
    from ssm_ssh.session.watch import Starter

# Seconds that a connection waits for a session which is being started, where it could share one.
_PATIENCE = 1.0
# Seconds that it waits where there is none.
_LONGEST = 60.0
# What another attempt would not change.
_FINAL = (AccessDenied, UsageError, ProtocolError)


class Assembly(NamedTuple):
    """A session that is starting, and what carries it."""

    relay: Relay
    handler: ForwardHandler


class Pool:
    """Up to `most` sessions to one destination."""

    def __init__(
        self,
        assemble: Callable[[Pool, Callable[[Starter, Parts], ForwardHandler]], Relay],
        total: Total,
        tell: Callable[[str], object],
        *,
        destination: str,
        remote: bool,
        most: int,
        hold: float,
        random: Callable[[], float],
        clock: Callable[[], float],
    ) -> None:
        """`assemble` returns a relay, not begun, that carries the handler which it is given the means to make."""
        self.destination = destination
        self.is_ready = False
        """Whether a session has been ready once."""
        self.fatal: SsmSshError | None = None
        """The error that keeps the forward from working at all."""
        self.last_failed = False
        """Whether the last session has failed: the next one reads credentials anew, for they may have been renewed."""
        self.sessions: list[Assembly] = []
        self._assemble = assemble
        self._total = total
        self._tell = tell
        self._remote = remote
        self._most = most
        self._hold = hold
        self._waiting: deque[tuple[Local, float]] = deque()
        self._backoff = Backoff(1.0, 15.0, random)
        self._clock = clock
        self._start_at = 0.0
        self._closing = False
        self._told_single = False

    def start(self) -> None:
        """Start a session."""
        made: list[ForwardHandler] = []

        def make(starter: Starter, parts: Parts) -> ForwardHandler:
            made.append(
                ForwardHandler(
                    self, starter, parts, Unread(self._total), self._tell, remote=self._remote, hold=self._hold
                )
            )
            return made[0]

        relay = self._assemble(self, make)
        self.sessions.append(Assembly(relay, made[0]))
        relay.begin()

    def offer(self, local: Local, now: float) -> None:
        """Take a local connection, to be given to a session."""
        self._waiting.append((local, now))
        self.turn(now)

    def close(self, now: float) -> None:
        """End all sessions and connections."""
        self._closing = True
        while self._waiting:
            self._waiting.popleft()[0].reset()
        for relay, _ in self.sessions:
            if relay.state not in (CLOSING, OVER):
                relay.close(now)

    # --- what sessions report -----------------------------------------------------------------------------------------

    def ready(self, session: ForwardHandler, now: float) -> None:
        """Note that the session can take connections."""
        self.is_ready = True
        self.last_failed = False
        self._backoff.reset()
        if not session.several and not self._told_single:
            self._told_single = True
            self._tell("this SSM Agent is old: it carries one connection at a time in a session. Update it there")

    def failed(self, session: ForwardHandler, error: SsmSshError) -> None:
        """Note the error that ends the session: before the first was ready it is the forward's, later a notice."""
        self.last_failed = True
        if not self.is_ready or session.forbidden:
            self.fatal = error
            return
        if self._closing:
            return
        if isinstance(error, _FINAL) and session.begun_at is None:
            while self._waiting:
                self._waiting.popleft()[0].reset()
            self._tell(error.sentence())
            return
        if session.begun_at is None:
            self._start_at = self._clock() + self._backoff.delay()
            if not isinstance(error, NetworkError):
                self._tell(error.sentence())
        else:
            self._tell(f"{error.sentence()}. The next connection to {self.destination} starts another session")

    # --- time ---------------------------------------------------------------------------------------------------------

    def turn(self, now: float) -> None:
        """Give waiting connections to sessions, and start and end sessions as they are needed."""
        self.sessions = [session for session in self.sessions if session.relay.state is not OVER]
        if self._closing:
            return
        while self._waiting and self._place(*self._waiting[0], now):
            self._waiting.popleft()

    def timer(self, now: float) -> float | None:
        """Return when `turn` may have something to do."""
        return now + 0.1 if self._waiting else None

    def _place(self, local: Local, since: float, now: float) -> bool:
        """Give a connection to the best session; returns False while it should wait."""
        able = [session.handler for session in self.sessions if session.handler.accepts()]
        best = min(able, key=lambda handler: handler.rank(now), default=None)
        blocked, busy, _ = best.rank(now) if best is not None else (True, True, 0)
        if best is not None and not blocked and not busy:
            best.take(local, now)
            return True
        starting = self._start_more(now)
        if best is not None and not (starting and now - since < _PATIENCE):
            best.take(local, now)
            return True
        if best is None and now - since >= _LONGEST:
            local.reset()
            self._tell(f"no session to {self.destination} within {_LONGEST:.0f} s for a connection, which was closed")
            return True
        return False

    def _start_more(self, now: float) -> bool:
        """Start sessions for those that wait; returns whether one is on its way."""
        alive = [session for session in self.sessions if session.relay.state is not CLOSING]
        starting = sum(not session.handler.begun for session in alive)
        if len(alive) >= self._most:
            for session in alive:
                if session.handler.useless(now):
                    session.relay.close(now)
                    alive.remove(session)
                    break
        while starting < len(self._waiting) and len(alive) < self._most and now >= self._start_at:
            self.start()
            starting += 1
            alive.append(self.sessions[-1])
        return starting > 0
