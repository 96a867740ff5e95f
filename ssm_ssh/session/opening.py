"""PURE: how long each step takes before a session serves its purpose, and what is said about it. Time comes in."""

from __future__ import annotations

from ssm_ssh.errors import NetworkError, SessionEnded
from ssm_ssh.startup import TYPE_CHECKING

if TYPE_CHECKING:
    from ssm_ssh.errors import SsmSshError

START, CONNECT, BEGIN = "start", "connect", "begin"
"""What is awaited: StartSession, the data channel, the agent's first word."""
QUIET, TELL, FAIL = "", "tell", "fail"
"""What `Opening.look` decides: nothing, tell what is awaited, give up."""

# Seconds after which a person wants to know what the command waits for. A shell itself takes more than one.
TELL_AFTER = 5.0
# Seconds for a step. The agent may have to ask KMS, and does nothing else meanwhile (9.7 s were seen).
LIMIT = 40.0


class Opening:
    """The clock of a session that is being opened."""

    def __init__(self, now: float) -> None:
        self._began = self._since = now
        self._awaited = START
        self._told = False

    def look(self, now: float, awaited: str) -> str:
        """Return the verdict. A step back, from the first word to the connection, does not restart the clock."""
        if awaited == START:  # the call has a limit of its own, which begins with credentials
            self._since = now
        elif self._awaited == START or (self._awaited == CONNECT and awaited == BEGIN):
            self._awaited, self._since = awaited, now
        if awaited != START and now - self._since >= LIMIT:
            return FAIL
        if now - self._began >= TELL_AFTER and not self._told:
            self._told = True
            return TELL
        return QUIET

    @property
    def timer(self) -> float:
        """The time at which `look` may change its answer."""
        return min(self._since + LIMIT, self._since + LIMIT if self._told else self._began + TELL_AFTER)


def awaited_sentence(awaited: str, instance_id: str) -> str:
    """Return what is awaited, for a line after `TELL_AFTER`."""
    return {
        START: f"waiting for Systems Manager to start a session with {instance_id}",
        CONNECT: f"waiting for the connection to the session with {instance_id}",
        BEGIN: f"waiting for the SSM Agent on {instance_id} to begin the session",
    }[awaited]


def overdue(awaited: str, instance_id: str, last: SsmSshError | None) -> SsmSshError:
    """Return the error of a step that was not taken within `LIMIT`; `last`: why the connection broke, if it did."""
    if awaited == CONNECT:
        why = last.sentence() if last is not None else "Check the network and HTTPS_PROXY"
        return NetworkError(f"no connection to the session with {instance_id} for {LIMIT:.0f} s", why)
    return SessionEnded(
        f"the SSM Agent on {instance_id} has not begun the session within {LIMIT:.0f} s",
        "Restart it there (systemctl restart amazon-ssm-agent), or read its log",
    )
