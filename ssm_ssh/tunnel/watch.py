"""PURE: one look at a connection, before the login and after it: the relay tells how things are, and does what is said.

It holds the two clocks (login_wait, unanswered) and the words for what they decide. Before the login the step that is
awaited decides; after it, what is not acknowledged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ssm_ssh.relay import unanswered
from ssm_ssh.relay.unanswered import Unanswered
from ssm_ssh.tunnel import login_wait
from ssm_ssh.tunnel.login_wait import LoginWait

if TYPE_CHECKING:
    from ssm_ssh.channel.session import Channel
    from ssm_ssh.errors import SsmSshError
    from ssm_ssh.ssh.gate import Gate
    from ssm_ssh.tunnel.service import TunnelService

# Seconds between two looks: the clocks are of tens of seconds, and a look costs more than a message.
INTERVAL = 0.5


class Watch:
    """The clocks of one connection. `service` has the words."""

    def __init__(self, service: TunnelService, now: float) -> None:
        self._service = service
        self._login = LoginWait(now)
        self._open = Unanswered(now)
        self._next = now
        self._awaited = login_wait.OURS

    def restart(self, now: float) -> None:
        """Another session begins."""
        self._login.restart(now)
        self._open = Unanswered(now)

    def look(self, now: float, channel: Channel, gate: Gate, *, session: bool, online: bool, incomplete: bool) -> str:
        """Return a verdict of login_wait's or of unanswered's.

        `session`: a session was started; `incomplete`: a message has begun and not ended.
        """
        if now < self._next:
            return unanswered.WAIT
        self._next = now + INTERVAL
        waiting = channel.unacknowledged > 0
        if gate.open:
            return self._open.look(
                now,
                online=online,
                acknowledged=channel.acknowledged,
                received=channel.received,
                waiting=waiting,
                incomplete=incomplete,
                away=channel.away,
            )
        self._awaited = login_wait.step(
            session=session,
            connected=online,
            established=channel.established,
            gap=channel.gap,
            banner=gate.banner_seen,
            exchanging=gate.servers_turn,
            asking=self._service.asking,
        )
        return self._login.look(self._awaited, now, unacknowledged=waiting)

    def timer(self, gate: Gate, channel: Channel) -> float | None:
        """Return the time at which `look` may change its answer, None where only other events can."""
        if gate.open and not (channel.unacknowledged or channel.away):
            return None
        return self._next

    def sentence(self) -> str:
        """Return what is awaited, for a TELL before the login."""
        return self._service.explain_step(self._awaited)

    def error(self, verdict: str, last: SsmSshError | None) -> SsmSshError:
        """Return the error of a FAIL, SILENT or END; `last`: what the connection broke of, if it did."""
        if verdict == login_wait.SILENT:
            return self._service.explain_silence()
        if verdict == login_wait.FAIL:
            return self._service.explain_overdue(self._awaited, last)
        return self._service.explain_unanswered(self._open.waited, unfinished=self._open.unfinished)
