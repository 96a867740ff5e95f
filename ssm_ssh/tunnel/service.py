"""What an SSH connection asks of the instance and of AWS, and the sentences about both."""

from __future__ import annotations

from ssm_ssh.startup import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from ssm_ssh.errors import SsmSshError
    from ssm_ssh.relay.environment import Session
    from ssm_ssh.ssh.hostkey import HostKey
    from ssm_ssh.tunnel.login_outcome import LoginOutcome


class TunnelService(Protocol):
    """The services of a connection (tunnel.connection.Connection). Methods block and run in tasks, except as noted."""

    library: str
    """The client, if it fills in %r and %p itself (client_library.py), else ""."""

    @property
    def asking(self) -> bool:
        """Whether `start` waits for AWS, and not for a person. Does not block."""

    def authorize(self) -> str:
        """Make the instance accept the user's key. Returns a notice for the user, "" for none."""

    def still_authorized(self) -> bool:
        """Whether the instance accepts the key for long enough yet to log in. Does not block."""

    def explain_key_wait(self) -> str:
        """Return what to tell a user who waits for the key. Does not block."""

    def check_host_key(self, key: HostKey, *, judged_by_ssh: bool) -> str:
        """Judge the server's host key before the client sees it. Returns a notice for the user, "" for none.

        Raises HostKeyRefused where the key must not be passed on. `judged_by_ssh`: the client compares the key with
        known_hosts itself, and warns in its own words.
        """

    def start(self) -> Session:
        """Start a session at AWS. The caller terminates what it returns."""

    def cancel(self) -> None:
        """Ask AWS nothing more on behalf of this connection. Does not block."""

    def ended(self, login: LoginOutcome) -> None:
        """Record how the login looked. Called last, when everything local has been let go."""

    def explain_end(self, reason: str) -> SsmSshError:
        """Return why the session ended before the server spoke. Does not block."""

    def explain_step(self, awaited: str) -> str:
        """Return which step before the login (see login_wait) is awaited. Does not block."""

    def explain_overdue(self, awaited: str, last: SsmSshError | None) -> SsmSshError:
        """Return that the step was not taken in time; `last`: why the connection broke, if it did. Does not block."""

    def explain_no_session(self, reason: str) -> SsmSshError:
        """Return that the agent ended the session before its handshake was complete. Does not block."""

    def explain_unanswered(self, seconds: float, *, unfinished: bool) -> SsmSshError:
        """Return that the agent has acknowledged nothing for so long. Does not block.

        `unfinished`: instead, the gateway began a message that long ago and has not finished it.
        """

    def explain_outside(self) -> SsmSshError:
        """Return that the session was ended from outside, and no reason was given. Does not block."""

    def record_outage(self, lost: bool) -> None:
        """Record for `ssm-ssh status` that the connection is lost, or is back."""

    def record_end(self, sentence: str, *, told: bool) -> None:
        """Record the error that ended the connection, for `ssm-ssh status` and, unless `told`, the next connection."""

    def explain_refused_login(self) -> SsmSshError:
        """Return that sshd refused the login of a `library`, and what may be wrong. Does not block."""

    def explain_silence(self) -> SsmSshError:
        """Return that nothing listens on the port. Does not block."""

    def refused_by_sshd(self, reason: str) -> bool:
        """Whether sshd ended the session by chance before it spoke, so that another may do. Does not block."""
