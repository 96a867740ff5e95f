"""Private files: 0600 in a 0700 folder, never through a link, written whole or not at all.

A folder is opened once and checked, and its files are reached relative to that descriptor, so that no path can be
exchanged between the check and the use.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import time
from contextlib import contextmanager, suppress

from ssm_ssh.errors import StateError
from ssm_ssh.startup import TYPE_CHECKING
from ssm_ssh.storage import atomic_write, leftovers, locks, trouble

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType

_LARGEST = 16 << 20
# The prefix of temporary files: up to the part that identifies their process, in older versions the process id alone.
_TEMPORARY = r"\..+?\.(?=[0-9]{1,10}(?:-[0-9]{1,20}-[0-9a-f]{12})?\.[0-9a-f]{8}$)"  # compiled when needed
# Folders that this process has swept.
_swept: set[Path] = set()


class Folder:
    """A private folder, open; a context manager that closes it."""

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
        if len(content) > _LARGEST:  # a part of it must never be written back
            raise StateError(f"{self.path / name} is larger than {_LARGEST >> 20} MiB", "Remove it")
        return content

    def write(self, name: str, content: bytes, *, modified: float | None = None, durable: bool = True) -> None:
        """Make the file `name` hold `content`, whole; StateError leaves what was there.

        `modified`: the time of the file (seconds since the epoch), by default the file system's clock. `durable`:
        whether it must survive a crash of the machine, for which it waits for the disk.
        """
        self.sweep()

        def set_time(fd: int) -> None:
            if modified is not None:
                os.utime(fd, (modified, modified))

        try:
            atomic_write.replace(self._fd, name, content, prepare=set_time, durable=durable)
        except OSError as error:
            raise self._unusable(name, error) from error

    def names(self) -> list[str]:
        """Return the names of all entries, those of temporary files left out. Raises StateError."""
        try:
            entries = os.listdir(self._fd)  # noqa: PTH208 - a Path cannot name a descriptor
        except OSError as error:
            raise trouble.cannot_use(self.path, error, what="the folder ") from error
        return sorted(entry for entry in entries if not entry.startswith("."))

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

    def set_modified(self, name: str, moment: float) -> None:
        """Set the time of the file `name` to `moment`, in seconds since the epoch. Raises StateError."""
        try:
            os.utime(name, (moment, moment), dir_fd=self._fd, follow_symlinks=False)
        except OSError as error:
            raise self._unusable(name, error) from error

    def sweep(self) -> None:
        """Remove the temporary files of killed processes, and none of a running process."""
        leftovers.sweep(self._fd, re.compile(_TEMPORARY))

    def discard_temporaries(self, name: str) -> None:
        """Remove every temporary file of `name`, also of running processes: only for a caller that excludes writers.

        Raises StateError.
        """
        try:
            for entry in os.listdir(self._fd):  # noqa: PTH208 - a Path cannot name a descriptor
                if entry.startswith(f".{name}."):
                    os.unlink(entry, dir_fd=self._fd)
        except OSError as error:
            raise self._unusable(name, error) from error

    def append_to(self, name: str) -> int:
        """Return a descriptor that appends to `name`, which is created if missing; the caller closes it."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        try:
            fd = os.open(name, flags, 0o600, dir_fd=self._fd)
        except OSError as error:
            raise self._unusable(name, error) from error
        self._check_file(name, fd)
        return fd

    def replace(self, old: str, new: str) -> None:
        """Rename `old` to `new`, replacing it; does nothing if there is no `old`."""
        try:
            os.rename(old, new, src_dir_fd=self._fd, dst_dir_fd=self._fd)
        except FileNotFoundError:
            return
        except OSError as error:
            raise self._unusable(old, error) from error

    def remove(self, name: str) -> bool:
        """Remove `name`; returns whether it was there."""
        try:
            os.unlink(name, dir_fd=self._fd)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise self._unusable(name, error) from error
        return True

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Hold the lock file `name` exclusively; the lock ends with the process, however that ends.

        Raises StateError where the file system has no locks and the system has no substitute.
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
    def turn(self, name: str, offset: int, patience: float) -> Iterator[None]:
        """Hold byte `offset` of the file `name` exclusively; the lock ends with the process, however that ends.

        Each thing that is locked has its own byte, so that no files accumulate. After `patience` seconds, or where
        locking is impossible, the block runs without the lock: for work that two processes may do at the same time.
        """
        try:
            fd: int | None = self.append_to(name)
        except StateError:  # a full or read-only disk
            fd = None
        release = None
        try:
            until = time.monotonic() + patience
            with suppress(OSError):
                while (release := locks.try_byte(fd, self._fd, name, offset)) is None and time.monotonic() < until:
                    time.sleep(locks.PAUSE)
            yield
        finally:
            if release is not None:
                release()
            if fd is not None:
                os.close(fd)

    def _check_file(self, name: str, fd: int) -> None:
        """Raise StateError, and close `fd`, unless it is a plain file that only this user can write."""
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
        if error.errno == errno.ELOOP:  # the answer to O_NOFOLLOW
            return self._link(name)
        if error.errno in (errno.EISDIR, errno.ENXIO):  # a folder, or a FIFO without a reader
            return self._not_plain(name)
        return trouble.cannot_use(self.path / name, error)

    def _not_plain(self, name: str) -> StateError:
        return StateError(f"{self.path / name} is not a plain file", "Remove it")

    def _link(self, name: str) -> StateError:
        return StateError(
            f"{self.path / name} is a symbolic link, and those are not followed",
            "Put the file itself there, or remove the link",
        )


def open_folder(path: Path) -> Folder:
    """Open the folder `path`, which is created 0700 if missing.

    Raises StateError where it is a link, belongs to another user (as under sudo with another user's HOME) or is
    accessible to others, and where it would be in a home that does not exist.
    """
    try:
        with suppress(FileExistsError):
            try:
                path.mkdir(mode=0o700)
            except FileNotFoundError:
                _make_parents(path)
                path.mkdir(mode=0o700)
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        if path.is_symlink():  # O_DIRECTORY hides the error of O_NOFOLLOW
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


def _make_parents(path: Path) -> None:
    """Make the folders above `path`, but not a home: that of a lab goes while programs in it still run."""
    home = os.path.expanduser("~")  # noqa: PTH111 - as in paths.py
    if path.is_relative_to(home) and not os.path.isdir(home):  # noqa: PTH112
        raise StateError(f"the home folder {home} does not exist", "Create it, or set HOME to your home folder")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
