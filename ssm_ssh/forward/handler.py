"""One session of a forward: the handler (relay/handler.py) of its relay. The bytes are the business of traffic.py."""

from __future__ import annotations

from ssm_ssh.channel.events import ConnectFailed, Established, Notice
from ssm_ssh.channel.limits import HOLD
from ssm_ssh.errors import SessionEnded, SsmSshError
from ssm_ssh.forward.traffic import Traffic
from ssm_ssh.mux import agents
from ssm_ssh.mux.plain import PlainStream
from ssm_ssh.mux.streams import Mux
from ssm_ssh.relay import unanswered
from ssm_ssh.relay.loop import MOST_BACKLOG
from ssm_ssh.relay.states import ENDED, ONLINE
from ssm_ssh.session import endings
from ssm_ssh.session.watch import SessionWatch
from ssm_ssh.startup import TYPE_CHECKING, Protocol
from ssm_ssh.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ssm_ssh.channel.events import Event
    from ssm_ssh.forward.local import Local
    from ssm_ssh.mux.unread import Unread
    from ssm_ssh.relay.assembly import Parts
    from ssm_ssh.relay.environment import PollSet
    from ssm_ssh.relay.handler import RelayControls
    from ssm_ssh.session.watch import Starter

LEAVE = "To end the forward: Ctrl-C, or ssm-ssh forward --stop"
# Seconds without a sign of a new stream after which its dial may hang, which makes later ones wait.
_HANGING = 1.0
# Seconds without an acknowledgement after which new connections avoid the session.
_STUCK = 2.0
# Seconds for which a session counts as busy after bytes have passed.
_BUSY = 2.0
# Seconds for programs to take what a server had sent to its end, when the session has ended.
_FINISH = 5.0
# Words of the agent about addresses of the metadata service, the VPC's DNS and the instance itself (port.go).
_FORBIDDEN = "is forbidden"
# The end of the agent's words about a name that its resolver does not know, which it looks up once a session.
_NO_HOST = ": no such host"
_NO_HOST_HINT = "Check HOST, which the instance looks up"
_FORBIDDEN_HINT = "For the instance's own ports leave HOST out"


class Owner(Protocol):
    """Who the sessions belong to: forward/pool.py."""

    def ready(self, session: ForwardHandler, now: float) -> None:
        """Note that the session can take connections."""

    def failed(self, session: ForwardHandler, error: SsmSshError) -> None:
        """Note the error that ends the session."""


class ForwardHandler:
    """Carries local connections over one session."""

    _relay: RelayControls

    def __init__(
        self,
        owner: Owner,
        starter: Starter,
        parts: Parts,
        unread: Unread,
        tell: Callable[[str], object],
        *,
        remote: bool,
        hold: float,
    ) -> None:
        """`remote`: the session leads to another host; `hold`: see mux/streams.py."""
        self.begun_at: float | None = None
        self.several = True
        """Whether the agent carries several connections at a time."""
        self.forbidden = False
        """Whether the agent refuses to forward there, so that another session would end the same way."""
        self._told_ready = False
        self._traffic: Traffic | None = None
        self._owner = owner
        self._starter = starter
        self._instance_id = starter.instance_id
        self._log = parts.log
        self._tell = tell
        self._watch = SessionWatch(starter, parts, tell, leave=LEAVE)
        self._unread = unread
        self._remote = remote
        self._hold = hold
        self._progress = -1
        self._progress_at = parts.now

    # --- for the pool -------------------------------------------------------------------------------------------------

    @property
    def count(self) -> int:
        """Number of connections."""
        return self._traffic.count if self._traffic is not None else 0

    def accepts(self) -> bool:
        """Whether it can take another connection now."""
        return self._traffic is not None and self._relay.state is ONLINE and self._traffic.accepts

    def rank(self, now: float) -> tuple[bool, bool, int]:
        """Return how little a new connection should want this session: it is blocked, busy, how many it carries."""
        traffic = self._traffic
        if traffic is None:
            return True, True, 0
        waiting = traffic.mux.waiting_since
        hangs = waiting is not None and now - waiting >= _HANGING
        stuck = self._relay.link.channel.unacknowledged > 0 and now - self._progress_at >= _STUCK
        busy = traffic.count > 0 and now - traffic.active_at < _BUSY
        return hangs or stuck or self._unread.full, busy, traffic.count

    def useless(self, now: float) -> bool:
        """Whether the session is blocked by connections that no local program has any more."""
        return self.count == 0 and self.begun and self._relay.state is ONLINE and self.rank(now)[0]

    def take(self, local: Local, now: float) -> None:
        """Carry a local connection. Only where `accepts`."""
        assert self._traffic is not None
        self._traffic.take(local, now)
        self._log.debug(f"stream {local.stream}: {local}")

    # --- the relay's handler ------------------------------------------------------------------------------------------

    @property
    def begun(self) -> bool:
        """Whether the handshake is complete."""
        return self.begun_at is not None

    @property
    def backlog(self) -> int:
        """As much as stops the relay from reading, when too much waits for local readers; else 0."""
        return MOST_BACKLOG if self._unread.full else 0

    def start(self, relay: RelayControls) -> None:
        """Do nothing yet."""
        self._relay = relay

    def watch(self, poller: PollSet) -> None:
        """Wait for the local connections."""
        if self._traffic is not None:
            self._traffic.watch(poller)

    def on_ready(self, ready: Mapping[int, int], now: float) -> None:
        """Write to and read from the local connections."""
        if self._traffic is not None:
            self._traffic.on_ready(ready, now)

    def on_output(self, data: bytes, now: float) -> None:
        """Pass output to the local connections. Raises ProtocolError for what is not smux."""
        if self._traffic is not None:
            self._traffic.on_output(data, now)

    def on_event(self, event: Event, now: float) -> None:
        """Begin once established; match refused connections; show notices."""
        if isinstance(event, Established):
            self._begin(event.agent_version, now)
        elif isinstance(event, ConnectFailed) and self._traffic is not None:
            self._traffic.mux.connect_failed()
        elif isinstance(event, Notice):
            self._tell(event.text)

    def _begin(self, version: str, now: float) -> None:
        self._log.debug(f"the session has begun, agent {version or 'unknown'}")
        if self._remote and not agents.reaches_hosts(version):
            error = SsmSshError(
                f"the SSM Agent {version} on {self._instance_id} cannot forward to other hosts", "Update it there"
            )
            self._relay.fail(error, now)
            return
        self.begun_at = self._progress_at = now
        self.several = agents.multiplexes(version)
        mux: Mux | PlainStream
        if self.several:
            mux = Mux(now, hold=self._hold, keep_alive=agents.keeps_alive(version))
        else:
            mux = PlainStream(now, hold=self._hold)
        channel = self._relay.link.channel
        self._traffic = Traffic(mux, channel, self._unread, self._tell, now=now, hold=self._hold)

    def on_not_connected(self, error: BaseException, now: float) -> None:
        """Fail with the error."""
        if not isinstance(error, SsmSshError):
            raise error
        self._relay.fail(error, now)

    def on_unanswered(self, verdict: str, now: float) -> None:
        """Name the server that reads nothing; ask AWS about the agent; or end."""
        if self._unread.full:  # the acknowledgements wait behind what our own readers do not take
            return
        if verdict != unanswered.TELL or self._traffic is None:
            self._watch.on_unanswered(self._relay, verdict, now)
            return
        local = self._traffic.suspect()
        waited = self._relay.link.unanswered.waited
        name = str(local) if local is not None else "a closed connection"
        others = max(0, self.count - 1)
        held = f", which holds up {others} other{'s' if others > 1 else ''} in its session" if others else ""
        self._tell(f"the server has read nothing for {waited:.0f} s on {name}{held}. Close it, or end the forward")

    def on_signal(self, number: int, now: float) -> None:
        """Do nothing: signals reach the hub."""

    # --- time ---------------------------------------------------------------------------------------------------------

    def on_time(self, now: float) -> None:
        """Do what is due."""
        relay = self._relay
        if relay.state is ENDED:
            self._on_ended(now)
            return
        begun_at = self.begun_at
        if self._traffic is None:
            self._watch.look_at_opening(relay, now)
            return
        acknowledged = relay.link.channel.acknowledged
        if acknowledged != self._progress or not relay.link.channel.unacknowledged:
            self._progress, self._progress_at = acknowledged, now
        self._watch.look_at_outage(relay, now)
        self._traffic.on_time(now)
        if not self._told_ready and begun_at is not None and now >= begun_at + HOLD:
            self._told_ready = True
            self._owner.ready(self, now)

    def timer(self, now: float) -> float | None:
        """Return when something may be due."""
        ended = self._relay.ended
        if ended is not None:
            return ended[1] + _FINISH if now < ended[1] + _FINISH else None
        ready_at = None if self._told_ready or self.begun_at is None else self.begun_at + HOLD
        times = [
            ready_at,
            self._watch.timer(begun=self.begun),
            self._traffic.timer(now) if self._traffic is not None else None,
        ]
        return min((time for time in times if time is not None), default=None)

    def _on_ended(self, now: float) -> None:
        """Say why the session has ended. What local programs have not read yet is written first."""
        relay, begun_at = self._relay, self.begun_at
        if relay.ended is None:
            return
        reason, at = relay.ended
        if self._traffic is not None and self._traffic.finishing and now < at + _FINISH:
            return  # what the server has sent whole is to arrive whole
        if begun_at is None:
            relay.fail(endings.never_began(reason, self._instance_id), now)
            return
        if _NO_HOST in reason:
            relay.fail(SsmSshError(f"{self._instance_id} answers: {printable(reason, 200)}", _NO_HOST_HINT), now)
            return
        if _FORBIDDEN in reason:
            self.forbidden = True
            relay.fail(SsmSshError(f"{self._instance_id} refuses: {printable(reason, 200)}", _FORBIDDEN_HINT), now)
            return
        lasted, idle = at - begun_at, at - (self._traffic.sent_at if self._traffic is not None else begun_at)
        if reason:
            error = endings.ended(reason, self._instance_id, lasted=lasted, idle=idle)
        else:
            error = SessionEnded(endings.presumed(self._instance_id, lasted=lasted, idle=idle))
        relay.fail(error, now)

    # --- the end ------------------------------------------------------------------------------------------------------

    def explain(self, error: SsmSshError) -> bool:
        """Report the error to the pool; nothing has to read it."""
        self._owner.failed(self, error)
        return False

    def detach(self, poller: PollSet) -> None:
        """Reset all connections."""
        if self.begun_at is None:
            self._starter.cancel()
        if self._traffic is not None:
            self._traffic.detach(poller)

    def finish(self, status: int) -> None:
        """Do nothing more."""
