"""An interactive terminal on a session: the handler (relay/handler.py) of `ssm-ssh shell`.

Every key goes to the instance and every byte of output to the terminal, in order. Out of the keys only the escapes are
taken; into the output only lines of ssm-ssh's own are put, each on a line of its own.
"""

from __future__ import annotations

import signal

from ssm_ssh.channel.events import Established, ExitCode, Notice, StdErr
from ssm_ssh.errors import SsmSshError, UsageError
from ssm_ssh.relay.outage_notice import BACK
from ssm_ssh.relay.poller import GONE, READ, WRITE
from ssm_ssh.relay.states import CLOSING, ENDED
from ssm_ssh.session import endings
from ssm_ssh.session.watch import SessionWatch, Starter
from ssm_ssh.shell.escapes import HELP, Action, Escapes
from ssm_ssh.shell.intent import LastLine
from ssm_ssh.shell.modes import Modes
from ssm_ssh.startup import TYPE_CHECKING, Protocol
from ssm_ssh.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ssm_ssh.channel.events import Event
    from ssm_ssh.relay.assembly import Parts
    from ssm_ssh.relay.environment import PollSet, RunningTask
    from ssm_ssh.relay.handler import RelayControls

# Statuses as ssh has them: what ssm-ssh itself could not do, or the user did not want to see the end of.
FAILED = 255
LEAVE = "To leave: Enter, then ~."
# Bytes typed that may wait for the session. A paste of a megabyte fits, so that an escape behind it still works.
MOST_TYPED = 2 << 20
# Seconds between the two sizes that make a full-screen program draw again: it looks at the size when it has time, and
# would see no change in two that come together.
REDRAW = 0.3
# Signals that the relay is to report besides INT, TERM and HUP.
RESIZED, SUSPENDED, CONTINUED, QUIT = (
    int(signal.SIGWINCH),
    int(signal.SIGTSTP),
    int(signal.SIGCONT),
    int(signal.SIGQUIT),
)
SIGNALS = (RESIZED, SUSPENDED, CONTINUED, QUIT)


class ShellStarter(Starter, Protocol):
    """What starts the session (session.starter.SessionStarter)."""

    def platform(self) -> str:
        """Return the instance's platform, "" where that is not known. Blocks."""


class LocalTerminal(Protocol):
    """The terminal, as shell/terminal.py has it."""

    input: int
    output: int
    ended: bool
    """The terminal is gone."""
    broken: bool
    """Nothing takes the output any more."""

    @property
    def backlog(self) -> int: ...  # noqa: D102
    def size(self) -> tuple[int, int] | None: ...  # noqa: D102
    def read(self, room: int) -> bytes: ...  # noqa: D102
    def write(self, data: bytes) -> None: ...  # noqa: D102
    def flush(self) -> None: ...  # noqa: D102
    def tell(self, text: str) -> None: ...  # noqa: D102
    def enter_raw(self) -> None: ...  # noqa: D102
    def restore(self, last: bytes = b"") -> None: ...  # noqa: D102
    def suspend(self) -> None: ...  # noqa: D102


class ShellHandler:
    """Moves keys and output between `terminal` and the session."""

    _relay: RelayControls

    def __init__(self, starter: ShellStarter, terminal: LocalTerminal, parts: Parts, *, unix: bool = False) -> None:
        """`unix`: what is started is no use on Windows, where the shell is PowerShell."""
        self.status = 0
        """The exit status of the command: 0, FAILED, or 128 + the signal that ended it."""
        self._starter = starter
        self._unix = unix
        self._platform: RunningTask[str] | None = None
        self._tasks = parts.tasks
        self._instance_id = starter.instance_id
        self._terminal = terminal
        self._log = parts.log
        self._watch = SessionWatch(starter, parts, terminal.tell, leave=LEAVE)
        self._escapes = Escapes()
        self._modes = Modes()
        self._line = LastLine()
        self._typed = bytearray()
        self._begun_at: float | None = None
        self._sent_at = parts.now
        self._redraw_at: float | None = None
        self._resized = False
        """A size waits for the next turn to be sent."""
        self._size: tuple[int, int] | None = None

    @property
    def begun(self) -> bool:
        """Whether the shell has spoken, or the agent's handshake is complete."""
        return self._begun_at is not None

    @property
    def backlog(self) -> int:
        """Bytes that the terminal has not taken."""
        return self._terminal.backlog

    def start(self, relay: RelayControls) -> None:
        """Have the size go out with the first messages, so that the shell starts with it."""
        self._relay = relay
        self._resize()
        if self._unix:
            self._platform = self._tasks.start(self._starter.platform)

    # --- the terminal -------------------------------------------------------------------------------------------------

    def watch(self, poller: PollSet) -> None:
        """Wait for keys once every key counts, and for the terminal to take what waits."""
        terminal = self._terminal
        keys = READ if self.begun and not terminal.ended and len(self._typed) < MOST_TYPED else 0
        writes = WRITE if terminal.backlog else 0
        if terminal.input == terminal.output:
            poller.watch(terminal.input, keys | writes)
        else:
            poller.watch(terminal.input, keys)
            poller.watch(terminal.output, writes)

    def on_ready(self, ready: Mapping[int, int], now: float) -> None:
        """Take keys and escapes, send what there is room for, and write output."""
        terminal, relay = self._terminal, self._relay
        self._resized = False
        mask, shown = ready.get(terminal.input, 0), ready.get(terminal.output, 0)
        if shown & WRITE:
            terminal.flush()
        elif shown & GONE and terminal.output != terminal.input:
            terminal.broken = True
        if mask & (READ | GONE) and self.begun:
            self._take(terminal.read(MOST_TYPED), now)
        elif mask & GONE:
            terminal.ended = True
        if (terminal.ended or terminal.broken) and relay.state is not CLOSING:
            self._log.debug("the terminal is gone")
            self._leave(FAILED, now)
        self._send(now)

    def _take(self, data: bytes, now: float) -> None:
        for item in self._escapes.feed(data):
            if isinstance(item, bytes):
                self._typed += item
                self._line.feed(item)
            elif item is Action.LEAVE:
                self._log.info("left by ~.")
                self._leave(FAILED, now)
            elif item is Action.HELP:
                self._terminal.write(("~?\r\n" + "".join(f"{line}\r\n" for line in HELP)).encode("ascii"))
            else:
                self._suspend()

    def _send(self, now: float) -> None:
        channel = self._relay.link.channel
        if self._typed and self._relay.state is not CLOSING and (room := channel.room()) > 0:
            channel.send(bytes(self._typed[:room]), now)
            del self._typed[:room]
            self._sent_at = now

    def _suspend(self) -> None:
        self._terminal.suspend()
        self._resize()

    def _resize(self) -> None:
        """Send the size of the terminal, if it is known."""
        size = self._size = self._terminal.size()
        if size is not None:
            self._relay.link.channel.resize(*size)
            self._resized = True

    # --- what the session brings --------------------------------------------------------------------------------------

    def on_output(self, data: bytes, now: float) -> None:
        """Show output."""
        self._modes.feed(data)
        self._terminal.write(data)

    def on_event(self, event: Event, now: float) -> None:
        """Begin once established; show notices. A shell has no standard error of its own, and sends no status."""
        if isinstance(event, Established):
            self._log.debug(f"the session has begun, agent {event.agent_version or 'unknown'}")
            self._begun_at = self._sent_at = now
            self._terminal.enter_raw()
        elif isinstance(event, Notice):
            self._terminal.tell(event.text)
        elif isinstance(event, StdErr):
            self.on_output(event.data, now)
        elif isinstance(event, ExitCode):
            self._log.debug(f"exit code {event.code}")

    def on_not_connected(self, error: BaseException, now: float) -> None:
        """Fail with the error."""
        if not isinstance(error, SsmSshError):
            raise error
        self._relay.fail(error, now)

    def on_unanswered(self, verdict: str, now: float) -> None:
        """Tell how to leave, ask AWS, or end."""
        self._watch.on_unanswered(self._relay, verdict, now)

    def on_signal(self, number: int, now: float) -> None:
        """Follow the size and the job control of the terminal; close on every other signal."""
        if number == RESIZED:
            self._resize()
        elif number == SUSPENDED:
            self._suspend()
        elif number == CONTINUED:
            if self.begun:  # the shell that stopped this program has set its own modes
                self._terminal.enter_raw()
            self._resize()
        else:
            self._log.info(f"signal {number}")
            self._leave(128 + number, now)

    # --- time ---------------------------------------------------------------------------------------------------------

    def on_time(self, now: float) -> None:
        """Do what is due."""
        relay = self._relay
        if self._platform is not None and self._platform.done and self._refused(self._platform.result, now):
            return
        if relay.state is ENDED:
            self._on_ended(now)
        elif not self.begun:
            self._watch.look_at_opening(relay, now)
        elif self._watch.look_at_outage(relay, now) == BACK:
            self._begin_redraw(now)
        elif self._redraw_at is not None and now >= self._redraw_at:
            self._redraw_at = None
            self._resize()

    def _refused(self, platform: str, now: float) -> bool:
        """Whether the session has just been ended because of the platform."""
        self._platform = None
        if "windows" not in platform.lower():
            return False
        self._relay.fail(
            UsageError(
                f"{self._instance_id} runs {printable(platform, 60)}, and --user and --login need a Unix shell there",
                "Without them the shell is PowerShell",
            ),
            now,
        )
        return True

    def timer(self, now: float) -> float | None:
        """Return when something may be due."""
        if self._relay.ended is not None:
            return None
        times = [self._watch.timer(begun=self.begun), self._redraw_at]
        if self._resized or (self._typed and self._relay.link.channel.room() > 0):
            times.append(now)
        return min((time for time in times if time is not None), default=None)

    def _begin_redraw(self, now: float) -> None:
        """Change the size for a moment: a full-screen program draws over the lines about the outage."""
        if self._size is not None:
            columns, rows = self._size
            self._relay.link.channel.resize(columns, rows - 1 if rows > 1 else rows + 1)
            self._redraw_at = now + REDRAW
            self._resized = True

    def _on_ended(self, now: float) -> None:
        """Say why the session has ended, as far as it is known, once the terminal has taken all output."""
        relay, instance_id, begun_at = self._relay, self._instance_id, self._begun_at
        if relay.ended is None or self._terminal.backlog:
            return
        reason, at = relay.ended
        if begun_at is None:
            relay.fail(endings.never_began(reason, instance_id), now)
            return
        lasted, idle = at - begun_at, at - self._sent_at
        if reason:
            relay.fail(endings.ended(reason, instance_id, lasted=lasted, idle=idle), now)
            return
        if not self._line.leaves:
            self._terminal.tell(endings.presumed(instance_id, lasted=lasted, idle=idle))
        relay.close(now)

    # --- the end ------------------------------------------------------------------------------------------------------

    def _leave(self, status: int, now: float) -> None:
        self.status = status
        self._relay.close(now)

    def explain(self, error: SsmSshError) -> bool:
        """Show the error; nothing has to read it."""
        self.status = FAILED
        self._terminal.tell(error.sentence())
        return False

    def detach(self, poller: PollSet) -> None:
        """Give the terminal back as it was."""
        self._starter.cancel()
        poller.forget(self._terminal.input)
        poller.forget(self._terminal.output)
        self._terminal.restore(self._modes.undo())

    def finish(self, status: int) -> None:
        """Nothing is recorded: the terminal has shown everything."""
