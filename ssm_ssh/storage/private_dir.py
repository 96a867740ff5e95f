"""Files of ours: 0600 in a 0700 folder, never through a link, written whole or not at all.

A folder is opened once, checked, and everything in it is reached relative to that descriptor, so that nobody can
swap a path between the check and the use.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from ssm_ssh.errors import StateError
from ssm_ssh.storage import leftovers, locks, trouble

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType

_LARGEST = 16 << 20
# The names of temporary files, up to where they tell who made them; older versions told the process id alone.
_TEMPORARY = re.compile(r"\..+?\.(?=[0-9]{1,10}(?:-[0-9]{1,20}-[0-9a-f]{12})?\.[0-9a-f]{8}$)")
# What a file system that knows no fsync answers.
_WITHOUT_FSYNC = frozenset((errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS))
# Folders in which this process has looked for what killed processes have left.
_swept: set[Path] = set()


class Folder:
    """A private folder of ours, open; a context manager that closes it."""

    def __init__(self, path: Path, fd: int) -> None:
        self.path = path
        self._fd = fd

    def __enter__(self) -> Folder:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        os.close(self._fd)

    def read(self, name: str) -> bytes | None:
        """Return the content of the file `name`, None where there is none; StateError if it is not a plain file."""
        try:
            fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=self._fd)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._unusable(name, error) from error
        self._check_file(name, fd)  # before fdopen, which will not have a directory
        with os.fdopen(fd, "rb") as file:
            content = file.read(_LARGEST + 1)
        if len(content) > _LARGEST:  # half of it must never be written back
            raise StateError(f"{self.path / name} is larger than {_LARGEST >> 20} MiB", "Remove it")
        return content

    def write(self, name: str, content: bytes, *, modified: float | None = None) -> None:
        """Make `name` hold `content`: a temporary file, fsync, rename; StateError leaves what was there.

        `modified`: what `modified` is to say of it (seconds since the epoch), if not what the file system's clock says.
        """
        self.sweep()
        temporary = leftovers.temporary(f".{name}.")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            fd = os.open(temporary, flags, 0o600, dir_fd=self._fd)
            try:
                with os.fdopen(fd, "wb") as file:
                    file.write(content)
                    file.flush()
                    if modified is not None:
                        os.utime(fd, (modified, modified))
                    _flush(fd)
                os.rename(temporary, name, src_dir_fd=self._fd, dst_dir_fd=self._fd)
            except BaseException:
                os.unlink(temporary, dir_fd=self._fd)
                raise
        except OSError as error:
            raise self._unusable(name, error) from error

    def modified(self, name: str) -> float | None:
        """Return when the file `name` was last written, in seconds since the epoch; None where there is none.

        Raises StateError if it is not a plain file.
        """
        try:
            status = os.stat(name, dir_fd=self._fd, follow_symlinks=False)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._unusable(name, error) from error
        if stat.S_ISLNK(status.st_mode):
            raise self._link(name)
        if not stat.S_ISREG(status.st_mode):
            raise self._not_plain(name)
        return status.st_mtime

    def size(self, name: str) -> int:
        """Return the length of the file `name` in bytes, 0 where there is none. Raises StateError."""
        try:
            return os.stat(name, dir_fd=self._fd, follow_symlinks=False).st_size
        except FileNotFoundError:
            return 0
        except OSError as error:
            raise self._unusable(name, error) from error

    def stamp(self, name: str, moment: float) -> None:
        """Have `modified` say `moment` of the file `name`."""
        try:
            os.utime(name, (moment, moment), dir_fd=self._fd, follow_symlinks=False)
        except OSError as error:
            raise self._unusable(name, error) from error

    def sweep(self) -> None:
        """Remove what writes have left whose processes were killed, and nothing of a process that lives."""
        with suppress(OSError):
            for left in os.listdir(self._fd):  # noqa: PTH208 - a Path knows no descriptor
                base = _TEMPORARY.match(left)
                if base is None:
                    continue
                with suppress(OSError):
                    status = os.stat(left, dir_fd=self._fd, follow_symlinks=False)
                    if stat.S_ISREG(status.st_mode) and leftovers.is_left_over(left, base[0], status.st_mtime):
                        os.unlink(left, dir_fd=self._fd)

    def tidy(self, name: str) -> None:
        """Remove what a `write` of `name` left that was killed. Only where nobody can be about to write it."""
        try:
            for left in os.listdir(self._fd):  # noqa: PTH208 - a Path knows no descriptor
                if left.startswith(f".{name}."):
                    os.unlink(left, dir_fd=self._fd)
        except OSError as error:
            raise self._unusable(name, error) from error

    def append_to(self, name: str) -> int:
        """Return a descriptor that appends to `name`, made if missing; the caller closes it."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        try:
            fd = os.open(name, flags, 0o600, dir_fd=self._fd)
        except OSError as error:
            raise self._unusable(name, error) from error
        self._check_file(name, fd)
        return fd

    def replace(self, old: str, new: str) -> None:
        """Rename `old` to `new`, replacing it; nothing happens where `old` is gone."""
        try:
            os.rename(old, new, src_dir_fd=self._fd, dst_dir_fd=self._fd)
        except FileNotFoundError:
            return
        except OSError as error:
            raise self._unusable(old, error) from error

    def remove(self, name: str) -> bool:
        """Remove `name`; False where there was none."""
        try:
            os.unlink(name, dir_fd=self._fd)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise self._unusable(name, error) from error
        return True

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Hold the lock file `name` exclusively; it goes with the process, however that ends.

        Raises StateError where the file system has no locks, and the system nothing that stands in for them.
        """
        fd = self.append_to(name)
        try:
            try:
                release = locks.hold(fd, self._fd, name)
            except OSError as error:
                raise trouble.cannot_lock(self.path / name, error) from error
            try:
                yield
            finally:
                release()
        finally:
            os.close(fd)

    @contextmanager
    def turn(self, name: str, place: int, patience: float) -> Iterator[None]:
        """Hold byte `place` of the file `name` alone; it goes with the process, however that ends.

        A byte stands for each thing that is locked, so that nothing is left of a lock. After `patience` seconds, and
        where nothing can be locked, it goes on without: for work that two may do at once without harm.
        """
        try:
            fd: int | None = self.append_to(name)
        except StateError:  # a disk that is full, or may only be read
            fd = None
        release = None
        try:
            until = time.monotonic() + patience
            with suppress(OSError):
                while (release := locks.try_byte(fd, self._fd, name, place)) is None and time.monotonic() < until:
                    time.sleep(locks.PAUSE)
            yield
        finally:
            if release is not None:
                release()
            if fd is not None:
                os.close(fd)

    def _check_file(self, name: str, fd: int) -> None:
        """Raise StateError, and close `fd`, where that is not a plain file that only we can write."""
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            os.close(fd)
            raise self._not_plain(name)
        if status.st_uid != os.geteuid() or status.st_mode & 0o022:
            os.close(fd)
            raise StateError(
                f"{self.path / name} belongs to another user or can be written by others",
                f"Run: chmod 600 '{self.path / name}', or remove it",
            )

    def _unusable(self, name: str, error: OSError) -> StateError:
        if error.errno == errno.ELOOP:  # so O_NOFOLLOW says it
            return self._link(name)
        if error.errno in (errno.EISDIR, errno.ENXIO):  # a folder, or a FIFO that nobody reads
            return self._not_plain(name)
        return trouble.cannot_use(self.path / name, error)

    def _not_plain(self, name: str) -> StateError:
        return StateError(f"{self.path / name} is not a plain file", "Remove it")

    def _link(self, name: str) -> StateError:
        return StateError(
            f"{self.path / name} is a symbolic link, and those are not followed",
            "Put the file itself there, or remove the link",
        )


def _flush(fd: int) -> None:
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in _WITHOUT_FSYNC:
            raise


def open_folder(path: Path) -> Folder:
    """Open `path`, made 0700 if missing.

    Raises StateError where it is a link, belongs to somebody else (as under sudo with another user's HOME) or is open
    to others.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(FileExistsError):
            path.mkdir(mode=0o700)
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        if path.is_symlink():  # O_DIRECTORY hides what O_NOFOLLOW would say
            raise StateError(
                f"the folder {path} is a symbolic link, and those are not followed",
                "Put the folder itself there, or remove the link",
            ) from error
        raise trouble.cannot_use(path, error, what="the folder ") from error
    status = os.fstat(fd)
    if status.st_uid != os.geteuid():
        os.close(fd)
        raise StateError(
            f"the folder {path} belongs to another user",
            "Under sudo, HOME is that user's: run ssm-ssh as yourself, or with sudo -H",
        )
    if status.st_mode & 0o077:
        os.close(fd)
        raise StateError(f"the folder {path} is open to other users", f"Run: chmod 700 '{path}'")
    folder = Folder(path, fd)
    if path not in _swept:
        _swept.add(path)
        folder.sweep()
    return folder
