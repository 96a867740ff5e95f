"""The log: one printable line per event, in a private file, and with --debug on stderr as well.

Loggers of other libraries are never attached: at DEBUG those of botocore and websockets print tokens and signatures.
"""

from __future__ import annotations

import os
import stat
import time

from ssm_ssh.errors import SsmSshError, UsageError
from ssm_ssh.startup import TYPE_CHECKING
from ssm_ssh.storage.paths import state_folder
from ssm_ssh.storage.private_dir import open_folder
from ssm_ssh.text import describe_unexpected, printable

if TYPE_CHECKING:
    from pathlib import Path

NAME = "ssm-ssh.log"
# Bytes: a few thousand connections. One older file is kept.
_LARGEST = 1 << 20
_LONGEST_LINE = 2000
# Seconds to wait while another process rotates the file.
_PATIENCE = 1.0
# Bytes per connection. Hours of errors take a tenth of a mebibyte.
_MOST = 1 << 18
# Bytes per connection for text from the other end, so that an instance cannot push everything else out of the log.
_MOST_FOREIGN = 1 << 14


class Log:
    """Writes events to a file descriptor (or none) and, if `debug`, to stderr."""

    def __init__(self, fd: int | None, *, debug: bool = False, subject: str = "") -> None:
        self._fd = fd
        self._debug = debug
        self._subject = subject
        self._left = _MOST
        self._left_foreign = _MOST_FOREIGN

    def info(self, text: str) -> None:
        """Record an event."""
        self._write(text)

    def foreign(self, text: str) -> None:
        """Record text from the other end, up to its share of the log."""
        if self._left_foreign <= 0:
            return
        self._left_foreign -= 100 + min(len(text), _LONGEST_LINE)  # with the prefix of each line
        self._write(text)
        if self._left_foreign <= 0:
            self._write("too much text from the other end: the rest is left out")

    def debug(self, text: str) -> None:
        """Record a detail, with --debug only."""
        if self._debug:
            self._write(text)

    def failure(self, error: BaseException) -> None:
        """Record an unexpected error, with its traceback if --debug is set."""
        if not self._debug:
            self._write(f"unexpected {describe_unexpected(error)}")
            return
        import traceback

        for line in "".join(traceback.format_exception(type(error), error, error.__traceback__)).splitlines():
            self._write(line)

    def release_stderr(self) -> None:
        """Write to stderr no more, and not to a log file that is the same pipe either (--log-file /dev/stderr)."""
        self._debug = False
        if self._fd is None:
            return
        try:
            own, stderr = os.fstat(self._fd), os.fstat(2)
        except OSError:
            return
        if os.path.samestat(own, stderr) and not stat.S_ISREG(own.st_mode):
            os.close(self._fd)
            self._fd = None

    def _write(self, text: str) -> None:
        event = printable(text, _LONGEST_LINE)
        if self._fd is not None:
            stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            line = f"{stamp} {os.getpid()} {self._subject} {event}\n"
            self._left -= len(line)
            if self._left < 0:
                last = "too much to log: the rest of this connection is left out"
                line = f"{stamp} {os.getpid()} {self._subject} {last}\n"
            try:
                os.write(self._fd, line.encode("ascii"))
            except OSError:  # a full disk must not end a connection
                self._fd = None
            if self._left < 0:
                self._fd = None
        if self._debug:
            try:
                os.write(2, f"ssm-ssh: {event}\n".encode("ascii"))
            except OSError:
                self._debug = False


def open_log(path: Path | None, *, debug: bool, subject: str) -> Log:
    """Open the log at `path`, or in the state folder; without a usable state folder, the log has no file.

    Raises UsageError only if `path` is given and cannot be written.
    """
    if path is not None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        try:
            return Log(os.open(path, flags, 0o600), debug=debug, subject=subject)
        except OSError as error:
            raise UsageError(f"cannot write the log file {path}: {error.strerror}", "Use another --log-file") from error
    try:
        with open_folder(state_folder()) as folder:
            fd = folder.append_to(NAME)
            if os.fstat(fd).st_size > _LARGEST:
                os.close(fd)
                with folder.turn(NAME, 0, _PATIENCE):
                    if folder.size(NAME) > _LARGEST:  # else another process has just rotated it
                        folder.replace(NAME, NAME + ".1")
                fd = folder.append_to(NAME)
    except SsmSshError as error:
        log = Log(None, debug=debug, subject=subject)
        log.debug(f"no log file: {error.sentence()}")
        return log
    return Log(fd, debug=debug, subject=subject)
