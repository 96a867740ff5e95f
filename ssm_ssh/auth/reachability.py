"""Whether EC2 Instance Connect can be reached, decided within three seconds on a network that is not slow.

Its endpoint may be closed to a network that lets Systems Manager through: there is no VPC endpoint for it, a firewall
or a proxy blocks it, or its name does not resolve. That shows either as an error at once or as silence.

A slow network is silent as well, and a call that looks silent may still be denied, which must never lead to
send-command. So silence counts only once Systems Manager, asked later, has answered. EC2 Instance Connect gets at least
twice the time that Systems Manager took, and an endpoint that has accepted the connection gets longer than one that
has not. An error that AWS itself returns is never a question of reachability.
"""

from __future__ import annotations

import re
import threading
import time

from ssm_ssh.errors import AwsError, NetworkError, ProtocolError, Throttled
from ssm_ssh.startup import TYPE_CHECKING, Generic, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

# Seconds without an answer after which Systems Manager is asked.
ASK_AFTER = 1.5
# Seconds that a call gets at least before it is given up: for a connection, and for the answer on a connection.
CONNECT_PATIENCE, ANSWER_PATIENCE = 1.5, 2.5
# A call on a slow network is given up only after this many times what Systems Manager took on the same network.
SLOWNESS_FACTOR = 2.0
_DENIED = r"not authorized|denied"  # compiled when needed: a connection rarely does


class Step:
    """What to do next about a call of EC2 Instance Connect; no Enum, which takes half a millisecond to make."""

    WAIT = "wait"
    ASK_SYSTEMS_MANAGER = "ask Systems Manager"
    TAKE_RESULT = "take the result"
    GIVE_UP = "give up"


class Decision(NamedTuple):
    """A step; with WAIT, the moment at which to decide again if nothing happens before (None: no such moment)."""

    step: str
    until: float | None = None


class Race:
    """The rules: events come in with their time, and `decide` says what to do. Pure; times are seconds of one clock."""

    def __init__(self, began: float) -> None:
        self._began = began
        self._connected: float | None = None
        self._answered = False
        self._ended = False
        self._unreachable = False
        self._asked: float | None = None
        self._ssm_answers: bool | None = None
        self._ssm_took = 0.0

    def connected(self, now: float) -> None:
        """Note that the endpoint has accepted the connection. Only the first time counts."""
        if self._connected is None:
            self._connected = now

    def answered(self) -> None:
        """Note an answer of AWS after which the call goes on, such as one that throttles it."""
        self._answered = True

    def ended(self, *, unreachable: bool) -> None:
        """Note the end of the call; `unreachable`: it failed without an answer of AWS."""
        self._ended, self._unreachable = True, unreachable

    def asked_ssm(self, now: float) -> None:
        """Note that Systems Manager is being asked."""
        self._asked = now

    def ssm_ended(self, now: float, *, answers: bool) -> None:
        """Note whether Systems Manager answers."""
        self._ssm_answers = answers
        self._ssm_took = now - self._asked if self._asked is not None else 0.0

    def decide(self, now: float) -> Decision:
        """Return what to do at `now`."""
        if self._answered or (self._ended and not self._unreachable):
            return Decision(Step.TAKE_RESULT if self._ended else Step.WAIT)
        if self._asked is None:
            return self._at(now, self._began if self._ended else self._began + ASK_AFTER, Step.ASK_SYSTEMS_MANAGER)
        if self._ssm_answers is None:
            return Decision(Step.WAIT)
        if not self._ssm_answers:
            return Decision(Step.TAKE_RESULT if self._ended else Step.WAIT)
        return self._at(now, self._began if self._ended else self._give_up_at(), Step.GIVE_UP)

    def _give_up_at(self) -> float:
        slowness = SLOWNESS_FACTOR * self._ssm_took
        if self._connected is None:
            return self._began + max(CONNECT_PATIENCE, slowness)
        return self._connected + max(ANSWER_PATIENCE, slowness)

    @staticmethod
    def _at(now: float, moment: float, step: str) -> Decision:
        return Decision(step) if now >= moment else Decision(Step.WAIT, moment)


class _Abandoned(Exception):
    """The call is not wanted any more."""


class Attempt(Generic[T]):
    """A call of EC2 Instance Connect in a thread of its own, given up when its endpoint cannot be reached.

    `push` makes the call and reports its progress to its argument, as Api.call does to `reached`. `ssm_answers` asks
    Systems Manager for anything and blocks. `why` says in words why the call was given up.
    """

    def __init__(self, push: Callable[[Callable[[bool], None]], T], ssm_answers: Callable[[], bool]) -> None:
        self._push = push
        self._ssm_answers = ssm_answers
        self._changed = threading.Condition()
        self._race = Race(time.monotonic())
        self._pushed: list[T] = []
        self._error: BaseException | None = None
        self._abandoned = False
        self.why = ""

    def run(self) -> T | None:
        """Return what `push` returned; None where its endpoint cannot be reached and Systems Manager's can.

        Raises what `push` raised where that is an answer of AWS, or where Systems Manager does not answer either.
        """
        threading.Thread(target=self._call, daemon=True).start()
        with self._changed:
            while True:
                now = time.monotonic()
                step, until = self._race.decide(now)
                if step == Step.GIVE_UP:
                    self.why = getattr(self._error, "message", "") or "it does not answer"
                    return None
                if step == Step.TAKE_RESULT:
                    if self._error is not None:
                        raise self._error
                    return self._pushed[0]
                if step == Step.ASK_SYSTEMS_MANAGER:
                    self._race.asked_ssm(now)
                    threading.Thread(target=self._ask_ssm, daemon=True).start()
                else:
                    self._changed.wait(None if until is None else until - now)

    def abandon(self) -> None:
        """Send nothing more: a connection that comes about is not used, and the call is not repeated."""
        with self._changed:
            self._abandoned = True

    @property
    def pushed(self) -> T | None:
        """What `push` has returned by now, after it was given up."""
        with self._changed:
            return self._pushed[0] if self._pushed else None

    @property
    def error(self) -> BaseException | None:
        """What `push` has raised by now, after it was given up."""
        with self._changed:
            return self._error

    def _call(self) -> None:
        try:
            pushed = self._push(self._note_progress)
        except BaseException as error:
            with self._changed:
                self._error = error
                self._race.ended(unreachable=unreachable(error))
                self._changed.notify_all()
            return
        with self._changed:
            self._pushed.append(pushed)
            self._race.ended(unreachable=False)
            self._changed.notify_all()

    def _note_progress(self, answered: bool) -> None:
        with self._changed:
            if self._abandoned:
                raise _Abandoned
            self._race.connected(time.monotonic())
            if answered:
                self._race.answered()
            self._changed.notify_all()

    def _ask_ssm(self) -> None:
        try:
            answers = self._ssm_answers()
        except Exception:
            answers = False
        with self._changed:
            self._race.ssm_ended(time.monotonic(), answers=answers)
            self._changed.notify_all()


def unreachable(error: BaseException | None) -> bool:
    """Return whether `error` says that a call did not reach AWS: no connection, or an answer that is not from AWS.

    AWS's errors have a code; those of a proxy or a login page have none.
    """
    if isinstance(error, NetworkError | ProtocolError):
        return True
    if not isinstance(error, AwsError) or isinstance(error, Throttled) or error.code or error.status == 200:
        return False
    return not re.search(_DENIED, error.message, re.IGNORECASE)
