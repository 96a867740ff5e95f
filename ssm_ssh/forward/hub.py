"""The one loop of all forwards of a process: listeners, pools of sessions, signals, and a command that uses them.

Each session has a Relay of its own, and all of them share one poll() and one thread: a thread for each would need locks
around the listeners, the choice of a session and the count of what waits unread.
"""

from __future__ import annotations

import errno
import signal
import subprocess

from ssm_ssh.forward.local import Local
from ssm_ssh.relay.poller import READ
from ssm_ssh.relay.states import OVER
from ssm_ssh.relay.tasks import TaskRunner
from ssm_ssh.startup import TYPE_CHECKING

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping, Sequence

    from ssm_ssh.errors import SsmSshError
    from ssm_ssh.forward.listener import Listener
    from ssm_ssh.forward.pool import Pool
    from ssm_ssh.log import Log
    from ssm_ssh.relay.environment import Clock, PollSet, RunningTask

_LONGEST_WAIT = 5.0
# Connections accepted in one turn.
_MOST_ACCEPTED = 64
# Seconds without accepting after there were no more descriptors.
_PAUSE = 1.0
_NO_DESCRIPTORS = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_INTERRUPT = int(signal.SIGINT)


class Hub:
    """Carries connections from listeners to pools until it is told to end."""

    def __init__(
        self,
        forwards: Sequence[tuple[Listener, Pool]],
        *,
        poller: PollSet,
        clock: Clock,
        log: Log,
        tell: Callable[[str], object],
        on_ready: Callable[[], None],
    ) -> None:
        """`on_ready` is called once a session of every pool is ready."""
        self.tasks = TaskRunner()
        self.error: SsmSshError | None = None
        """The error that keeps a forward from working."""
        self._forwards = {
            sock.fileno(): (sock, pool, listener) for listener, pool in forwards for sock in listener.sockets
        }
        self._pools = list(dict.fromkeys(pool for _, pool in forwards))
        self._poller = poller
        self._clock = clock
        self._log = log
        self._tell = tell
        self._on_ready = on_ready
        self._is_ready = False
        self._paused_until: float | None = None
        self._closing = False
        self._status = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._command: RunningTask[int] | None = None

    def run(self) -> int:
        """Carry connections; returns 0, 1 after an error, 128 + a signal, or the status of the command."""
        from ssm_ssh.relay.signals import catching

        with catching(self.tasks.waker):
            self._poller.watch(self.tasks.fd, READ)
            for pool in self._pools:
                pool.start()
            while not (self._closing and not any(pool.sessions for pool in self._pools)):
                self._turn()
        if self._command is not None and self._process is not None:  # the forwards have ended before it
            self._process.terminate()
            self._process.wait()
        return self._status

    def command(self, argv: Sequence[str], environment: Mapping[str, str]) -> None:
        """Run a command, with whose end the forwards end. Raises OSError."""
        process = self._process = subprocess.Popen(argv, env=dict(environment))
        self._command = self.tasks.start(process.wait)

    def close(self, status: int) -> None:
        """Let everything local go and end all sessions."""
        if self._closing:
            return
        self._closing = True
        self._status = status
        for sock, _, _ in self._forwards.values():
            self._poller.forget(sock.fileno())
        self._forwards.clear()
        now = self._clock.monotonic()
        for pool in self._pools:
            pool.close(now)

    def _turn(self) -> None:
        relays = [session.relay for pool in self._pools for session in pool.sessions]
        timeout = min((relay.prepare() for relay in relays), default=_LONGEST_WAIT)
        now = self._clock.monotonic()
        self._watch_listeners(now)
        times = [pool.timer(now) for pool in self._pools] + [self._paused_until]
        timeout = min([timeout, _LONGEST_WAIT, *(time - now for time in times if time is not None)])
        ready = self._poller.wait(timeout)
        if ready.get(self.tasks.fd):
            self._on_wakeup()
        now = self._clock.monotonic()
        for fd in [fd for fd in ready if fd in self._forwards]:
            self._accept(fd, now)
        for relay in relays:
            relay.advance(ready)
        now = self._clock.monotonic()
        for pool in self._pools:
            pool.turn(now)
        self._look_at_pools()

    def _look_at_pools(self) -> None:
        fatal = next((pool.fatal for pool in self._pools if pool.fatal is not None), None)
        if fatal is not None:
            self.error = self.error or fatal
            self.close(1)
        elif not self._is_ready and not self._closing and all(pool.is_ready for pool in self._pools):
            self._is_ready = True
            self._on_ready()

    def _watch_listeners(self, now: float) -> None:
        if self._paused_until is not None and now >= self._paused_until:
            self._paused_until = None
        for fd in self._forwards:
            if self._paused_until is None:
                self._poller.watch(fd, READ)
            else:
                self._poller.forget(fd)

    def _accept(self, fd: int, now: float) -> None:
        sock, pool, _ = self._forwards[fd]
        for _ in range(_MOST_ACCEPTED):
            try:
                accepted: socket.socket = sock.accept()[0]
            except OSError as error:
                if error.errno in _NO_DESCRIPTORS:
                    self._tell("no more connections can be opened: the limit of open files is reached (ulimit -n)")
                    self._paused_until = now + _PAUSE
                return
            pool.offer(Local(accepted, pool.destination), now)

    def _on_wakeup(self) -> None:
        for number in self.tasks.drain():
            if number:
                self._on_signal(number)
        command = self._command
        if command is not None and command.done:
            self._command = None
            status = command.result
            self.close(status if status >= 0 else 128 - status)

    def _on_signal(self, number: int) -> None:
        self._log.info(f"signal {number}")
        if self._command is not None and self._process is not None:
            if number != _INTERRUPT:  # which the terminal sends to the command, too
                self._process.send_signal(number)
        elif self._closing:
            for pool in self._pools:
                pool.sessions = [session for session in pool.sessions if session.relay.state is OVER]
        else:
            self.close(0 if number == _INTERRUPT and self._is_ready else 128 + number)
