"""One SSH connection on a session: the handler (relay/handler.py) of `ssm-ssh proxy`.

Bytes pass between ssh and the session. On the way the gate holds the server's host key back until it has been judged
and the user's key is in place, the client's first bytes are kept for another session where sshd refuses by chance, and
errors are told inside SSH as long as that is possible.
"""

from __future__ import annotations

from ssm_ssh.channel.events import ConnectFailed, Established, Notice, StdErr
from ssm_ssh.errors import ProtocolError, SessionEnded, SsmSshError
from ssm_ssh.relay.poller import BROKEN, GONE, READ, WRITE
from ssm_ssh.relay.states import CLOSING, ENDED, LINGERING, ONLINE
from ssm_ssh.startup import TYPE_CHECKING
from ssm_ssh.text import printable
from ssm_ssh.tunnel import client_library, login_wait
from ssm_ssh.tunnel.admission import Admission
from ssm_ssh.tunnel.background import Background
from ssm_ssh.tunnel.login_outcome import LoginOutcome
from ssm_ssh.tunnel.login_watch import LoginWatch
from ssm_ssh.tunnel.retry import MOST_REPLAY, Retry
from ssm_ssh.tunnel.user_notices import UserNotices

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ssm_ssh.channel.events import Event
    from ssm_ssh.log import Log
    from ssm_ssh.relay.environment import LocalStreams, PollSet, Tasks
    from ssm_ssh.relay.handler import RelayControls
    from ssm_ssh.ssh.gate import Gate
    from ssm_ssh.tunnel.service import TunnelService

# Bytes of each piece of the session's stderr that the log gets.
_MOST_STDERR = 8192
# Seconds for ssh to end by itself when the session has ended without a reason: it does so at once where sshd has ended
# the connection, and never where the session was ended from outside.
_LEAVE = 2.0
# Seconds for ssh to die of the same Ctrl-C: it does within a millisecond, unless it had left the terminal.
_INTERRUPT_GRACE = 0.2


class SshHandler:
    """Moves one SSH stream between `local` and the session."""

    _relay: RelayControls

    def __init__(
        self,
        service: TunnelService,
        local: LocalStreams,
        *,
        tasks: Tasks,
        log: Log,
        now: float,
        resume_limit: float,
        random: Callable[[], float],
    ) -> None:
        self._service = service
        self._local = local
        self._log = log
        self._notices = UserNotices(service, local, tasks, log, resume_limit)
        self._admission = Admission(service, tasks, log, self._notify)
        self._watch = LoginWatch(service, now)
        self._login = LoginOutcome()
        self._background = Background(local, log)
        self._retry = Retry(random)
        self._interrupted_at: float | None = None
        self._port_closed = False

    @property
    def _gate(self) -> Gate:
        return self._admission.gate

    @property
    def begun(self) -> bool:
        """Whether the key exchange is over."""
        return self._admission.gate.open

    @property
    def backlog(self) -> int:
        """Bytes that ssh has not read."""
        return self._local.backlog

    def start(self, relay: RelayControls) -> None:
        """Have the user's key put in place."""
        self._relay = relay
        self._admission.begin()

    # --- bytes of ssh -------------------------------------------------------------------------------------------------

    def watch(self, poller: PollSet) -> None:
        """Wait for ssh's bytes while there is room for them, and for ssh to read while output waits."""
        local = self._local
        if local.ended:
            poller.forget(local.stdin)
        else:
            poller.watch(local.stdin, READ if self._wants_input() else 0)
        poller.watch(local.stdout, WRITE if local.backlog else 0)
        if self._gate.open:
            self._background.watch(poller)

    def _wants_input(self) -> bool:
        if self._relay.state is LINGERING:
            return True
        if not self._gate.banner_seen:
            return self._retry.room > 0
        return self._relay.link.channel.room() > 0

    def on_ready(self, ready: Mapping[int, int], now: float) -> None:
        """Pass ssh's bytes on; close when it has gone."""
        local = self._local
        self._background.on_ready(ready)
        stdin, stdout = ready.get(local.stdin, 0), ready.get(local.stdout, 0)
        if stdin:
            self._on_input(stdin, stdout, now)
        if not stdout or self._relay.state is CLOSING:
            return
        if stdout & WRITE:
            local.flush()
        elif stdout & GONE:
            local.broken = True
        if local.broken:
            self._log.debug("ssh reads no more")
            self._relay.close(now)

    def _on_input(self, mask: int, stdout: int, now: float) -> None:
        local, relay = self._local, self._relay
        if mask & GONE and not self._wants_input():
            # ssh is gone, and what it left cannot be taken now. In an open session there will be room again.
            if relay.state is not ONLINE or stdout & BROKEN:
                relay.close(now)
            return
        if relay.state is LINGERING:
            local.read(MOST_REPLAY)
            if local.ended:
                relay.close(now)
            return
        gate, channel = self._gate, relay.link.channel
        room = channel.room() if gate.banner_seen else self._retry.room
        if room <= 0:
            return
        data = local.read(room)
        if data:
            if gate.open:
                self._login.sent(len(data), now)
            elif not self._greeted(data, now):
                return
            channel.send(data, now)
        elif local.ended:
            self._log.debug("ssh has closed its end")
            relay.close(now)

    def _greeted(self, data: bytes, now: float) -> bool:
        """Look at the client's bytes before the login, and keep them for another session."""
        try:
            self._gate.feed_client(data)
        except ProtocolError as error:
            self._relay.fail(error, now)
            return False
        if not self._gate.banner_seen:
            self._retry.keep(data)
        library = self._service.library = client_library.library(self._gate.client_version)
        self._login.asks_first = not client_library.offers_keys_at_once(library)
        return True

    # --- what the session brings --------------------------------------------------------------------------------------

    def on_output(self, data: bytes, now: float) -> None:
        """Pass output through the gate. Raises ProtocolError for what cannot be SSH."""
        gate = self._gate
        self._pass(data if gate.open else self._admission.heard(data, now), now)
        if gate.open:
            self._login.heard(len(data), now)

    def _pass(self, data: bytes, now: float) -> None:
        if data:
            self._retry.forget()
            self._local.write(data)
            if self._local.broken:
                self._relay.close(now)

    def on_event(self, event: Event, now: float) -> None:
        """Log the session's stderr, show notices."""
        if isinstance(event, Notice):
            self._notify(event.text)
        elif isinstance(event, StdErr):
            self._log.foreign(f"stderr: {event.data[:_MOST_STDERR].decode('utf-8', 'replace')}")
        elif isinstance(event, ConnectFailed) and not self._port_closed:
            self._port_closed = True
            self._notify("The agent could not connect to the port on the instance")
        elif isinstance(event, Established):
            self._log.debug(f"handshake complete, agent {event.agent_version}")

    def on_not_connected(self, error: BaseException, now: float) -> None:
        """Wait a moment for what another call says of the same cause."""
        self._admission.failed(error, now)

    def on_unanswered(self, verdict: str, now: float) -> None:
        """Fail: sshd always reads, so END is the only verdict."""
        clock = self._relay.link.unanswered
        self._relay.fail(self._service.explain_unanswered(clock.waited, unfinished=clock.unfinished), now)

    def on_signal(self, number: int, now: float) -> None:
        """Close. A Ctrl-C also reaches the tunnel of an ssh in the background (ControlPersist, -f), which lives on."""
        from ssm_ssh.relay.signals import HANGUP, INTERRUPT, TERMINATE, name_of

        self._log.info(f"signal {name_of(number)}")
        usual = number == TERMINATE and client_library.ends_by_signal(self._service.library)
        self._login.interrupted |= number != HANGUP and not usual  # with HUP ssh ends its proxy whenever it ends
        if number == INTERRUPT and self._gate.open:
            self._interrupted_at = now
        else:
            self._relay.close(now)

    # --- time ---------------------------------------------------------------------------------------------------------

    def on_time(self, now: float) -> None:
        """Do what is due."""
        relay = self._relay
        if self._interrupted_at is not None and now >= self._interrupted_at + _INTERRUPT_GRACE:
            self._interrupted_at = None
            if self._local.client_is_parent():
                relay.close(now)
                return
        if not self._gate.open:
            try:
                self._pass(self._admission.settle(now), now)
            except ProtocolError as error:
                relay.fail(error, now)
            if relay.state in (LINGERING, CLOSING):
                return
        refusal = self._admission.verdict(now, opening=relay.link.busy)
        if refusal is not None:
            relay.fail(refusal, now)
        elif relay.state is ENDED:
            self._on_ended(now)
        elif self._gate.open:
            self._background.look()
            self._notices.look_at_outage(now, online=relay.state is ONLINE, openssh=self._admission.client_is_openssh)
        else:
            self._watch_login(now)

    def timer(self, now: float) -> float | None:
        """Return when something may be due."""
        opened = self._gate.open
        times: list[float | None] = [] if opened else list(self._admission.timers())
        if self._interrupted_at is not None:
            times.append(self._interrupted_at + _INTERRUPT_GRACE)
        ended = self._relay.ended
        if ended is not None:
            leave = ended[1] + _LEAVE
            times.append(leave if now < leave else None)
        elif opened:
            times += [self._notices.outage_timer(), self._background.timer(now, self._login.last)]
        else:
            times.append(self._watch.timer)
        return min((time for time in times if time is not None), default=None)

    def _watch_login(self, now: float) -> None:
        link = self._relay.link
        verdict = self._watch.look(now, link, self._gate)
        if verdict == login_wait.TELL:
            self._notify(self._watch.sentence())
        elif verdict:
            self._relay.fail(self._watch.error(verdict, link.last_error), now)

    def _on_ended(self, now: float) -> None:
        """Decide how to end once ssh has read everything: with what error, or with another session."""
        ended, gate, relay = self._relay.ended, self._gate, self._relay
        if ended is None or self._local.backlog:
            return
        reason, since = ended
        if gate.held:
            why = f": {printable(reason)}" if reason else ""
            waits_for = self._admission.waits_for
            relay.fail(SessionEnded(f"sshd ended the connection while {waits_for}{why}", "Try again"), now)
        elif gate.banner_seen:
            if reason:
                relay.fail(SessionEnded(f"the session was ended: {printable(reason)}"), now)
            elif now >= since + _LEAVE:
                relay.fail(self._service.explain_outside(), now)
        elif not relay.link.channel.established:  # that was the agent, and it would do the same again
            relay.fail(self._service.explain_no_session(reason), now)
        elif self._service.refused_by_sshd(reason) and (delay := self._retry.next_delay()) is not None:
            self._log.info(
                f"sshd refused ({printable(gate.preface) or 'without a word'}), next attempt in {delay:.1f} s"
            )
            relay.renew(now + delay, self._retry.kept, now)
            self._watch.restart(now)
            self._admission.start_over(self._retry.kept)
        else:
            relay.fail(self._service.explain_end(gate.preface or reason), now)

    # --- the end ------------------------------------------------------------------------------------------------------

    def explain(self, error: SsmSshError) -> bool:
        """Tell the user inside SSH, or after the login on stderr; returns whether ssh needs time to read it."""
        self._service.cancel()
        return self._notices.explain(error, self._admission)

    def detach(self, poller: PollSet) -> None:
        """Let everything inherited from ssh go."""
        if self._gate.open and self._service.library and self._login.looks_refused:
            error = self._service.explain_refused_login()
            self._notices.refused(error, shown=client_library.shows_stderr(self._service.library))
        self._service.cancel()
        poller.forget(self._local.stdin)
        poller.forget(self._local.stdout)
        self._background.stop(poller)
        self._log.release_stderr()
        self._local.detach()

    def finish(self, status: int) -> None:
        """Record how the login looked, and the last error."""
        if self._gate.open and not status:
            self._service.ended(self._login)
        self._notices.finish()

    def _notify(self, text: str) -> None:
        self._notices.notify(text, self._admission)
