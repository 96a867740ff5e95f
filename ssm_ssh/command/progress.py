"""PURE: how far a command has come, and with which status `ssm-ssh exec` ends in each case.

The question behind most of it: may the command have run? Only where it certainly has not, another way may be tried,
and the status is 255; otherwise a lost end means 254.
"""

from __future__ import annotations

from ssm_ssh.command.frames import Complete, Data, Decoder, Ended, InputClosed, NotRun, Ready, TerminalDecoder
from ssm_ssh.command.script import Way, quote
from ssm_ssh.errors import AccessDenied, AgentTooOld, AwsError, CommandFailed, DocumentMissing, SessionEnded
from ssm_ssh.startup import TYPE_CHECKING
from ssm_ssh.text import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ssm_ssh.command.frames import Frame
    from ssm_ssh.errors import SsmSshError

NOT_FOUND, UNKNOWN, FAILED = 127, 254, 255
"""There is no such program; the result is unknown; the command was not run, or ssm-ssh failed."""
SIGNALLED = 128
"""Added to a signal's number where it ended the command, or `ssm-ssh` itself."""
BROKEN_PIPE = SIGNALLED + 13

# What StartSession says of a document that has no such parameter.
_NO_PARAMETER = ("InvalidParameter", "Validation")
_MOST_WORDS = 1000
# What lines of the script on stderr begin with, and words of the agent do not.
_FRAMES = (b"1", b"2", b"#", b"=")
# Characters that a program's name hardly has.
_LINE = frozenset(" \t\n|&;<>$`")
_SHOWN = 240


class Progress:
    """What the frames of one session have told."""

    def __init__(self, way: Way, token: str) -> None:
        self._way = way
        self._stdout: Decoder | TerminalDecoder = TerminalDecoder(token) if way is Way.TERMINAL else Decoder()
        self._stderr = Decoder(ready=True)
        self._words = b""
        self._complete = 0
        self.status: int | None = None
        """The command's exit status, once it has ended; -1 for an unknown one."""
        self.input_closed = False
        self.not_run = ""
        """Why the script refused to run the command, as outside text."""

    @property
    def ready(self) -> bool:
        """The script has begun, and without APART waits to be told to go on."""
        return self._stdout.ready

    @property
    def begun(self) -> bool:
        """The script has certainly begun: its header has come, or something on stderr that only it writes."""
        return self.ready or self._words[:1] in _FRAMES

    @property
    def complete(self) -> bool:
        """Everything has arrived."""
        return self._complete >= (2 if self._way is Way.APART else 1)

    def stdout(self, data: bytes) -> list[Data]:
        """Take payloads of type 1. Returns what the command wrote. Raises ProtocolError."""
        return self._take(self._stdout.feed(data))

    def stderr(self, data: bytes) -> list[Data]:
        """Take payloads of type 11, which hold words of the agent too. Raises ProtocolError."""
        if not self.ready:
            self._words = (self._words + data)[:_MOST_WORDS]
        return self._take(self._stderr.feed(data))

    def why_not_begun(self) -> str:
        """Return what the instance said instead of running the script, as one printable line."""
        words = self._stdout.finish() + b" " + self._words
        return printable(" ".join(words.decode("utf-8", "replace").split()), _SHOWN)

    def _take(self, frames: list[Frame]) -> list[Data]:
        pieces: list[Data] = []
        for frame in frames:
            if isinstance(frame, Data):
                pieces.append(frame)
            elif isinstance(frame, Ended):
                self.status = frame.status
            elif isinstance(frame, Complete):
                self._complete += 1
            elif isinstance(frame, InputClosed):
                self.input_closed = True
            elif isinstance(frame, NotRun):
                self.not_run = frame.reason
            else:
                assert isinstance(frame, Ready)
        return pieces


def is_missing(error: BaseException, document: str) -> bool:
    """Return whether StartSession or the handshake failed because the document, a parameter or the agent is too old.

    `document`: the one that was asked for. In each case nothing has run.
    """
    if isinstance(error, (DocumentMissing, AgentTooOld)):
        return True
    if isinstance(error, AccessDenied):
        return error.operation == "StartSession" and document in error.message
    return isinstance(error, AwsError) and error.operation == "StartSession" and error.code.startswith(_NO_PARAMETER)


def not_run(instance_id: str, reason: str) -> SsmSshError:
    """Return the error of a command that the script did not run."""
    return CommandFailed(f"{instance_id} has not run the command: {printable(reason, _SHOWN) or 'no reason given'}")


def never_ran(instance_id: str, words: str) -> SsmSshError:
    """Return the error of a script that did not begin; `words`: why_not_begun()."""
    return CommandFailed(
        f"{instance_id} has not run the command: {words or 'its script ended at once'}",
        "ssm-ssh exec needs a POSIX sh there, which Windows does not have",
    )


def mute(instance_id: str) -> SsmSshError:
    """Return why the output of a command stopped after a break of the connection."""
    return SessionEnded(f"the SSM Agent on {instance_id} has passed nothing on since the connection broke")


def unknown(instance_id: str, why: SsmSshError | None) -> SsmSshError:
    """Return the error of a command whose end did not arrive; `why`: what ended the session, if that is known."""
    reason = f": {why.message.rstrip('. ')}" if why is not None else ""
    return CommandFailed(
        f"the result of the command on {instance_id} is unknown{reason}",
        "It may have run, and may still run. Look there before you repeat it",
    )


def unwritten(instance_id: str, stream: str, reason: str) -> SsmSshError:
    """Return the error of a command whose output could not be written here; `reason`: of the operating system."""
    return CommandFailed(
        f"the output of the command on {instance_id} is incomplete, because {stream} cannot be written: {reason}",
        "It has run at least in part. Look there before you repeat it",
    )


def not_a_line(argv: Sequence[str]) -> SsmSshError | None:
    """Return what to tell someone whose command was not found because it is a line for a shell, else None."""
    if len(argv) != 1 or not _LINE.intersection(argv[0]):
        return None
    return CommandFailed(
        "COMMAND is a program and its arguments, not a line for a shell", f"Use: sh -c {printable(quote(argv[0]), 80)}"
    )


def runs_on(instance_id: str) -> str:
    """Return the notice of a command that has not ended after a signal."""
    return f"the command may still run on {instance_id}: it was not seen to end"
