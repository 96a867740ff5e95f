"""The one loop: file descriptors <-> channel <-> transport; signals, reconnecting, and a clean end.

One thread moves every byte. Whatever can block (opening, resuming, terminating) runs in a task beside it, so that
the end of ssh is noticed at any moment, also before there is a session and while the network is away.

    opening --> open <--> offline
       |          |          |
       `----------+----------+--> lingering --> closing --> over

In `lingering` an error has been said inside SSH, and ssh is given the time to read it.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from ssm_ssh.channel.events import Closed, Established, Notice, Output, Refused, StdErr
from ssm_ssh.errors import HostKeyChanged, NetworkError, ProtocolError, SessionEnded, SessionGone, SsmSshError
from ssm_ssh.relay import outage_notice, unanswered
from ssm_ssh.relay.backoff import Backoff
from ssm_ssh.relay.keepalive import Keepalive
from ssm_ssh.relay.outage_notice import Outage
from ssm_ssh.relay.poller import BROKEN, GONE, READ, WRITE, Poller
from ssm_ssh.relay.reconnect import Reconnect
from ssm_ssh.relay.stdio import in_foreground, tell
from ssm_ssh.relay.tasks import Task, Waker
from ssm_ssh.ssh.disconnect import disconnect
from ssm_ssh.text import LIMIT, describe_unexpected, printable
from ssm_ssh.tunnel import login_wait
from ssm_ssh.tunnel.admission import Admission
from ssm_ssh.tunnel.login_outcome import LoginOutcome
from ssm_ssh.tunnel.shutdown import Shutdown
from ssm_ssh.tunnel.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Callable

    from ssm_ssh.channel.session import Channel
    from ssm_ssh.log import Log
    from ssm_ssh.relay.stdio import StandardStreams
    from ssm_ssh.ssh.gate import Gate
    from ssm_ssh.transport.websocket import WebSocket
    from ssm_ssh.tunnel.service import Session, TunnelService


# What may wait for ssh before reading from the gateway stops.
_MOST_BACKLOG = 256 * 1024
# What may wait in the transport before the channel is asked for more: two TLS records' worth of batching, small enough
# that nothing ages there.
_MOST_UNSENT = 128 * 1024
# What ssh may say before the server has spoken: its banner. It is kept, to be said again to another session.
_MOST_REPLAY = 64 * 1024
# sshd's MaxStartups refuses at random; ten attempts with doubling delays let a hundred connections through.
_ATTEMPTS = 10
# Bytes of one piece of the session's stderr that are looked at for the log.
_MOST_STDERR = 8192
# As long as nothing has been passed on, somebody waits for a prompt: then a connection is given up sooner.
_FIRST_LIMIT = 30.0
# How long ssh may take to read an error: if we were gone before, it would report a broken pipe instead.
_LINGER = 2.0
# How long ssh may take to end by itself when the session has ended without a reason: it does so at once where sshd has
# said goodbye, and never where the session was ended from outside.
_LEAVE = 2.0
# What TerminateSession may take: for a session that another has followed, and behind an error that nobody foresaw.
_TERMINATE, _TERMINATE_LAST = 10.0, 2.0
# ssh dies of the same Ctrl-C within a millisecond, unless it had left the terminal.
_INTERRUPT_GRACE = 0.2


class Relay:
    """Moves one SSH stream from `streams` through a channel and back; `run` returns the exit status."""

    def __init__(
        self,
        service: TunnelService,
        streams: StandardStreams,
        make_channel: Callable[[], Channel],
        log: Log,
        *,
        resume_limit: float = 900.0,
        random: Callable[[], float],
    ) -> None:
        self._service = service
        self._streams = streams
        self._make_channel = make_channel
        self._log = log
        self._state = "opening"
        self._status = 0
        self._waker = Waker()
        self._channel = make_channel()
        self._admission = Admission(service, self._waker, log, self._notify)
        self._login = LoginOutcome()
        self._replay = bytearray()
        self._socket: WebSocket | None = None
        self._parent = os.getppid()
        self._attempts = 0
        self._attempt_at: float | None = None
        self._retry = Backoff(0.25, 8.0, random)
        self._resume_limit = resume_limit
        self._reconnect = Reconnect(min(resume_limit, _FIRST_LIMIT), random)
        self._progress_before = 0
        self._ended: tuple[str, float] | None = None
        self._last_words: tuple[str, bool] | None = None
        self._outage = Outage()
        self._session: Session | None = None
        self._starting: Task[Session] | None = None
        self._opening: Task[WebSocket] | None = None
        self._shutdown: Shutdown | None = None
        self._lingering_since = 0.0
        self._interrupted_at: float | None = None
        self._poller = Poller()
        now = time.monotonic()
        self._keepalive = Keepalive(now, time.time())
        self._watch = Watch(service, now)

    @property
    def _gate(self) -> Gate:
        return self._admission.gate

    # --- the loop -----------------------------------------------------------------------------------------------------

    def run(self) -> int:
        """Move bytes until ssh or the session ends; returns 0, or 1 where an error was said."""
        from ssm_ssh.relay.signals import catching

        with catching(self._waker):
            self._open()  # first, for it has the longest way to go
            self._admission.begin()
            try:
                while self._state != "over":
                    self._turn()
            except Exception as error:
                self._crashed(error)
        if self._socket is not None:
            self._socket.close()
        if self._gate.open and not self._status:
            self._service.ended(self._login)
        if self._last_words is not None:
            self._service.record_end(self._last_words[0], told=self._last_words[1])
        return self._status

    def _turn(self) -> None:
        ready = self._wait()
        now = time.monotonic()
        self._on_signals(ready, now)
        self._on_tasks(now)
        self._on_input(ready, now)
        self._on_socket(ready, now)
        self._on_output(ready, now)
        self._pump(now)  # first, for a keystroke waits for it
        state = self._state
        self._on_time(now)
        if self._state != state:
            self._pump(now)

    def _wait(self) -> dict[int, int]:
        self._poller.watch(self._waker.fd, READ)
        if self._state != "closing":
            if self._streams.ended:
                self._poller.forget(self._streams.stdin)
            else:
                self._poller.watch(self._streams.stdin, READ if self._wants_input() else 0)
            self._poller.watch(self._streams.stdout, WRITE if self._streams.backlog else 0)
        socket = self._socket
        pending = False
        if socket is not None:
            wants = 0
            if self._streams.backlog < _MOST_BACKLOG and self._ended is None:
                wants |= READ
                pending = socket.has_pending()
            if socket.wants_write:
                wants |= WRITE
            self._poller.watch(socket.fileno(), wants)
        ready = self._poller.wait(0.0 if pending else self._next_time() - time.monotonic())
        if pending and socket is not None:
            ready[socket.fileno()] = ready.get(socket.fileno(), 0) | READ
        return ready

    def _wants_input(self) -> bool:
        if self._state == "lingering":
            return True
        if not self._gate.banner_seen:
            return len(self._replay) < _MOST_REPLAY
        return self._channel.room() > 0

    def _next_time(self) -> float:
        now = time.monotonic()
        times = [now + 5.0]  # also how often the two clocks are compared
        if self._state == "open":
            times.append(self._keepalive.timer(self._waiting))
            timer = self._channel.timer()
            if timer is not None and self._socket is not None and self._socket.backlog < _MOST_UNSENT:
                times.append(timer)  # else the channel is not asked before the transport has room
        if self._state == "lingering":
            return min(*times, self._lingering_since + _LINGER)
        if self._state == "closing":
            return now + 0.05
        others = [self._attempt_at, self._reconnect.timer()]
        if self._ended is None:
            others += [self._outage.timer(), self._watch.timer(self._gate, self._channel)]
        elif now < self._ended[1] + _LEAVE:
            others.append(self._ended[1] + _LEAVE)
        times += [time for time in others if time is not None]
        if not self._gate.open:
            times += self._admission.timers()
        if self._interrupted_at is not None:
            times.append(self._interrupted_at + _INTERRUPT_GRACE)
        return min(times)

    # --- what can happen ----------------------------------------------------------------------------------------------

    def _on_signals(self, ready: dict[int, int], now: float) -> None:
        if not ready.get(self._waker.fd):
            return
        from ssm_ssh.relay.signals import HANGUP, INTERRUPT, name_of

        for number in self._waker.drain():
            if not number or self._state == "closing":
                continue
            self._log.info(f"signal {name_of(number)}")
            self._login.interrupted |= number != HANGUP  # with that ssh ends its proxy whenever it ends
            if number == INTERRUPT and self._gate.open:
                # Ctrl-C reaches the whole process group, and with it the tunnel of an ssh that has gone into the
                # background (ControlPersist, -f) and wants to live on.
                self._interrupted_at = now
            else:
                self._close(now)

    def _on_tasks(self, now: float) -> None:
        starting, opening = self._starting, self._opening
        if starting is not None and starting.done:
            self._starting = None
            if starting.error is None:
                self._started(starting.result)
            else:
                self._not_connected(starting.error, now)
        if opening is not None and opening.done:
            self._opening = None
            if opening.error is None:
                self._connected(opening.result, now)
            else:
                self._not_connected(opening.error, now)
        if self._gate.open or self._state in ("lingering", "closing"):
            return
        try:
            data = self._admission.settle(now)
        except ProtocolError as error:
            self._fail(error, now)
            return
        if data:
            self._reconnect.limit = self._resume_limit
            self._pass(data, now)

    def _on_input(self, ready: dict[int, int], now: float) -> None:
        if self._state == "closing":
            return
        event = ready.get(self._streams.stdin, 0)
        if event & GONE and not self._wants_input():
            # ssh is gone and what it left cannot be taken now: a tunnel that still moves will, another never may.
            if self._state != "open" or self._ended is not None or ready.get(self._streams.stdout, 0) & BROKEN:
                self._close(now)
            return
        if not event:
            return
        if self._state == "lingering":
            self._streams.read(_MOST_REPLAY)
            if self._streams.ended:
                self._close(now)
            return
        room = _MOST_REPLAY - len(self._replay) if not self._gate.banner_seen else self._channel.room()
        if room <= 0:
            return
        data = self._streams.read(room)
        if data:
            if not self._gate.open:
                try:
                    self._gate.feed_client(data)
                except ProtocolError as error:
                    self._fail(error, now)
                    return
                if not self._gate.banner_seen:
                    self._replay += data
            else:
                self._login.sent(len(data), now)
            self._channel.send(data, now)
        elif self._streams.ended:
            self._log.debug("ssh has closed its end")
            self._close(now)

    def _on_socket(self, ready: dict[int, int], now: float) -> None:
        socket = self._socket
        mask = ready.get(socket.fileno(), 0) if socket is not None else 0
        if socket is None or not mask:
            return
        try:
            if mask & WRITE:
                socket.flush()
            if mask & ~WRITE:
                frames = socket.receive()
                self._keepalive.heard(now)
                output: list[bytes] = []
                for frame in frames:
                    for event in self._channel.receive(frame, now):
                        if isinstance(event, Output):
                            output.append(event.data)
                        else:
                            self._on_event(event, now)
                if output and self._state == "open":
                    data = b"".join(output)
                    self._pass(self._admission.heard(data, now), now)
                    if self._gate.open:
                        self._login.heard(len(data), now)
        except NetworkError as error:
            self._lost(error, now)
        except ProtocolError as error:
            self._fail(error, now)

    def _on_event(self, event: object, now: float) -> None:
        if isinstance(event, Closed):
            self._log.info(f"the session was closed: {event.reason or 'no reason given'}")
            self._ended = (event.reason, now)
        elif isinstance(event, Notice):
            self._notify(event.text)
        elif isinstance(event, StdErr):
            self._log.foreign(f"stderr: {event.data[:_MOST_STDERR].decode('utf-8', 'replace')}")
        elif isinstance(event, Established):
            self._log.debug(f"handshake complete, agent {event.agent_version}")
        elif isinstance(event, Refused):
            self._fail(event.error, now)

    def _on_output(self, ready: dict[int, int], now: float) -> None:
        event = ready.get(self._streams.stdout, 0)
        if self._state == "closing" or not event:
            return
        if event & WRITE:
            self._streams.flush()
        elif event & GONE:
            self._streams.broken = True
        if self._streams.broken:
            self._log.debug("ssh reads no more")
            self._close(now)

    def _on_time(self, now: float) -> None:
        if self._state == "closing":
            connected, starting = self._socket is not None, self._starting is not None
            if self._shutdown is None or self._shutdown.over(
                self._session, self._channel, now, connected=connected, starting=starting
            ):
                self._state = "over"
            return
        if self._state == "lingering":
            if now >= self._lingering_since + _LINGER:
                self._close(now)
            return
        if self._interrupted_at is not None and now >= self._interrupted_at + _INTERRUPT_GRACE:
            self._interrupted_at = None
            if os.getppid() == self._parent:
                self._close(now)
                return
        error = self._admission.verdict(now, opening=self._busy)
        if error is not None:
            self._fail(error, now)
            return
        if self._ended is not None and not self._streams.backlog:
            self._session_over(*self._ended, now)
            return
        self._watch_over(now)
        if self._state == "open" and self._socket is not None:
            self._check_peer(self._socket, now)
        given_up = self._reconnect.exhausted(now)
        if given_up is not None:
            self._fail(given_up, now)
        elif self._session is not None and not self._busy and self._reconnect.take(now):
            session, channel = self._session, self._channel
            self._opening = Task(lambda: session.resume(channel), self._waker)
        elif not self._busy and self._attempt_at is not None and now >= self._attempt_at:
            self._attempt_at = None
            self._open()

    def _watch_over(self, now: float) -> None:
        socket = self._socket
        incomplete = socket is not None and socket.incomplete
        verdict = self._watch.look(
            now,
            self._channel,
            self._gate,
            session=self._session is not None,
            online=socket is not None,
            incomplete=incomplete,
        )
        if verdict == login_wait.TELL:
            self._notify(self._watch.sentence())
        elif verdict == unanswered.PROBE:
            self._channel.probe()
            self._pump(now)
        elif verdict == unanswered.RESUME:
            self._lost(NetworkError("nothing is acknowledged any more"), now)
        elif verdict == unanswered.RENEW:
            self._start_over(now, now)
        elif verdict:
            self._fail(self._watch.error(verdict, self._reconnect.last), now)
        if self._gate.open:
            self._look_absent(now)

    def _look_absent(self, now: float) -> None:
        told = self._outage.look(now, online=self._state == "open")
        if not told:
            return
        lost = told == outage_notice.TELL
        line = outage_notice.lost_sentence(self._resume_limit) if lost else "the connection is back"
        self._log.info(line)
        Task(lambda: self._service.record_outage(lost), self._waker)
        openssh, foreground = self._admission.client_is_openssh, os.getppid() == self._parent
        if outage_notice.may_interject(openssh=openssh, foreground=foreground, terminal=in_foreground()):
            self._say(f"ssm-ssh: {line}")

    @property
    def _waiting(self) -> bool:
        """Something is awaited from the other side, so that its silence means more."""
        return self._channel.unacknowledged > 0 or not self._gate.open

    def _check_peer(self, socket: WebSocket, now: float) -> None:
        waiting = self._waiting
        self._keepalive.clock(now, time.time())
        if self._streams.backlog >= _MOST_BACKLOG:
            self._keepalive.heard(now)  # it is we who do not listen
        elif self._keepalive.dead(now):
            self._lost(NetworkError("the gateway does not answer any more"), now)
        elif self._keepalive.ping_due(now, waiting):
            try:
                socket.ping(b"")
            except NetworkError as error:
                self._lost(error, now)

    def _pump(self, now: float) -> None:
        socket = self._socket
        if socket is None or self._state not in ("open", "closing"):
            return
        try:
            while (budget := _MOST_UNSENT - socket.backlog) > 0:
                frames = self._channel.frames(now, budget)
                if frames:
                    socket.send(frames)
                if sum(map(len, frames)) < budget:  # that was all
                    break
        except NetworkError as error:
            self._lost(error, now)

    # --- the connection -----------------------------------------------------------------------------------------------

    @property
    def _busy(self) -> bool:
        """Whether a session is being started or connected to."""
        return self._starting is not None or self._opening is not None

    def _open(self) -> None:
        self._attempts += 1
        self._starting = Task(self._service.start, self._waker)

    def _started(self, session: Session) -> None:
        self._session = session
        if self._state not in ("lingering", "closing"):
            channel = self._channel
            self._opening = Task(lambda: session.connect(channel), self._waker)

    def _connected(self, socket: WebSocket, now: float) -> None:
        if self._state in ("lingering", "closing"):
            socket.close()
            return
        self._log.debug("connected")
        self._socket = socket
        self._state = "open"
        self._reconnect.connected()
        self._progress_before = self._channel.progress
        self._keepalive = Keepalive(now, time.time())
        self._channel.connected(now)

    def _not_connected(self, error: BaseException, now: float) -> None:
        if self._state in ("lingering", "closing"):
            return
        before = self._reconnect.last
        if isinstance(error, SsmSshError) and self._session is not None and self._reconnect.failed(now, error):
            self._log.info(f"not connected: {error.sentence()}")
        elif isinstance(error, SessionGone) and before is not None and not self._gate.open:
            self._admission.failed(before, now)  # the session has ended because of it
        else:
            self._admission.failed(error, now)

    def _lost(self, error: SsmSshError, now: float) -> None:
        if self._socket is not None:
            self._poller.forget(self._socket.fileno())
            self._socket.close()
            self._socket = None
        if self._state in ("lingering", "closing"):
            return
        self._log.info(f"connection lost: {error.sentence()}")
        self._channel.disconnected(self._keepalive.last_heard)
        if self._ended is not None:
            return
        self._state = "offline"
        self._reconnect.lost(now, error, self._channel.progress - self._progress_before)

    def _pass(self, data: bytes, now: float) -> None:
        if data:
            self._replay.clear()
            self._streams.write(data)
            if self._streams.broken:
                self._close(now)

    # --- the end ------------------------------------------------------------------------------------------------------

    def _session_over(self, reason: str, since: float, now: float) -> None:
        if self._gate.held:
            why = f": {printable(reason)}" if reason else ""
            self._fail(
                SessionEnded(f"sshd ended the connection while {self._admission.waits_for}{why}", "Try again"), now
            )
            return
        if self._gate.banner_seen:
            if reason:
                self._fail(SessionEnded(f"the session was ended: {printable(reason)}"), now)
            elif now >= since + _LEAVE:
                self._fail(self._service.explain_outside(), now)
            return
        if not self._channel.established:  # that was the agent, and it would do the same again
            self._fail(self._service.explain_no_session(reason), now)
            return
        said = self._gate.said
        if self._attempts < _ATTEMPTS and self._service.refused_by_sshd(reason):
            delay = self._retry.delay()
            self._log.info(f"sshd refused ({printable(said) or 'without a word'}), next attempt in {delay:.1f} s")
            self._start_over(now + delay, now)
        else:
            self._fail(self._service.explain_end(said or reason), now)

    def _start_over(self, when: float, now: float) -> None:
        old, self._session = self._session, None
        if old is not None:
            Task(lambda: old.terminate(_TERMINATE), self._waker)
        if self._socket is not None:
            self._poller.forget(self._socket.fileno())
            self._socket.close()
            self._socket = None
        self._ended = None
        self._watch.restart(now)
        self._state = "opening"
        self._channel = self._make_channel()
        self._channel.send(bytes(self._replay), now)
        self._admission.start_over(bytes(self._replay))
        self._attempt_at = when

    def _fail(self, error: SsmSshError, now: float) -> None:
        if self._state in ("lingering", "closing"):
            return
        self._status = 1
        sentence = error.sentence()
        self._log.info(f"error: {sentence}")
        if self._gate.open:
            # asyncssh takes stderr for stream data, and an ssh in the background has left its terminal to others.
            may = self._admission.client_is_openssh and os.getppid() == self._parent
            self._last_words = (sentence, may and self._say(f"ssm-ssh: {sentence}"))
            self._close(now)
            return
        shown = b""
        if isinstance(error, HostKeyChanged):
            # ssh warns of it in its own words and ends. Where it was told not to (StrictHostKeyChecking no), it goes on
            # to the server's NEWKEYS and finds this in their place.
            self._notify(error.sentence(LIMIT))
            shown = self._gate.show()
        self._streams.write(shown + disconnect(sentence, begun=self._gate.banner_seen))
        self._state = "lingering"
        self._lingering_since = now
        self._service.cancel()
        if self._streams.ended or self._streams.broken:
            self._close(now)

    def _notify(self, text: str) -> None:
        """Say a notice, where stderr is still ours: until the banner, and for OpenSSH until the login begins.

        Afterwards it belongs to the SSH session, and asyncssh takes it for a part of the stream from the banner on.
        """
        if not text:
            return
        self._log.info(f"notice: {text}")
        if not self._gate.open and (self._admission.client_is_openssh or not self._gate.banner_seen):
            self._say(f"ssm-ssh: {printable(text, 2 * LIMIT)}")

    def _crashed(self, error: Exception) -> None:
        """End all the same after an error that nobody foresaw: ssh is told, and no session is left behind."""
        self._log.failure(error)
        self._status = 1
        sentence = f"unexpected error: {printable(describe_unexpected(error))}. The log has more"
        if self._gate.open:
            self._say(f"ssm-ssh: {sentence}")
        else:
            self._streams.write(disconnect(sentence, begun=self._gate.banner_seen))
        self._streams.detach()
        self._service.cancel()
        if self._session is not None:
            try:
                self._session.terminate(_TERMINATE_LAST)
            except SsmSshError as failure:
                self._log.info(f"not terminated: {failure.sentence()}")

    def _say(self, line: str) -> bool:
        told = tell(line.encode("ascii") + b"\r\n")
        if not told:
            self._log.info("not said: stderr takes nothing")
        return told

    def _close(self, now: float) -> None:
        if self._state == "closing":
            return
        self._state = "closing"
        self._shutdown = Shutdown(self._waker, self._log, now)
        self._poller.forget(self._streams.stdin)
        self._poller.forget(self._streams.stdout)
        self._streams.detach()
        self._service.cancel()
        self._channel.terminate(now)
