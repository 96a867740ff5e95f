"""The terminal in front of the user: raw mode, size, bytes both ways, and waiting for it on every system.

It is opened anew, so that reads and writes never block and the shell that shares standard input with this program is
not affected. Where that is not allowed (after `su`, in some containers), the descriptors are used as they are.
"""

from __future__ import annotations

import os
import signal
import sys

from ssm_ssh.errors import UsageError
from ssm_ssh.relay.poller import Poller
from ssm_ssh.relay.stdio import tell
from ssm_ssh.relay.writer import Writer
from ssm_ssh.shell.raw_mode import RawMode
from ssm_ssh.startup import TYPE_CHECKING

if TYPE_CHECKING:
    from ssm_ssh.relay.environment import PollSet

_READ = 65536


class Terminal(Writer):
    """Reads `stdin`, a terminal, and writes `stdout`, which may be anything."""

    def __init__(self, stdin: int = 0, stdout: int = 1, stderr: int = 2) -> None:
        """Raises UsageError where `stdin` is no terminal."""
        if not os.isatty(stdin):
            raise UsageError(
                "standard input is not a terminal, which a shell needs",
                "To run a command without a terminal, use: ssm-ssh exec TARGET -- COMMAND",
            )
        self._stderr = stderr
        self._stdin = stdin
        self._opened = _reopen(stdin)
        self.input = stdin if self._opened is None else self._opened
        self.shown = os.isatty(stdout)
        """Whether a person sees the output."""
        self.output = self.input if self._opened is not None and _same(stdin, stdout) else stdout
        super().__init__(self.output)
        self.ended = False
        self._raw = RawMode(stdin)
        # A pipe or another terminal: its flag is shared with other programs, and is put back at the end.
        self._blocking = os.get_blocking(self.output) if self.output != self._opened else None
        if self._blocking:
            os.set_blocking(self.output, False)

    @property
    def raw(self) -> bool:
        """Whether every key is passed on."""
        return self._raw.entered

    def size(self) -> tuple[int, int] | None:
        """Return columns and rows, None where the terminal does not know them."""
        try:
            columns, rows = os.get_terminal_size(self._stdin)
        except OSError:
            return None
        return (columns, rows) if columns > 0 and rows > 0 else None

    def read(self, room: int) -> bytes:
        """Return at most `room` bytes that were typed; b"" with `ended` once the terminal is gone."""
        try:
            data = os.read(self.input, min(room, _READ))
        except (BlockingIOError, InterruptedError):
            return b""
        except OSError:
            data = b""
        if not data:
            self.ended = True
        return data

    def tell(self, text: str) -> None:
        """Show a line of ssm-ssh's own, apart from what the session has written."""
        line = f"ssm-ssh: {text}"
        if self.shown and self.raw:
            self.write(f"\r\n{line}\r\n".encode("ascii"))  # behind what waits already
        else:
            end = "\r\n" if self.raw and os.isatty(self._stderr) else "\n"
            tell(f"{line}{end}".encode("ascii"), self._stderr)

    # --- modes --------------------------------------------------------------------------------------------------------

    def enter_raw(self) -> None:
        """Have every key passed on and every byte shown as it is, until `restore`."""
        self._raw.enter()

    def restore(self, last: bytes = b"") -> None:
        """Put the terminal's modes back, after showing `last`. Does nothing if they were not changed. Never blocks."""
        if last and self.shown:
            self.write(last)
        self._raw.restore()

    def suspend(self) -> None:
        """Stop this process and its job, as Ctrl-Z does, with the modes put back meanwhile."""
        was_raw = self.raw
        self.restore()
        before = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(0, signal.SIGTSTP)  # to the whole job, or a wrapper around this program would go on waiting
        signal.signal(signal.SIGTSTP, before)
        if was_raw:
            self.enter_raw()

    def close(self) -> None:
        """Let the terminal go, with its modes put back."""
        self.restore()
        if self._blocking:
            try:
                os.set_blocking(self.output, True)
            except OSError:
                pass
        if self._opened is not None:
            os.close(self._opened)
            self._opened = None


def _reopen(fd: int) -> int | None:
    """Return a new descriptor of the terminal `fd` that never blocks, None where it cannot be opened."""
    try:
        opened = os.open(os.ttyname(fd), os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    if _same(fd, opened):
        return opened
    os.close(opened)  # a name that means another terminal here, as in some containers
    return None


def _same(first: int, second: int) -> bool:
    try:
        return os.path.sameopenfile(first, second)
    except OSError:
        return False


def terminal_poller() -> PollSet:
    """Return what waits for a terminal and sockets alike."""
    # macOS's poll() reports an error for terminals (poll(2), "BUGS").
    if sys.platform == "darwin":
        from ssm_ssh.shell.select_poller import SelectPoller

        return SelectPoller()
    return Poller()
