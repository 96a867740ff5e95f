# Over 350 lines: the one handler that meets every event of a command.
"""The handler (relay/handler.py) of `ssm-ssh exec`: one command, its streams, and how it ended."""

from __future__ import annotations

from ssm_ssh.channel.events import Established, ExitCode, Notice, StdErr
from ssm_ssh.command import progress, silence
from ssm_ssh.command.frames import BYE, END_OF_INPUT, GO, STDERR, Data, encode_input, input_room
from ssm_ssh.command.local import LocalOutput, read, terminal_size
from ssm_ssh.command.progress import Progress
from ssm_ssh.command.script import Way
from ssm_ssh.command.silence import Silence
from ssm_ssh.errors import SsmSshError
from ssm_ssh.relay.poller import GONE, READ, WRITE
from ssm_ssh.relay.states import CLOSING, ENDED
from ssm_ssh.session import endings
from ssm_ssh.session.watch import SessionWatch
from ssm_ssh.shell.escapes import Action, Escapes
from ssm_ssh.shell.raw_mode import RawMode
from ssm_ssh.startup import TYPE_CHECKING
from ssm_ssh.text import describe_unexpected, printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ssm_ssh.channel.events import Event
    from ssm_ssh.command.script import Request
    from ssm_ssh.relay.assembly import Parts
    from ssm_ssh.relay.environment import PollSet
    from ssm_ssh.relay.handler import RelayControls
    from ssm_ssh.session.starter import SessionStarter

_INTERRUPT, _WINDOW = 2, 28
# The bytes of input for which the agent signals the process of AWS-StartNonInteractiveCommand.
_INT, _QUIT = b"\x03", b"\x1c"
# Seconds for the command to end after a signal: an interrupted program may clean up.
_GRACE_INT, _GRACE = 10.0, 5.0
# Seconds without input after which an empty message shows that the session is in use. The idle limit is a minute at the
# least, and counts input alone.
_KEEP = 25.0
# Seconds for the gateway to deliver what belongs to a session that it has closed.
_LEAVE = 0.5


class CommandHandler:
    """Runs one command on one session. `status` is what `ssm-ssh exec` ends with."""

    _relay: RelayControls

    def __init__(self, starter: SessionStarter, parts: Parts, request: Request, way: Way, token: str) -> None:
        """Nothing local is touched before `start`."""
        self.status = progress.FAILED
        self.error: SsmSshError | None = None
        """What the user has to be told at the end."""
        self.missing = False
        """This way does not exist here, and nothing has run."""
        self._starter = starter
        self._request = request
        self._way = way
        self._log = parts.log
        self._progress = Progress(way, token)
        self._out, self._err = LocalOutput(1), LocalOutput(2)
        self._stdin = 0
        self._input_ended = not request.stdin
        self._keys = Escapes() if way is Way.TERMINAL else None
        self._raw = RawMode(self._stdin)
        self._went = False
        self._never_ran = False
        self._bye = False
        self._signal = 0
        self._deadline: float | None = None
        self._sent_at = parts.now
        self._began_at = parts.now
        self._silence = Silence(parts.now)
        self._terminal = False
        self._watch = SessionWatch(starter, parts, self._tell, leave="To leave: Ctrl-C")

    @property
    def begun(self) -> bool:
        """Whether the command may run."""
        return self._went

    @property
    def backlog(self) -> int:
        """Bytes that stdout and stderr have not taken."""
        return max(self._out.backlog, self._err.backlog)

    @property
    def _instance(self) -> str:
        return self._starter.instance_id

    @property
    def _may_have_run(self) -> bool:
        """Whether the command may have been run: the agent has been answered, or the script told to go on."""
        channel = self._relay.link.channel
        return self._went or (self._way is Way.APART and bool(channel.session_type))

    def start(self, relay: RelayControls) -> None:
        """Keep stdout and stderr from blocking."""
        import os

        self._relay = relay
        self._terminal = os.isatty(2)
        self._out.open()
        self._err.open()

    # --- local ----------------------------------------------------------------------------------------------------

    def watch(self, poller: PollSet) -> None:
        """Wait for input while there is room, and for the readers of what waits."""
        for output in (self._out, self._err):
            if output.broken:
                poller.forget(output.fd)
            else:
                poller.watch(output.fd, WRITE if output.backlog else 0)
        if self._request.stdin:
            if self._wants_input():
                poller.watch(self._stdin, READ)
            else:
                poller.forget(self._stdin)

    def _wants_input(self) -> bool:
        channel = self._relay.link.channel
        return self._went and not self._input_ended and input_room(channel.room()) > 0

    def on_ready(self, ready: Mapping[int, int], now: float) -> None:
        """Write what waits, and pass input on."""
        for output in (self._out, self._err):
            mask = ready.get(output.fd, 0)
            if mask & WRITE:
                output.flush()
            elif mask & GONE:
                output.broken = True
        if self._request.stdin and ready.get(self._stdin, 0) and self._wants_input():
            channel = self._relay.link.channel
            data = read(self._stdin, input_room(channel.room()))
            if data and self._keys is not None:
                self._type(self._keys.feed(data), now)
            elif data:
                self._send(encode_input(data), now)
            elif data is not None:
                self._end_input(now)

    def _type(self, items: list[bytes | Action], now: float) -> None:
        for item in items:
            if isinstance(item, bytes):
                self._send(item, now)
            elif item is Action.LEAVE:
                self.status = progress.FAILED
                self.error = SsmSshError(progress.runs_on(self._instance))
                self._relay.close(now)
                return

    def _end_input(self, now: float) -> None:
        if not self._input_ended:
            self._input_ended = True
            if self._keys is None:
                self._send(END_OF_INPUT, now)

    def _send(self, data: bytes, now: float) -> None:
        self._sent_at = now
        self._relay.link.channel.send(data, now)

    # --- the session ----------------------------------------------------------------------------------------------

    def on_output(self, data: bytes, now: float) -> None:
        """Take frames. Raises ProtocolError for output that was damaged or lost."""
        self._silence.heard(now)
        self._pass(self._progress.stdout(data), now)

    def on_event(self, event: Event, now: float) -> None:
        """Take stderr, notices and the agent's exit code."""
        if isinstance(event, StdErr):
            self._silence.heard(now)
            self._pass(self._progress.stderr(event.data), now)
        elif isinstance(event, Established):
            self._log.debug(f"agent {event.agent_version or 'without a handshake'}")
            if self._way is Way.APART:
                self._began(now)
        elif isinstance(event, Notice):
            self._log.info(f"notice: {event.text}")
        elif isinstance(event, ExitCode) and not self._progress.complete:
            # The script itself always ends by a signal or with 0, after everything else.
            self._ended(None, now, certain=True)

    def _pass(self, pieces: list[Data], now: float) -> None:
        for stream, data in pieces:
            (self._err if stream == STDERR else self._out).write(data)
        if self._progress.not_run:
            self._fail(progress.not_run(self._instance, self._progress.not_run), now)
            return
        if self._progress.ready and self._way is not Way.APART and not self._went:
            self._began(now)
            self._send(GO, now)
            self._resize()
            if self._keys is not None and self._request.stdin:
                self._raw.enter()
        if self._progress.input_closed or self._progress.status is not None:
            # The end releases the script, which reads input until then.
            self._end_input(now)
        if self._progress.complete and not self._bye:
            self._bye = True
            self._send(_INT if self._way is Way.APART else BYE, now)

    def _began(self, now: float) -> None:
        self._went = True
        self._began_at = now

    def _resize(self) -> None:
        if self._way is Way.TERMINAL and (size := terminal_size(1) or terminal_size(2)):
            self._relay.link.channel.resize(*size)

    def on_signal(self, number: int, now: float) -> None:
        """Have the agent signal the command; the second time, or before the command runs, just leave."""
        if number == _WINDOW:
            self._resize()
            return
        if self._signal or not self._may_have_run or self._progress.complete:
            self._signal = self._signal or number
            self._leave(now)
            return
        self._signal = number
        self._deadline = now + (_GRACE_INT if number == _INTERRUPT else _GRACE)
        self._send(_QUIT if self._way is Way.APART and number != _INTERRUPT else _INT, now)

    def on_not_connected(self, error: BaseException, now: float) -> None:
        """Fail with it."""
        if isinstance(error, SsmSshError):
            self._fail(error, now)
        else:
            self._log.failure(error)
            sentence = f"unexpected error: {printable(describe_unexpected(error))}"
            self._fail(SsmSshError(sentence, "Add --debug to see where"), now)

    def on_unanswered(self, verdict: str, now: float) -> None:
        """Tell, ask or end."""
        self._watch.on_unanswered(self._relay, verdict, now)

    # --- time -----------------------------------------------------------------------------------------------------

    def on_time(self, now: float) -> None:
        """Do what is due."""
        relay = self._relay
        if self._progress.complete:
            if not self.backlog:
                self._finish(now)
        elif self._out.broken and self._went and self._progress.status is None and not self._signal:
            self._signal = progress.BROKEN_PIPE - progress.SIGNALLED
            self._deadline = now + _GRACE
            self._send(_QUIT if self._way is Way.APART else _INT, now)
        elif self._deadline is not None and now >= self._deadline:
            self._leave(now)
        elif relay.state is ENDED:
            self._on_closed(now)
        elif self._went:
            self._watch.look_at_outage(relay, now)
            self._look_at_silence(now)
            if now >= self._sent_at + _KEEP and not self._signal:
                self._sent_at = now
                relay.link.channel.probe()
        else:
            self._watch.look_at_opening(relay, now)

    def timer(self, now: float) -> float | None:
        """Return when something may be due."""
        times = [self._deadline, self._watch.timer(begun=self._went)]
        if self._went and not self._signal:
            times.append(self._sent_at + _KEEP)
        times.append(self._silence.timer(suspicious=self._may_be_mute))
        return min((time for time in times if time is not None), default=None)

    @property
    def _may_be_mute(self) -> bool:
        """Whether the agent may have stopped passing output on, see `silence`."""
        return self._went and self._way is Way.APART and self._relay.link.channel.only_stale

    def _look_at_silence(self, now: float) -> None:
        verdict = self._silence.look(now, suspicious=self._may_be_mute)
        if verdict == silence.LOST:
            self._fail(progress.mute(self._instance), now)
        elif verdict == silence.TELL:
            self._tell(
                f"nothing has come for {self._silence.seconds(now):.0f} s since the connection is back: the SSM Agent "
                f"on {self._instance} may have stopped passing output on. To leave: Ctrl-C"
            )

    def _on_closed(self, now: float) -> None:
        ended = self._relay.ended
        reason = ended[0] if ended is not None else ""
        if not self._may_have_run:
            self._ended(endings.never_began(reason, self._instance) if reason else None, now, certain=True)
        elif reason:
            lasted, idle = now - self._began_at, now - self._sent_at
            why = endings.ended(reason, self._instance, lasted=lasted, idle=idle)
            self._ended(why, now, certain=endings.is_agent_error(reason))
        else:
            self._ended(None, now, certain=False)

    # --- the end --------------------------------------------------------------------------------------------------

    def _finish(self, now: float) -> None:
        if self._unwritten(now):
            return
        status = self._progress.status
        if status is None or status < 0:
            self._fail(progress.unknown(self._instance, None), now)
            return
        self.status = progress.BROKEN_PIPE if self._out.broken else status
        self._relay.close(now)

    def _ended(self, why: SsmSshError | None, now: float, *, certain: bool) -> None:
        """End without everything; `why`: what ended the session, if that is known.

        `certain`: everything that the agent has sent has come. Otherwise the script may have begun unseen, unless the
        agent has said why it did not.
        """
        words = "" if self._progress.begun else self._progress.why_not_begun()
        if not self._progress.begun and (certain or words):
            self._never_ran = True
            self._fail(why if why and not words else progress.never_ran(self._instance, words), now)
        else:
            self._fail(why or endings.broken_off(self._instance), now)

    def _leave(self, now: float) -> None:
        quiet = self._signal + progress.SIGNALLED == progress.BROKEN_PIPE
        if quiet and self._unwritten(now):
            return
        if self._may_have_run and self._progress.status is None and not quiet:
            self.error = SsmSshError(progress.runs_on(self._instance))
        self.status = progress.SIGNALLED + self._signal
        self._relay.close(now)

    def _unwritten(self, now: float) -> bool:
        """End with an error where output could not be written; return whether that is so."""
        for output, name in ((self._out, "stdout"), (self._err, "stderr")):
            if output.error:
                self.status = progress.UNKNOWN
                self.error = progress.unwritten(self._instance, name, output.reason)
                self._relay.close(now)
                return True
        return False

    def _fail(self, error: SsmSshError, now: float) -> None:
        self._relay.fail(error, now)

    def explain(self, error: SsmSshError) -> bool:
        """Keep the error for the end, when all output is out."""
        if self._relay.state is CLOSING:
            return False
        if self._way is Way.APART and not self._may_have_run and progress.is_missing(error, self._starter.document):
            self.missing = True
            self.error = error
        elif self._progress.not_run or not self._may_have_run or self._never_ran:
            self.error = error
        elif self._progress.complete and self._progress.status is not None and self._progress.status >= 0:
            self.status = self._progress.status
            return False
        else:
            self.status = progress.UNKNOWN
            self.error = progress.unknown(self._instance, error)
        return False

    def detach(self, poller: PollSet) -> None:
        """Stop watching, and let the descriptors block as before."""
        self._starter.cancel()
        for fd in (self._stdin, self._out.fd, self._err.fd):
            poller.forget(fd)
        self._raw.restore()
        self._out.close()
        self._err.close()

    def finish(self, status: int) -> None:
        """Write what waits, now that it may block."""
        if not self._signal:
            self._out.flush()
            self._err.flush()

    def _tell(self, line: str) -> None:
        self._log.info(line)
        if self._terminal:
            self._err.write(f"ssm-ssh: {printable(line)}\r\n".encode())
