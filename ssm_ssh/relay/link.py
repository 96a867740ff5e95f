"""The link to one session: its channel and socket, the tasks that open and resume them, and their clocks.

The link does not know what the session is for. Bytes go in through `channel.send`; `receive` yields output and the
channel's other events. `collect` and `try_again` report the error that ends it, `look` what is not acknowledged.
A lost connection is a NetworkError of `receive` or `look`; the loop answers with `lost`.
"""

from __future__ import annotations

from ssm_ssh.channel.events import KeyRequest, Output
from ssm_ssh.errors import NetworkError, SessionGone, SsmSshError
from ssm_ssh.relay import unanswered
from ssm_ssh.relay.keepalive import Keepalive
from ssm_ssh.relay.reconnect import Reconnect
from ssm_ssh.relay.unanswered import Unanswered
from ssm_ssh.startup import TYPE_CHECKING
from ssm_ssh.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable

    from ssm_ssh.channel.encryption import DataKey
    from ssm_ssh.channel.events import Event
    from ssm_ssh.channel.session import Channel
    from ssm_ssh.log import Log
    from ssm_ssh.relay.environment import Clock, PollSet, RunningTask, Session, Socket, Tasks

# What may wait in the transport before the channel is asked for more: two TLS records' worth of batching, small enough
# that nothing ages there.
MOST_UNSENT = 128 * 1024
# Until the session has begun, a person waits for a prompt: then a connection is given up sooner.
FIRST_LIMIT = 30.0
# Seconds for TerminateSession of a session that another one follows.
_TERMINATE = 10.0
# Seconds between two looks at what is unanswered: its clocks count tens of seconds, and a look costs more than a
# message.
_INTERVAL = 0.5


class Link:
    """One session at a time, and at most one connection to it."""

    def __init__(
        self,
        open_session: Callable[[], Session],
        make_channel: Callable[[], Channel],
        *,
        clock: Clock,
        tasks: Tasks,
        poller: PollSet,
        log: Log,
        random: Callable[[], float],
        resume_limit: float = 900.0,
        back_pressure: bool = False,
    ) -> None:
        """Start nothing yet.

        `open_session` blocks and raises SsmSshError. `resume_limit`: seconds for which a lost connection is looked for.
        `back_pressure`: the other end may be slow to read (see `unanswered`).
        """
        self._open_session = open_session
        self._make_channel = make_channel
        self._clock = clock
        self._tasks = tasks
        self._poller = poller
        self._log = log
        self._random = random
        self._resume_limit = resume_limit
        self._back_pressure = back_pressure
        self.channel = make_channel()
        self.session: Session | None = None
        self.socket: Socket | None = None
        self.begun = False
        """Whether the session serves its purpose: before, the handler decides how long each step may take."""
        self._starting: RunningTask[Session] | None = None
        self._connecting: RunningTask[Socket] | None = None
        # A data key that is being made, and the challenge that it was asked for with.
        self._key: tuple[RunningTask[DataKey], str] | None = None
        self._start_at: float | None = None
        self._progress_before = 0
        now = clock.monotonic()
        self._look_at = now
        self._reconnect = Reconnect(min(resume_limit, FIRST_LIMIT), random)
        self._keepalive = Keepalive(now, clock.wall())
        self.unanswered = Unanswered(now, back_pressure=back_pressure)

    @property
    def opening(self) -> bool:
        """Whether a session is being started, so that its id is not known yet."""
        return self._starting is not None

    @property
    def busy(self) -> bool:
        """Whether a session or a connection is being opened."""
        return self._starting is not None or self._connecting is not None

    @property
    def last_error(self) -> SsmSshError | None:
        """The last break or failed attempt."""
        return self._reconnect.last

    def open(self) -> None:
        """Start a session; `collect` goes on from there."""
        self._starting = self._tasks.start(self._open_session)

    def renew(self, at: float, data: bytes, now: float) -> None:
        """Give this session up and start another at `at`, whose first bytes are `data`."""
        old = self.session
        if old is not None:
            self._tasks.start(lambda: old.terminate(_TERMINATE))
        self.drop()
        self.session = None
        self._key = None
        self._reconnect = Reconnect(min(self._resume_limit, FIRST_LIMIT), self._random)
        self.unanswered = Unanswered(now, back_pressure=self._back_pressure)
        self.channel = self._make_channel()
        self.channel.send(data, now)
        self._start_at = at

    def begin(self) -> None:
        """Note that the session serves its purpose: from now on its loss is worth patience."""
        self.begun = True
        self._reconnect.limit = self._resume_limit
        if self.session is not None:
            self._tasks.start(self.session.guard)

    # --- connecting ---------------------------------------------------------------------------------------------------

    def collect(self, now: float, *, stopping: bool) -> BaseException | None:
        """Take the results of tasks that are done; returns the error that another attempt would not change.

        `stopping`: no further connection is wanted.
        """
        starting = self._starting
        if starting is not None and starting.done:
            self._starting = None
            if starting.error is not None:
                return starting.error
            session = self.session = starting.result
            if not stopping:
                self._connect(session.connect)
        connecting = self._connecting
        if connecting is not None and connecting.done:
            self._connecting = None
            if stopping:
                if connecting.error is None:
                    connecting.result.close()
            elif connecting.error is not None:
                return self._not_connected(connecting.error, now)
            else:
                self._connected(connecting.result, now)
        if self._key is not None and self._key[0].done:
            return self._take_key()
        return None

    def _take_key(self) -> BaseException | None:
        """Answer the agent's request for a data key; returns the error where there is none."""
        assert self._key is not None
        (making, challenge), self._key = self._key, None
        error = making.error
        if error is None:
            self.channel.use_key(making.result, challenge)
            return None
        refusal = error if isinstance(error, SsmSshError) else SsmSshError("there is no data key")
        self.channel.refuse_key(refusal)
        return error

    def try_again(self, now: float) -> NetworkError | None:
        """Make the attempt that is due; returns the error when the time for attempts is over."""
        given_up = self._reconnect.exhausted(now)
        if given_up is None and not self.busy:
            if self.session is not None and self._reconnect.take(now):
                self._connect(self.session.resume)
            elif self._start_at is not None and now >= self._start_at:
                self._start_at = None
                self.open()
        return given_up

    def _connect(self, connect: Callable[[Channel], Socket]) -> None:
        channel = self.channel
        self._connecting = self._tasks.start(lambda: connect(channel))

    def _connected(self, socket: Socket, now: float) -> None:
        self._log.debug("connected")
        self.socket = socket
        self._reconnect.connected()
        self._progress_before = self.channel.progress
        self._keepalive = Keepalive(now, self._clock.wall())
        self.channel.connected(now)

    def _not_connected(self, error: BaseException, now: float) -> BaseException | None:
        before = self._reconnect.last
        if isinstance(error, SsmSshError) and self._reconnect.failed(now, error):
            self._log.info(f"not connected: {error.sentence()}")
            return None
        if isinstance(error, SessionGone) and before is not None and not self.begun:
            return before  # the session has ended because of it
        return error

    # --- the connection -----------------------------------------------------------------------------------------------

    def receive(self, now: float) -> list[Event]:
        """Return what has arrived, in order, adjacent output as one event. Raises NetworkError, ProtocolError."""
        events: list[Event] = []
        if self.socket is None:
            return events
        frames = self.socket.receive()
        self._keepalive.heard(now)
        receive = self.channel.receive
        output: list[bytes] = []
        for frame in frames:
            for event in receive(frame, now):
                if isinstance(event, Output):
                    output.append(event.data)
                    continue
                if isinstance(event, KeyRequest):
                    self._make_key(event)
                    continue
                if output:
                    events.append(Output(b"".join(output)))
                    output.clear()
                events.append(event)
        if output:
            events.append(Output(b"".join(output)))
        return events

    def _make_key(self, request: KeyRequest) -> None:
        session = self.session
        assert session is not None
        self._log.debug(f"the agent asks for a data key of {printable(request.key_id, 120)}")
        self._key = (self._tasks.start(lambda: session.data_key(request)), request.challenge)

    def pump(self, now: float) -> None:
        """Send what is due, as far as the transport takes it. A broken connection shows in `receive`."""
        socket = self.socket
        if socket is None:
            return
        while (budget := MOST_UNSENT - socket.backlog) > 0:
            frames = self.channel.frames(now, budget)
            if frames:
                socket.send(frames)
            if sum(map(len, frames)) < budget:  # that was all
                break

    def look(self, now: float, *, listening: bool) -> str:
        """Ask the clocks; returns END, TELL or ASK of `unanswered` where the handler has to decide, else "".

        `listening`: what arrives is read, so that silence means something. Raises NetworkError for a connection that
        is as good as lost.
        """
        socket, channel = self.socket, self.channel
        verdict = unanswered.WAIT
        if self.begun and now >= self._look_at:
            self._look_at = now + _INTERVAL
            verdict = self.unanswered.look(
                now,
                online=socket is not None,
                acknowledged=channel.acknowledged,
                received=channel.received,
                waiting=channel.unacknowledged > 0,
                incomplete=socket is not None and socket.incomplete,
                away=channel.away,
            )
            if verdict == unanswered.RESUME:
                raise NetworkError("nothing is being acknowledged")
            if verdict == unanswered.PROBE:
                channel.probe()
                self.pump(now)
                verdict = unanswered.WAIT
        if socket is not None:
            self._check_gateway(socket, now, listening=listening)
        return verdict

    def lost(self, error: SsmSshError, now: float) -> None:
        """Note that the connection broke; `try_again` looks for another."""
        self._log.info(f"connection lost: {error.sentence()}")
        self.drop()
        self.channel.disconnected(self._keepalive.last_heard)
        self._reconnect.lost(now, error, self.channel.progress - self._progress_before)

    def drop(self) -> None:
        """Close the connection, if there is one."""
        if self.socket is not None:
            self._poller.forget(self.socket.fileno())
            self.socket.close()
            self.socket = None

    def timer(self) -> float | None:
        """Return the time at which `look`, `pump` or `try_again` may have something to do."""
        times = [self._start_at, self._reconnect.timer()]
        channel = self.channel
        if self.begun and (channel.unacknowledged or channel.away):
            times.append(self._look_at)
        if self.socket is not None:
            times.append(self._keepalive.timer(self._waiting))
            if self.socket.backlog < MOST_UNSENT:  # else the channel is not asked before the transport has room
                times.append(channel.timer())
        return min((time for time in times if time is not None), default=None)

    @property
    def _waiting(self) -> bool:
        """Whether something is awaited from the other side, so that its silence means more."""
        return self.channel.unacknowledged > 0 or not self.begun

    def _check_gateway(self, socket: Socket, now: float, *, listening: bool) -> None:
        keepalive = self._keepalive
        keepalive.clock(now, self._clock.wall())
        if not listening:
            if keepalive.unread(now):
                socket.ping(b"")
        elif keepalive.dead(now):
            raise NetworkError("the gateway no longer answers")
        elif keepalive.ping_due(now, self._waiting):
            socket.ping(b"")
