"""PURE: the frames in which the script on the instance sends what the command writes, and takes what it reads.

Each frame is a line. What comes before the first header is not the script's. Frames of the instance:

@ssm-ssh1   header: the script is ready, or on a terminal waits for `go`
1... 2...   base64 of stdout, of stderr
1.N  2.N    end of stdout, of stderr, after N frames
-           the command has closed its input
#S          the command has ended with status S, and its output is still on the way
=           all has been sent
!...        base64 of the reason why the command was not run

Lines of the client: `go`, base64 of the input, `.` for its end, and `bye` once everything has arrived.
"""

from __future__ import annotations

from binascii import Error, a2b_base64, b2a_base64

from ssm_ssh.errors import ProtocolError
from ssm_ssh.startup import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import TypeAlias

HEADER = b"@ssm-ssh1"
NO_BASE64 = b"@ssm-ssh-needs-base64"
GO, END_OF_INPUT, BYE = b"go\n", b".\n", b"bye\n"
STDOUT, STDERR = 1, 2

LONGEST_LINE = 128 * 1024
"""Bytes of a frame: base64 that does not break lines makes 64 KiB of one read."""
MOST_PREFACE = 4096
"""Bytes that are kept of what comes before the header, for an error."""
# Bytes of input in a line of 76 characters, as everything that makes base64 breaks it.
_INPUT_LINE = 57
_DIGITS = 10


class Ready(NamedTuple):
    """The script is there."""


class Data(NamedTuple):
    """What the command has written to STDOUT or STDERR."""

    stream: int
    data: bytes


class InputClosed(NamedTuple):
    """The command reads no more."""


class Ended(NamedTuple):
    """The command has ended, with the exit status of a shell (128 + N for signal N), -1 for an unknown one."""

    status: int


class Complete(NamedTuple):
    """The script has sent everything in this stream."""


class NotRun(NamedTuple):
    """The command was not run. `reason` is outside text."""

    reason: str


Frame: TypeAlias = "Ready | Data | InputClosed | Ended | Complete | NotRun"


class Decoder:
    """Takes one stream of the session. Raises ProtocolError where output is damaged or lost, and keeps little."""

    __slots__ = ("_counts", "_ends", "_line", "preface", "ready")

    def __init__(self, *, ready: bool = False) -> None:
        """`ready`: the header comes in another stream."""
        self.ready = ready
        self.preface = b""
        """What came before the header, at most MOST_PREFACE bytes."""
        self._line = b""
        self._counts = {STDOUT: 0, STDERR: 0}
        self._ends: dict[int, int] = {}

    @property
    def ended(self) -> frozenset[int]:
        """The streams of which everything has come."""
        return frozenset(self._ends)

    def feed(self, data: bytes) -> list[Frame]:
        """Return the frames that `data` completes, neighbouring pieces of one stream joined."""
        lines = (self._line + data).split(b"\n")
        self._line = lines.pop()
        if len(self._line) > LONGEST_LINE:
            if self.ready:
                raise ProtocolError("the output of the command was damaged on the way: a line without an end")
            self._line = self._line[-LONGEST_LINE:]
        frames: list[Frame] = []
        pieces: list[bytes] = []
        stream = 0
        for whole in lines:
            line = whole.rstrip(b"\r")  # a terminal that is not raw adds it
            kind = line[:1]
            if kind in (b"1", b"2") and self.ready and line[1:2] != b".":
                if int(kind) != stream:
                    _join(frames, stream, pieces)
                    stream = int(kind)
                pieces.append(self._decode(stream, line[1:]))
            else:
                _join(frames, stream, pieces)
                self._other(line, frames)
        _join(frames, stream, pieces)
        return frames

    def finish(self) -> bytes:
        """Return what came instead of a header, when the session has ended."""
        return self.preface + self._line if not self.ready else b""

    def _decode(self, stream: int, line: bytes) -> bytes:
        self._counts[stream] += 1
        try:
            data = a2b_base64(line)
        except Error:
            data = b""
        if not data or stream in self._ends:
            raise ProtocolError("the output of the command was damaged on the way")
        return data

    def _other(self, line: bytes, frames: list[Frame]) -> None:
        if not self.ready:
            self._before(line, frames)
        elif line[1:2] == b"." and line[:1] in (b"1", b"2"):
            self._end(int(line[:1]), line[2:])
        elif line == b"-":
            frames.append(InputClosed())
        elif line[:1] == b"#":
            frames.append(Ended(_status(line[1:])))
        elif line == b"=":
            frames.append(Complete())
        # Anything else was written by another program to the same terminal.

    def _before(self, line: bytes, frames: list[Frame]) -> None:
        if line.endswith(HEADER):
            self.ready = True
            self.preface = b""
            frames.append(Ready())
        elif line == NO_BASE64:
            frames.append(NotRun("it has neither base64 nor openssl"))
        elif line[:1] == b"!" and (reason := _text(line[1:])):
            frames.append(NotRun(reason))
        elif len(self.preface) < MOST_PREFACE:
            self.preface += line[: MOST_PREFACE - len(self.preface)] + b"\n"

    def _end(self, stream: int, count: bytes) -> None:
        if count != b"%d" % self._counts[stream]:
            name = "stdout" if stream == STDOUT else "stderr"
            raise ProtocolError(f"the SSM Agent lost a part of the command's {name} on the way")
        self._ends[stream] = self._counts[stream]


class TerminalDecoder:
    """Takes the output of a command with a terminal of its own, which ends with a frame that holds `token`."""

    __slots__ = ("_held", "_mark", "_over", "preface", "ready")

    def __init__(self, token: str) -> None:
        self.ready = False
        self.preface = b""
        self._mark = b"\033_ssm-ssh;" + token.encode() + b";"
        self._held = b""
        self._over = False

    def feed(self, data: bytes) -> list[Frame]:
        """Return what the command has shown, in order, and the frames around it. Nothing follows the last frame."""
        frames: list[Frame] = []
        if self._over:
            return frames
        self._held += data
        if not self.ready:
            head = Decoder()
            head.preface = self.preface
            before, newline, rest = self._held.partition(b"\n")
            while newline and not self.ready:
                frames += head.feed(before + newline)
                self.ready, self.preface, self._held = head.ready, head.preface, rest
                if not self.ready:
                    before, newline, rest = rest.partition(b"\n")
            if not self.ready:
                self._held = self._held[-LONGEST_LINE:]
                return frames
        self._shown(frames)
        return frames

    def finish(self) -> bytes:
        """Return what came instead of a header, when the session has ended."""
        return self.preface + self._held if not self.ready else b""

    def _shown(self, frames: list[Frame]) -> None:
        at = self._held.find(self._mark)
        shown, tail = (self._held, b"") if at < 0 else (self._held[:at], self._held[at + len(self._mark) :])
        if at < 0:
            # The beginning of the mark may be there already.
            start = max(shown.rfind(b"\033"), 0) if b"\033" in shown[-len(self._mark) :] else len(shown)
            keep = shown[start:] if self._mark.startswith(shown[start:]) else b""
            shown, self._held = shown[: len(shown) - len(keep)], keep
        else:
            self._held = self._held[at:]
        if shown:
            frames.append(Data(STDOUT, shown))
        digits, end, _ = tail.partition(b"\033\\")
        if at >= 0 and end:
            self._held, self._over = b"", True
            frames += (Ended(_status(digits)), Complete())


def encode_input(data: bytes) -> bytes:
    """Return the lines that carry `data` to the command's input."""
    lines = [b2a_base64(data[at : at + _INPUT_LINE]) for at in range(0, len(data), _INPUT_LINE)]
    return b"".join(lines)


def input_room(room: int) -> int:
    """Return how many bytes of input fit into `room` bytes of the session."""
    return room // 77 * _INPUT_LINE


def _join(frames: list[Frame], stream: int, pieces: list[bytes]) -> None:
    if pieces:
        frames.append(Data(stream, b"".join(pieces)))
        pieces.clear()


def _status(digits: bytes) -> int:
    return int(digits) if digits.isdigit() and len(digits) <= _DIGITS else -1


def _text(line: bytes) -> str:
    try:
        return a2b_base64(line).decode("utf-8", "replace")
    except Error:
        return ""
