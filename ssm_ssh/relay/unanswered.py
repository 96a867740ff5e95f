"""PURE: what to do when the other end acknowledges no more while the gateway lives. State and time come in.

The gateway answers pings for an agent that is dead or a machine that restarts, so pongs prove nothing. What proves
something depends on who reads at the other end:

SSH             sshd always reads, and the agent acknowledges what it has handed over. No acknowledgement means that
                the agent or the machine is gone, or that messages are lost on the way: resume once, then end.
back-pressure   a terminal, a forward or a command may be slow to read, and the agent acknowledges input only when it
                has been taken: the user is told, and the session ends when AWS reports that the agent is not connected.

Time counts while there is a connection, and not while this process is stopped. The table of all waits is
docs/waits.md.
"""

from __future__ import annotations

WAIT, PROBE, RESUME, END, TELL, ASK = "", "probe", "resume", "end", "tell", "ask"
"""What `Unanswered.look` decides.

PROBE: send an empty message, which the agent acknowledges and does nothing with. RESUME: drop the connection and
resume the session. END: end with a sentence. TELL: tell the user, and how to leave. ASK: call
GetConnectionStatus and report with `connection_status`.
"""

# Seconds without an acknowledgement until the session is resumed, and again until it is given up. With the probe and
# the resume itself this stays below 90.
FIRST, SECOND = 30.0, 25.0
# Acknowledgements may queue in the gateway behind output on a slow line: then time counts for less (45 and 82 s).
SLOWED = 2 / 3
_STILL_COMING = 5.0
# Seconds without anything after which it is asked whether the agent is there, once: when a transfer has stopped, or
# when the gateway has reported that the agent is away. Not otherwise, for input resets the session's idle timeout.
PROBE_AFTER = 15.0
# Messages that make a transfer: ssh itself sends window adjustments then, so a probe keeps no session longer alive.
TRANSFER = 64
# Seconds between two questions to AWS, under back-pressure.
ASK_AGAIN = 30.0
# Seconds between two looks that can only mean that this process was stopped, or the machine asleep.
STOPPED = 10.0


class Unanswered:
    """The clock of what is not acknowledged."""

    def __init__(self, now: float, *, back_pressure: bool = False) -> None:
        """`back_pressure`: the other end may be slow to read."""
        self._back_pressure = back_pressure
        self._looked = self._away_since = now
        self._heard_at = now - _STILL_COMING
        self._acknowledged = self._received = self._received_before = 0
        self._waited = self._stuck = 0.0
        self._resumed = self._told = self._gone = False
        self._ask_at: float | None = None
        self._probed = self._away = False

    @property
    def waited(self) -> float:
        """Seconds for which nothing was acknowledged, or a message has been incomplete."""
        return max(self._waited, self._stuck)

    @property
    def unfinished(self) -> bool:
        """Whether a message of the gateway's has begun, and what comes behind it cannot arrive."""
        return self._stuck >= _STILL_COMING

    def connection_status(self, connected: bool | None, now: float) -> None:
        """Note the result of GetConnectionStatus; None: the call failed."""
        self._gone = connected is False
        self._ask_at = now + ASK_AGAIN

    def look(
        self,
        now: float,
        *,
        online: bool,
        acknowledged: int,
        received: int,
        waiting: bool,
        incomplete: bool = False,
        away: bool = False,
    ) -> str:
        """Return the verdict.

        `online`: there is a connection; `acknowledged`, `received`: messages so far; `waiting`: something is not
        acknowledged; `incomplete`: a message has begun and not ended; `away`: the gateway has reported
        that the agent is.
        """
        passed = now - self._looked
        self._looked = now
        if received != self._received:
            self._received, self._heard_at = received, now
            self._stuck = 0.0
        if acknowledged != self._acknowledged:
            self._stuck = 0.0
        if acknowledged != self._acknowledged or not waiting:
            self._acknowledged = acknowledged
            self._waited = 0.0
        if not incomplete:
            self._stuck = 0.0
        if online and passed < STOPPED:
            coming = now - self._heard_at < _STILL_COMING
            self._waited += passed * (SLOWED if coming else 1.0) if waiting else 0.0
            self._stuck += passed if incomplete else 0.0
        if not self.waited:
            self._resumed = self._told = self._gone = False
            self._ask_at = None
        if not online:
            return WAIT
        if self._back_pressure:
            return self._slow(now)
        return self._overdue() or self._idle(now, waiting=waiting, away=away)

    def _overdue(self) -> str:
        if self.waited < FIRST:
            return WAIT
        if not self._resumed:
            self._resumed = True
            return RESUME
        return END if self.waited >= FIRST + SECOND else WAIT

    def _idle(self, now: float, *, waiting: bool, away: bool) -> str:
        if away and not self._away:
            self._away_since = now
            self._probed = False
        self._away = away
        transfer = self._received - self._received_before >= TRANSFER
        since = self._heard_at if transfer else max(self._heard_at, self._away_since)
        due = transfer or (away and not self._probed)
        if waiting or not due or now - since < PROBE_AFTER:
            return WAIT
        self._probed = True
        self._received_before = self._received
        return PROBE

    def _slow(self, now: float) -> str:
        if self._gone and self.waited:
            return END
        if self.waited < FIRST:
            return WAIT
        if not self._told:
            self._told = True
            return TELL
        if self._ask_at is None or now >= self._ask_at:
            self._ask_at = now + ASK_AGAIN
            return ASK
        return WAIT
