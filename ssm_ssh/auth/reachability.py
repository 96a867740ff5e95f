"""Whether EC2 Instance Connect can be reached at all: decided within seconds, whatever it would answer.

Its endpoint may be closed to a network that lets Systems Manager through: no VPC endpoint for it, a firewall, a proxy
that allows only some hosts, a name that does not resolve. That shows at once, or as silence. A slow network is silent
as well, so silence counts only once Systems Manager, asked later, has answered earlier; and an endpoint that has taken
the connection is given longer, for it may yet deny. An error that AWS answers is never one of reach.
"""

from __future__ import annotations

import re
import threading
import time
from typing import TYPE_CHECKING, Generic, TypeVar

from ssm_ssh.errors import AwsError, NetworkError, ProtocolError, Throttled

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

# Seconds without a connection after which Systems Manager is asked; with its answer, the other way is taken within
# three. And seconds for the answer on a connection that stands.
PATIENCE, ANSWER_PATIENCE = 1.5, 10.0
_DENIED = re.compile(r"not authorized|denied", re.IGNORECASE)


class Attempt(Generic[T]):
    """A call of EC2 Instance Connect in a thread of its own, given up when its endpoint proves to be out of reach.

    `push` makes the call, and tells its argument how far it has come, as Api.call does with `reached`; `ssm_answers`
    asks Systems Manager for anything and blocks. `why` is in words why the call was given up.
    """

    def __init__(self, push: Callable[[Callable[[bool], None]], T], ssm_answers: Callable[[], bool]) -> None:
        self._push = push
        self._ssm_answers = ssm_answers
        self._changed = threading.Condition()
        self._pushed: list[T] = []
        self._error: BaseException | None = None
        self._connected = self._answered = False
        self._ssm: bool | None = None
        self.why = ""

    def run(self) -> T | None:
        """Return what `push` returned, None where its endpoint cannot be reached and Systems Manager's can.

        Raises what `push` raised where that is an answer of AWS, or where Systems Manager does not answer either.
        """
        threading.Thread(target=self._call, daemon=True).start()
        with self._changed:
            self._changed.wait_for(lambda: self._ended or self._connected, PATIENCE)
            self._await_answer()
            if not self._decided:
                connected, asked = self._connected, time.monotonic()
                threading.Thread(target=self._ask_ssm, daemon=True).start()
                self._changed.wait_for(lambda: self._decided or self._connected != connected)
                if not connected:
                    self._await_answer()
                self._changed.wait_for(lambda: self._decided)
                self._allow_for_slowness(time.monotonic() - asked)
            if self._ssm and not self._answered and not self._pushed and self._reachable_error is None:
                self.why = self._words()
                return None
            self._changed.wait_for(lambda: self._ended)
            if self._error is not None:
                raise self._error
            return self._pushed[0]

    def _await_answer(self) -> None:
        """Wait for the answer on a connection that stands."""
        if self._connected:
            self._changed.wait_for(lambda: self._ended or self._answered, ANSWER_PATIENCE)

    def _allow_for_slowness(self, took: float) -> None:
        """Wait on until EC2 Instance Connect has had twice the time that Systems Manager `took` to answer."""
        if self._ssm and took > PATIENCE and not self._ended:
            self._changed.wait_for(lambda: self._ended or self._connected, took - PATIENCE)
            self._await_answer()

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

    @property
    def _ended(self) -> bool:
        return bool(self._pushed) or self._error is not None

    @property
    def _decided(self) -> bool:
        return self._answered or bool(self._pushed) or self._reachable_error is not None or self._ssm is not None

    @property
    def _reachable_error(self) -> BaseException | None:
        return self._error if self._error is not None and not unreachable(self._error) else None

    def _words(self) -> str:
        error = self._error
        return getattr(error, "message", "") or "it does not answer"

    def _call(self) -> None:
        try:
            pushed = self._push(self._note)
        except BaseException as error:
            with self._changed:
                self._error = error
                self._changed.notify_all()
            return
        with self._changed:
            self._pushed.append(pushed)
            self._changed.notify_all()

    def _note(self, answered: bool) -> None:
        with self._changed:
            self._connected = True
            self._answered |= answered
            self._changed.notify_all()

    def _ask_ssm(self) -> None:
        try:
            answers = self._ssm_answers()
        except Exception:
            answers = False
        with self._changed:
            self._ssm = answers
            self._changed.notify_all()


def unreachable(error: BaseException | None) -> bool:
    """Whether `error` says that a call has not reached AWS: no connection, or an answer that is not one of AWS's.

    AWS's errors have a code; what a proxy or a login page says has none.
    """
    if isinstance(error, NetworkError | ProtocolError):
        return True
    if not isinstance(error, AwsError) or isinstance(error, Throttled) or error.code or error.status == 200:
        return False
    return not _DENIED.search(error.message)
