"""What must be settled before ssh may go on: the user's key is in place, and the server's key has been judged.

Both run in tasks, and the server's host key waits at the gate for both. Errors on the way are collected: two calls fail
together because of one cause, and one of them describes it better.
"""

from __future__ import annotations

from ssm_ssh.errors import SsmSshError, TargetMissing
from ssm_ssh.ssh.gate import Gate
from ssm_ssh.startup import TYPE_CHECKING
from ssm_ssh.text import describe_unexpected

if TYPE_CHECKING:
    from collections.abc import Callable

    from ssm_ssh.log import Log
    from ssm_ssh.relay.environment import RunningTask, Tasks
    from ssm_ssh.tunnel.service import TunnelService

# Seconds for which one task's error waits for the other's, which may say more.
_SECOND_OPINION = 1.0
# Seconds after which a person in front of a screen wants to know what is being waited for.
_UNTOLD = 1.5
# Seconds for the host key: to look it up takes a call or two, so only an unusual delay is worth a notice.
_UNTOLD_HOST_KEY = 4.0


class Admission:
    """The gate, and the tasks that open it. `notify` is called with what the user should know."""

    def __init__(self, service: TunnelService, tasks: Tasks, log: Log, notify: Callable[[str], None]) -> None:
        self.gate = Gate()
        self._service = service
        self._tasks = tasks
        self._log = log
        self._notify = notify
        self._authorizing: RunningTask[str] | None = None
        self._checking: RunningTask[str] | None = None
        self._authorized = self._judged = False
        self._held_at: float | None = None
        self._errors: list[tuple[float, SsmSshError]] = []

    def begin(self) -> None:
        """Have the user's key put in place."""
        self._authorizing = self._tasks.start(self._service.authorize)

    def start_over(self, sent: bytes) -> None:
        """Wait for another server, to which the client has `sent` the same. Raises ProtocolError as the gate does."""
        self.gate = Gate()
        self.gate.feed_client(sent)

    def heard(self, data: bytes, now: float) -> bytes:
        """Take the server's bytes; returns those that may pass. Raises ProtocolError as the gate does."""
        passing = self.gate.feed(data)
        key = self.gate.host_key
        unasked = not self._judged and self._checking is None and not self._errors
        if key is not None and self.gate.held and unasked:
            self._held_at = now
            self._log.debug(f"host key {key.kind} {key.fingerprint}")
            openssh = self.client_is_openssh
            self._checking = self._tasks.start(lambda: self._service.check_host_key(key, judged_by_ssh=openssh))
        return passing

    def settle(self, now: float) -> bytes:
        """Look at what has been done; returns the server's bytes that may pass now. Raises ProtocolError."""
        task = self._authorizing
        if task is not None and task.done:
            self._authorizing = None
            self._authorized = self._take(task, now)
        task = self._checking
        if task is not None and task.done:
            self._checking = None
            self._judged = self._take(task, now)
        self._tell(now)
        if not (self._judged and self._authorized and self.gate.held):
            return b""
        if not self._service.still_authorized():  # it expired before the server answered
            self._authorized = False
            self.begin()
            return b""
        self._held_at = None
        return self.gate.release()

    def failed(self, error: BaseException, now: float) -> None:
        """Add an error to those that `verdict` chooses from."""
        if not isinstance(error, SsmSshError):
            self._log.failure(error)
            error = SsmSshError(
                f"unexpected error: {describe_unexpected(error)}", "Add --debug to the ProxyCommand to see where"
            )
        self._errors.append((now, error))
        self._errors.sort(key=lambda entry: not isinstance(entry[1], TargetMissing))

    def verdict(self, now: float, *, opening: bool) -> SsmSshError | None:
        """Return the error to report, once no other call may explain it better.

        `opening`: the session is being opened.
        """
        if not self._errors:
            return None
        if (opening or self._authorizing is not None) and now < self._errors[0][0] + _SECOND_OPINION:
            return None
        return self._errors[0][1]

    def timers(self) -> list[float]:
        """Return the times at which `settle` or `verdict` may change their answers."""
        times = [self._errors[0][0] + _SECOND_OPINION] if self._errors else []
        return times if self._held_at is None else [*times, self._held_at + self._untold]

    @property
    def client_is_openssh(self) -> bool:
        """Whether the client compares host keys with known_hosts itself, and shows a proxy's stderr as it is."""
        return self.gate.client_version.startswith("SSH-2.0-OpenSSH")

    @property
    def waits_for(self) -> str:
        """Why the server's host key is held, in the past tense."""
        return "the user's key was put in place" if self._checking is None else "the host key was looked up"

    @property
    def _untold(self) -> float:
        return _UNTOLD if self._authorizing is not None else _UNTOLD_HOST_KEY

    def _tell(self, now: float) -> None:
        if self._held_at is None or now < self._held_at + self._untold:
            return
        self._held_at = None
        if self.gate.held and self._authorizing is not None:
            self._notify(self._service.explain_key_wait())
        elif self.gate.held and self._checking is not None:
            self._notify("waiting until the server's host key has been looked up")

    def _take(self, task: RunningTask[str], now: float) -> bool:
        if task.error is not None:
            self.failed(task.error, now)
            return False
        self._notify(task.result)
        return True
