"""Blocking work outside the loop: a thread for each task, which wakes a poll() when it is done."""

from __future__ import annotations

import os
import threading

from ssm_ssh.startup import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class Waker:
    """A pipe whose read end belongs into a poll(); also fit for signal.set_wakeup_fd."""

    def __init__(self) -> None:
        self.fd, self.write_fd = os.pipe()
        os.set_blocking(self.fd, False)
        os.set_blocking(self.write_fd, False)

    def wake(self) -> None:
        """Make `fd` readable; safe from any thread and after `close`."""
        try:
            os.write(self.write_fd, b"\0")
        except (BlockingIOError, OSError):
            pass  # full: it is readable already; closed: no loop waits any more

    def drain(self) -> bytes:
        """Return and forget what made `fd` readable (signal numbers, or zeros)."""
        try:
            return os.read(self.fd, 4096)
        except BlockingIOError:
            return b""


class TaskRunner:
    """Starts tasks that share one waker (environment.Tasks)."""

    def __init__(self) -> None:
        self.waker = Waker()
        self.fd = self.waker.fd

    def start(self, call: Callable[[], T]) -> Task[T]:
        """Run `call` in a thread of its own."""
        return Task(call, self.waker)

    def drain(self) -> bytes:
        """Return and forget what made `fd` readable."""
        return self.waker.drain()


class Task(Generic[T]):
    """One call in a daemon thread, so that a stuck network never keeps the process."""

    def __init__(self, call: Callable[[], T], waker: Waker) -> None:
        self._call = call
        self._waker = waker
        self._result: list[T] = []
        self.error: BaseException | None = None
        self.done = False
        threading.Thread(target=self._run, daemon=True).start()

    @property
    def result(self) -> T:
        """What the call returned; raises what it raised. Only when `done`."""
        if self.error is not None:
            raise self.error
        return self._result[0]

    def _run(self) -> None:
        try:
            self._result.append(self._call())
        except BaseException as error:  # raised again where the result is read
            self.error = error
        self.done = True
        self._waker.wake()
