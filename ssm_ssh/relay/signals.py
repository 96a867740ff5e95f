"""Signals as bytes in the loop's own pipe, so that they are events like any other."""

from __future__ import annotations

import signal
from contextlib import contextmanager

from ssm_ssh.startup import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ssm_ssh.relay.tasks import Waker

INTERRUPT = int(signal.SIGINT)
HANGUP = int(signal.SIGHUP)
TERMINATE = int(signal.SIGTERM)
_CAUGHT = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


def name_of(number: int) -> str:
    """Return the usual name of a signal number."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)


@contextmanager
def catching(waker: Waker, more: Sequence[int] = ()) -> Iterator[None]:
    """Within this context INT, TERM, HUP and the signals `more` only write their number into `waker`."""
    before = [(number, signal.signal(number, lambda *_: None)) for number in (*_CAUGHT, *more)]
    old = signal.set_wakeup_fd(waker.write_fd, warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(old)
        for number, handler in before:
            signal.signal(number, handler)
