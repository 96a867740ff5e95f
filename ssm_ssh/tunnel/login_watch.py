"""PURE: which step before the login is awaited, and what to say when it does not come (login_wait has the limits)."""

from __future__ import annotations

from ssm_ssh.startup import TYPE_CHECKING
from ssm_ssh.tunnel import login_wait
from ssm_ssh.tunnel.login_wait import LoginWait

if TYPE_CHECKING:
    from ssm_ssh.errors import SsmSshError
    from ssm_ssh.relay.link import Link
    from ssm_ssh.ssh.gate import Gate
    from ssm_ssh.tunnel.service import TunnelService

# Seconds between two looks: the clocks count tens of seconds, and a look costs more than a message.
INTERVAL = 0.5


class LoginWatch:
    """The clock of a connection until its key exchange is over. `service` has the words."""

    def __init__(self, service: TunnelService, now: float) -> None:
        self._service = service
        self._wait = LoginWait(now)
        self._awaited = login_wait.NOTHING
        self.timer = now
        """When `look` may change its answer."""

    def restart(self, now: float) -> None:
        """Another session begins."""
        self._wait.restart(now)

    def look(self, now: float, link: Link, gate: Gate) -> str:
        """Return a verdict of login_wait."""
        if now < self.timer:
            return login_wait.QUIET
        self.timer = now + INTERVAL
        channel = link.channel
        self._awaited = login_wait.step(
            session=link.session is not None,
            connected=link.socket is not None,
            established=channel.established,
            gap=channel.gap,
            banner=gate.banner_seen,
            exchanging=gate.servers_turn,
            asking=self._service.asking,
        )
        return self._wait.look(self._awaited, now, unacknowledged=channel.unacknowledged > 0)

    def sentence(self) -> str:
        """Return what is awaited, for a TELL."""
        return self._service.explain_step(self._awaited)

    def error(self, verdict: str, last: SsmSshError | None) -> SsmSshError:
        """Return the error of a FAIL or SERVER_SILENT; `last`: why the connection broke last, if it did."""
        if verdict == login_wait.SERVER_SILENT:
            return self._service.explain_silence()
        return self._service.explain_overdue(self._awaited, last)
