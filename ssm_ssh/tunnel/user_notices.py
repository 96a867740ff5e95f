"""What the user of ssh is told, where and when.

Until the banner, stderr belongs to this program. From the banner on, asyncssh takes it for a part of the stream, and
from the login on it belongs to the SSH session: then only a person in front of OpenSSH's terminal is told anything,
and what could not be told is recorded for `ssm-ssh status` and the next connection.
"""

from __future__ import annotations

from ssm_ssh.errors import HostKeyChanged
from ssm_ssh.relay import outage_notice
from ssm_ssh.relay.outage_notice import Outage
from ssm_ssh.ssh.disconnect import disconnect
from ssm_ssh.startup import TYPE_CHECKING
from ssm_ssh.text import LIMIT, printable

if TYPE_CHECKING:
    from ssm_ssh.errors import SsmSshError
    from ssm_ssh.log import Log
    from ssm_ssh.relay.environment import LocalStreams, Tasks
    from ssm_ssh.tunnel.admission import Admission
    from ssm_ssh.tunnel.service import TunnelService


class UserNotices:
    """Tells what can be told, and records what could not."""

    def __init__(
        self, service: TunnelService, local: LocalStreams, tasks: Tasks, log: Log, resume_limit: float
    ) -> None:
        self._service = service
        self._local = local
        self._tasks = tasks
        self._log = log
        self._resume_limit = resume_limit
        self._outage = Outage()
        self._last_error: tuple[str, bool] | None = None

    def notify(self, text: str, admission: Admission) -> None:
        """Show a notice before the login, where stderr still takes it."""
        if not text:
            return
        self._log.info(f"notice: {text}")
        gate = admission.gate
        if not gate.open and (admission.client_is_openssh or not gate.banner_seen):
            self._tell(printable(text, 2 * LIMIT))

    def look_at_outage(self, now: float, *, online: bool, openssh: bool) -> None:
        """Tell of a lost connection when it has been lost for a while, and of its return."""
        verdict = self._outage.look(now, online=online)
        if not verdict:
            return
        lost = verdict == outage_notice.TELL
        line = outage_notice.lost_sentence(self._resume_limit) if lost else "the connection is back"
        self._log.info(line)
        self._tasks.start(lambda: self._service.record_outage(lost))
        foreground, terminal = self._local.client_is_parent(), self._local.in_foreground()
        if outage_notice.may_interject(openssh=openssh, foreground=foreground, terminal=terminal):
            self._tell(line)

    def outage_timer(self) -> float | None:
        """Return the time at which `look_at_outage` may have something to say."""
        return self._outage.timer()

    def explain(self, error: SsmSshError, admission: Admission) -> bool:
        """Tell of the error that ends the session; returns whether ssh has yet to read it.

        Until the server's keys are in use that is a disconnect message inside SSH, afterwards a line on stderr.
        """
        gate, local, sentence = admission.gate, self._local, error.sentence()
        if gate.open:
            may = admission.client_is_openssh and local.client_is_parent()
            self._last_error = (sentence, may and self._tell(sentence))
            return False
        shown = b""
        if isinstance(error, HostKeyChanged):
            # ssh warns of it in its own words and ends. Where it was told not to (StrictHostKeyChecking no), it goes on
            # to the server's NEWKEYS and finds this in their place.
            self.notify(error.sentence(LIMIT), admission)
            shown = gate.show()
        local.write(shown + disconnect(sentence, begun=gate.banner_seen))
        return not (local.ended or local.broken)

    def refused(self, error: SsmSshError, *, shown: bool) -> None:
        """Tell why a login may have been refused; `shown`: the user of the client sees its stderr."""
        if self._last_error is not None:
            return
        sentence = error.sentence()
        self._log.info(sentence)
        self._last_error = (sentence, shown and self._tell(sentence))

    def finish(self) -> None:
        """Record the error that ended an open session. May block."""
        if self._last_error is not None:
            sentence, told = self._last_error
            self._service.record_end(sentence, told=told)

    def _tell(self, text: str) -> bool:
        told = self._local.tell(f"ssm-ssh: {text}".encode("ascii") + b"\r\n")
        if not told:
            self._log.info("not shown: stderr is full or closed")
        return told
