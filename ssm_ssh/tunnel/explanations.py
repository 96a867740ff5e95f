"""PURE: what ends or delays an SSH connection, in sentences that a person can act on."""

from __future__ import annotations

from ssm_ssh.errors import SessionEnded, SsmSshError
from ssm_ssh.startup import TYPE_CHECKING
from ssm_ssh.text import printable
from ssm_ssh.tunnel import login_wait

if TYPE_CHECKING:
    from ssm_ssh.tunnel.destination import SshDestination


class Explanations:
    """The sentences about one destination."""

    def __init__(self, destination: SshDestination) -> None:
        self._destination = destination
        self.library = ""

    def explain_key_wait(self) -> str:
        """Describe what is awaited while the key is put in place."""
        return f"waiting until {self._destination.instance_id} has accepted the key"

    def refused_by_sshd(self, reason: str) -> bool:
        """Whether sshd refused the connection (MaxStartups, PerSourcePenalties), unlike a closed port."""
        return "unable to connect" not in reason.lower()

    def explain_end(self, reason: str) -> SsmSshError:
        """Explain why the session ended before sshd sent anything. `reason` is that of the agent or of sshd."""
        where = f"port {self._destination.port} of {self._destination.instance_id}"
        if "unable to connect" in reason.lower():
            return self.explain_silence()
        if reason:
            return SessionEnded(f"{where} ended the connection before SSH began: {reason}")
        return SessionEnded(
            f"sshd on {where} closed every connection without sending anything",
            "It may be overloaded (MaxStartups) or refuse localhost (PerSourcePenalties, hosts.deny)",
        )

    def explain_step(self, awaited: str) -> str:
        """Describe the step before the login that is awaited."""
        return login_wait.awaited_sentence(awaited, self._destination.instance_id, self._destination.port)

    def explain_overdue(self, awaited: str, last: SsmSshError | None) -> SsmSshError:
        """Explain which step before the login was not taken in time."""
        return login_wait.overdue(awaited, self._destination.instance_id, self._destination.port, last)

    def explain_no_session(self, reason: str) -> SsmSshError:
        """Explain that the agent ended the session before its handshake was complete."""
        return SessionEnded(
            f"the SSM Agent on {self._destination.instance_id} ended the session before it began: "
            f"{printable(reason.replace('-' * 10, '').replace('ERROR-------', ''), 200) or 'no reason given'}",
            "Restart it there (systemctl restart amazon-ssm-agent), or read its log",
        )

    def explain_unanswered(self, seconds: float, *, unfinished: bool) -> SsmSshError:
        """Explain why a session ends in which nothing was acknowledged for so long."""
        instance_id = self._destination.instance_id
        if unfinished:
            return SessionEnded(
                f"the gateway began a message from {instance_id} and has not finished it for {seconds:.0f} s",
                "Connect again; if it happens again, something on the way to AWS holds messages back",
            )
        return SessionEnded(
            f"the SSM Agent on {instance_id} has acknowledged nothing for {seconds:.0f} s, though AWS answers",
            "It or the instance was stopped or restarted. Connect again",
        )

    def explain_outside(self) -> SsmSshError:
        """Explain that the session was ended from outside, for a reason that was not given."""
        return SessionEnded(
            f"the session with {self._destination.instance_id} was ended from outside, and no reason was given",
            "An administrator (TerminateSession) or a process there may have ended it. Connect again",
        )

    def explain_silence(self) -> SsmSshError:
        """Explain that the agent answers and no server does."""
        return SessionEnded(
            f"nothing listens on port {self._destination.port} of {self._destination.instance_id}",
            "Start sshd there, or name its port: " + (self._in_host_section("Port PORT") or "ssh -p PORT"),
        )

    def explain_refused_login(self) -> SsmSshError:
        """Explain that sshd refused the login of a library that fills in %r itself."""
        return SsmSshError(
            f"sshd refused the login. The key was pushed for {self._destination.user}, "
            f"the user whom {self.library} passed as %r",
            f"If the program logs in as another user, name that user {self._in_host_section('User NAME')}",
        )

    def _in_host_section(self, line: str) -> str:
        """Return where to write `line` for a library; "" for other clients."""
        if not self.library:
            return ""
        return f"in the Host section of ssh's configuration ({line}), from which {self.library} takes it"
