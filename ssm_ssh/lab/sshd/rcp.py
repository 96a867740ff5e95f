"""The far side of `scp -O`: scp's protocol before SFTP, for an instance whose uid has no name on this machine.

OpenSSH's scp refuses to run there ("unknown user"). This file stands alone, for it is copied to where the instance's
users can read it: `python -I -S rcp.py -t|-f [-r] [-p] [-d] PATH...`. After scp.c: C and D lines open files and
folders, E closes a folder, T gives times, and every step is answered by a byte, 0 for success and 1 with a line for an
error.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Sequence

_CHUNK = 1 << 18
_MODE = 0o7777


def _why(error: OSError) -> str:
    return error.strerror or str(error)


class Lost(Exception):
    """The other side has gone, or has said that it cannot go on."""


class Copier:
    """One side of a copy over stdin and stdout; `errors` counts what went wrong."""

    def __init__(self, *, recursive: bool, preserve: bool) -> None:
        self.recursive = recursive
        self.preserve = preserve
        self.errors = 0
        self.input = os.fdopen(0, "rb", closefd=False)
        self.output = os.fdopen(1, "wb", closefd=False)
        self.mask = os.umask(0)
        if not preserve:
            os.umask(self.mask)

    def say(self, data: bytes) -> None:
        """Send `data` now."""
        self.output.write(data)
        self.output.flush()

    def fail(self, name: bytes, why: str) -> None:
        """Tell of an error after which the copy goes on."""
        self.errors += 1
        self.say(b"\x01scp: " + name.replace(b"\n", b"?") + f": {why}\n".encode())

    def accepted(self) -> bool:
        """Return whether the other side has accepted the last step. Raises Lost."""
        byte = self.input.read(1)
        if byte == b"\0":
            return True
        self.input.readline()
        self.errors += 1
        if byte != b"\x01":
            raise Lost
        return False

    # To the client

    def send(self, path: bytes) -> None:
        """Send a file, or with `recursive` a folder and all that is in it."""
        name = os.path.basename(path.rstrip(b"/")) or b"/"  # noqa: PTH119 -- bytes
        # As scp does it, for a line ends with a newline.
        name = name.replace(b"\n", b"\\^J")
        try:
            # A named pipe without a writer would hold up the copy.
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        except OSError as error:
            self.fail(path, _why(error))
            return
        try:
            status = os.fstat(descriptor)
            if stat.S_ISDIR(status.st_mode) and self.recursive:
                self._send_folder(path, name, status)
            elif stat.S_ISREG(status.st_mode):
                self._send_file(descriptor, path, name, status)
            else:
                self.fail(path, "not a regular file")
        finally:
            os.close(descriptor)

    def _send_times(self, status: os.stat_result) -> bool:
        if not self.preserve:
            return True
        self.say(b"T%d 0 %d 0\n" % (max(0, int(status.st_mtime)), max(0, int(status.st_atime))))
        return self.accepted()

    def _send_folder(self, path: bytes, name: bytes, status: os.stat_result) -> None:
        try:
            names = os.listdir(path)  # noqa: PTH208 -- bytes
        except OSError as error:
            self.fail(path, _why(error))
            return
        if not self._send_times(status):
            return
        self.say(b"D%04o 0 %s\n" % (status.st_mode & _MODE, name))
        if not self.accepted():
            return
        for inner in names:
            self.send(os.path.join(path, inner))  # noqa: PTH118 -- bytes
        self.say(b"E\n")
        self.accepted()

    def _send_file(self, descriptor: int, path: bytes, name: bytes, status: os.stat_result) -> None:
        if not self._send_times(status):
            return
        self.say(b"C%04o %d %s\n" % (status.st_mode & _MODE, status.st_size, name))
        if not self.accepted():
            return
        left, problem = status.st_size, ""
        while left:
            data = b""
            if not problem:
                try:
                    data = os.read(descriptor, min(left, _CHUNK))
                except OSError as error:
                    problem = _why(error)
                if not data and not problem:
                    problem = "the file has become shorter"
            # The size has been told, so that many bytes have to come.
            data = data or bytes(min(left, _CHUNK))
            self.output.write(data)
            left -= len(data)
        if problem:
            self.fail(path, problem)
        else:
            self.say(b"\0")
        self.accepted()

    # From the client

    def receive(self, target: bytes, *, folder: bool) -> None:
        """Write what comes to `target`, which has to be a folder if `folder`. Raises Lost."""
        if folder and not os.path.isdir(target):  # noqa: PTH112 -- bytes
            self.fail(target, "Not a directory" if os.path.lexists(target) else "No such file or directory")
            raise Lost
        into = os.path.isdir(target)  # noqa: PTH112 -- bytes
        self.say(b"\0")
        times: tuple[float, float] | None = None
        while line := self.input.readline():
            kind, rest = line[:1], line[1:].rstrip(b"\n")
            if kind in (b"\x01", b"\x02"):
                self.errors += 1
                if kind == b"\x02":
                    raise Lost
                continue
            if kind == b"E":
                self.say(b"\0")
                return
            try:
                if kind == b"T":
                    modified, _, accessed, _ = map(int, rest.split(b" "))
                    times = (accessed, modified)
                    self.say(b"\0")
                    continue
                mode, size, name = rest.split(b" ", 2)
                bits, count = int(mode, 8) & _MODE, int(size)
            except ValueError:
                self.fail(b"protocol error", "expected control record")
                raise Lost from None
            if kind not in (b"C", b"D") or b"/" in name or name in (b"", b".", b".."):
                self.fail(name, "unexpected filename")
                raise Lost
            path = os.path.join(target, name) if into else target  # noqa: PTH118 -- bytes
            if kind == b"D":
                self._receive_folder(path, bits, times)
            else:
                self._receive_file(path, bits, count, times)
            times = None

    def _receive_folder(self, path: bytes, mode: int, times: tuple[float, float] | None) -> None:
        if not self.recursive:
            self.fail(path, "received directory without -r")
            raise Lost
        new = False
        try:
            if not os.path.isdir(path):  # noqa: PTH112 -- bytes
                os.mkdir(path, mode | stat.S_IRWXU)  # noqa: PTH102 -- bytes
                new = True
        except OSError as error:
            self.fail(path, _why(error))
            return
        self.receive(path, folder=True)
        try:
            if times:
                os.utime(path, times)
            if new or self.preserve:
                os.chmod(path, mode if self.preserve else mode & ~self.mask)  # noqa: PTH101 -- bytes
        except OSError as error:
            self.fail(path, _why(error))

    def _receive_file(self, path: bytes, mode: int, size: int, times: tuple[float, float] | None) -> None:
        new = not os.path.lexists(path)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, mode | stat.S_IWUSR)
        except OSError as error:
            self.fail(path, _why(error))
            return
        self.say(b"\0")
        problem, left = "", size
        while left:
            data = self.input.read(min(left, _CHUNK))
            if not data:
                raise Lost
            left -= len(data)
            try:
                while data and not problem:
                    data = data[os.write(descriptor, data) :]
            except OSError as error:
                problem = _why(error)
        try:
            if not problem:
                if stat.S_ISREG(os.fstat(descriptor).st_mode):
                    os.ftruncate(descriptor, size)
                if new or self.preserve:
                    os.fchmod(descriptor, mode if self.preserve else mode & ~self.mask)
        except OSError as error:
            problem = _why(error)
        os.close(descriptor)
        if self.accepted() and times and not problem:
            try:
                os.utime(path, times)
            except OSError as error:
                problem = _why(error)
        if problem:
            self.fail(path, problem)
        else:
            self.say(b"\0")


def main(words: Sequence[str]) -> int:
    """Be scp on the far side, with its arguments; returns the exit status."""
    options = ""
    names = list(words)
    while names and names[0].startswith("-"):
        word = names.pop(0)
        if word == "--":
            break
        options += word[1:]
    copier = Copier(recursive="r" in options, preserve="p" in options)
    try:
        if "t" in options:
            copier.receive(os.fsencode(names[0]), folder="d" in options)
        else:
            copier.accepted()
            for name in names:
                copier.send(os.fsencode(name))
    except (Lost, BrokenPipeError):
        return 1
    return 1 if copier.errors else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
