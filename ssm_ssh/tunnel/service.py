"""What the relay asks of whoever knows the way to the instance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from ssm_ssh.errors import SsmSshError
    from ssm_ssh.relay.environment import Session
    from ssm_ssh.ssh.hostkey import HostKey
    from ssm_ssh.tunnel.login_outcome import LoginOutcome


class TunnelService(Protocol):
    """The way to the instance. Every method blocks, and is called in a thread of its own."""

    asking: bool
    """Whether `start` waits for AWS to start a session, and for no person."""

    def authorize(self) -> str:
        """Make the instance accept our key. Returns a notice for the user, "" for none."""

    def still_authorized(self) -> bool:
        """Whether the instance still accepts our key for long enough to log in. Does not block."""

    def explain_key_wait(self) -> str:
        """Say what is being waited for while our key is put in place. Does not block."""

    def check_host_key(self, key: HostKey, *, judged_by_ssh: bool) -> str:
        """Judge the server's host key before the client sees it. Returns a notice for the user, "" for none.

        Raises where the key must not be passed on. `judged_by_ssh`: the client is one that compares the key with our
        known_hosts itself and warns in its own words.
        """

    def start(self) -> Session:
        """Start a session at AWS. The caller terminates what it returns."""

    def cancel(self) -> None:
        """Ask AWS nothing more on behalf of this connection. Does not block."""

    def ended(self, login: LoginOutcome) -> None:
        """Take note of how the connection looked, after all of it has ended and nothing of ssh's is held."""

    def explain_end(self, reason: str) -> SsmSshError:
        """Say why the session ended before the server spoke, in words that a person can act on."""

    def explain_step(self, awaited: str) -> str:
        """Say that a step before the login (see login_wait) is awaited. Does not block."""

    def explain_overdue(self, awaited: str, last: SsmSshError | None) -> SsmSshError:
        """Say that it was not taken in time; `last`: what the connection broke of, if it did. Does not block."""

    def explain_no_session(self, reason: str) -> SsmSshError:
        """Say that the agent ended the session before its handshake was complete. Does not block."""

    def explain_unanswered(self, seconds: float, *, unfinished: bool) -> SsmSshError:
        """Say why a session ends whose other end has acknowledged nothing for so long. Does not block.

        `unfinished`: rather, the gateway began a message that long ago and has not ended it.
        """

    def explain_outside(self) -> SsmSshError:
        """Say that the session was ended, and not by us, for a reason that was not given. Does not block."""

    def record_outage(self, lost: bool) -> None:
        """Note for `ssm-ssh status` that the connection is lost and being looked for, or is so no more."""

    def record_end(self, sentence: str, *, told: bool) -> None:
        """Note how the connection ended, for `ssm-ssh status` and, where nobody was `told`, the next connection."""

    def explain_silence(self) -> SsmSshError:
        """Say why the agent is there and the server is not."""

    def refused_by_sshd(self, reason: str) -> bool:
        """Whether a session that ended like this, before the server spoke, deserves another attempt."""
