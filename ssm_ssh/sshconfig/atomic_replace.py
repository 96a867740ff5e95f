"""Replace a file of the user: mode, owner, attributes and symlink stay, and no edit made meanwhile is lost.

A replacement is made in the same folder, written and flushed to the disk, then changed for the file in one step where
the system can exchange two names; what comes out of the exchange must be what was seen, or it goes back.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ssm_ssh.errors import StateError, UsageError
from ssm_ssh.storage import atomic_write, leftovers, trouble

if TYPE_CHECKING:
    from collections.abc import Iterator

# A configuration of thousands of hosts has half a megabyte.
_LARGEST = 16 << 20
_TEMPORARY, _BEFORE = ".ssm-ssh-new-", "[0-9a-f]{12}"
_AT_FDCWD = -100
_EXCHANGE = 2  # RENAME_EXCHANGE of renameat2(2), and RENAME_SWAP of macOS' renamex_np(2)


class Changed(StateError):
    """Somebody else changed the file meanwhile; what they wrote stands."""


class Seen(NamedTuple):
    """A file as it was seen. `path`: as ssh opens it; `target`: where its links lead; None: there is no file."""

    path: Path
    target: Path
    content: bytes | None
    status: os.stat_result | None

    @property
    def text(self) -> bytes:
        """The content, empty where there is no file."""
        return self.content or b""


def look(path: Path) -> Seen:
    """Return the file at `path`, or at the end of its links, as it is now.

    Raises UsageError where it is not a plain file of the user's own.
    """
    target = Path(os.path.realpath(path))
    try:
        fd = os.open(target, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return Seen(path, target, None, None)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise UsageError(f"{path} is not a plain file")
        with os.fdopen(fd, "rb", closefd=False) as file:
            content = file.read(_LARGEST + 1)
    finally:
        os.close(fd)
    if len(content) > _LARGEST:
        raise UsageError(f"{path} is larger than {_LARGEST >> 20} MiB")
    return Seen(path, target, content, status)


def check_replaceable(seen: Seen) -> None:
    """Raise UsageError where replacing the file would lose something: its owner, or a second name."""
    status = seen.status
    if status is None:
        return
    if status.st_uid != os.geteuid():
        raise UsageError(f"{seen.target} belongs to another user, so it was not changed")
    if status.st_nlink > 1:
        raise UsageError(
            f"{seen.target} has a second hard link, which would keep the old content",
            "Make it a symbolic link, or a file of its own",
        )


def replace(seen: Seen, content: bytes) -> Seen:
    """Make the file hold `content`, if it still is as `seen`; returns it as it is then.

    Raises Changed where it is not, StateError where the system refuses; the file is untouched in both cases.
    """
    try:
        with _opened(seen.target.parent) as folder:
            name = atomic_write.write_temporary(folder, _TEMPORARY, content, prepare=lambda fd: _copy_status(seen, fd))
            temporary = seen.target.with_name(name)
            try:
                if seen.status is None:
                    _put_new(temporary, seen)
                else:
                    _check(seen)
                    _exchange(temporary, seen)
                atomic_write.flush(folder)
            finally:
                with contextlib.suppress(FileNotFoundError):
                    temporary.unlink()
    except OSError as error:
        if seen.status is not None and not seen.target.exists():
            raise _changed(seen) from error
        raise _cannot(seen, error) from error
    now = look(seen.path)
    if now.content != content:
        raise _changed(seen)
    return now


def remove(seen: Seen) -> None:
    """Remove the file, if it still is as `seen`. Raises Changed, StateError as `replace` does."""
    try:
        _check(seen)
        seen.target.unlink(missing_ok=True)
        with _opened(seen.target.parent) as folder:
            atomic_write.flush(folder)
    except OSError as error:
        raise _cannot(seen, error) from error


def sweep(folder: Path) -> None:
    """Remove the temporary files that killed runs left in `folder`, and none of a running process."""
    with contextlib.suppress(OSError), _opened(folder) as fd:
        leftovers.sweep(fd, _TEMPORARY, _BEFORE)


def _copy_status(seen: Seen, fd: int) -> None:
    """Give the new file open as `fd` the owner, mode and attributes of the file that it replaces."""
    if seen.status is None:
        return
    now = os.fstat(fd)
    if (now.st_uid, now.st_gid) != (seen.status.st_uid, seen.status.st_gid):
        os.fchown(fd, seen.status.st_uid, seen.status.st_gid)
    os.fchmod(fd, stat.S_IMODE(seen.status.st_mode))
    _copy_attributes(seen.target, fd)


def _copy_attributes(source: Path, fd: int) -> None:
    if sys.platform != "linux":
        return
    try:
        for name in os.listxattr(source):
            os.setxattr(fd, name, os.getxattr(source, name))
    except OSError as error:
        # A label that the system itself gives (SELinux), or none known to this file system.
        if error.errno not in (errno.EPERM, errno.EACCES, errno.ENOTSUP, errno.EINVAL, errno.ENODATA):
            raise


def _put_new(temporary: Path, seen: Seen) -> None:
    """Give the file its name unless somebody has taken it."""
    try:
        os.link(temporary, seen.target)
    except FileExistsError as error:
        raise _changed(seen) from error
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK):
            raise
        _check(seen)  # a file system without hard links
        temporary.rename(seen.target)


def _exchange(temporary: Path, seen: Seen) -> None:
    if not _swap(temporary, seen.target):
        temporary.rename(seen.target)
        return
    # The old file has the temporary name now. An editor may have saved in the moment before the exchange.
    if not _same(look(temporary), seen):
        _swap(temporary, seen.target)
        raise _changed(seen)


def _swap(path: Path, other: Path) -> bool:
    """Exchange two names in one step; False where the system cannot."""
    first, second = os.fsencode(path), os.fsencode(other)
    try:
        library = ctypes.CDLL(None, use_errno=True)
        if sys.platform == "darwin":
            result = library.renamex_np(first, second, ctypes.c_uint(_EXCHANGE))
        else:
            result = library.renameat2(_AT_FDCWD, first, _AT_FDCWD, second, ctypes.c_uint(_EXCHANGE))
    except (AttributeError, OSError):
        return False
    if result == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP):
        return False
    raise OSError(number, os.strerror(number))


def _same(now: Seen, seen: Seen) -> bool:
    if now.status is None or seen.status is None:
        return now.status is seen.status
    return now.content == seen.content and now.status.st_ino == seen.status.st_ino


def _check(seen: Seen) -> None:
    now = look(seen.path)
    if now.target != seen.target or not _same(now, seen):
        raise _changed(seen)


@contextlib.contextmanager
def _opened(folder: Path) -> Iterator[int]:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


def _changed(seen: Seen) -> Changed:
    return Changed(
        f"{seen.path} was changed by another program in the meantime, so ssm-ssh did not change it", "Run it again"
    )


def _cannot(seen: Seen, error: OSError) -> StateError:
    if error.errno in trouble.FULL:
        return trouble.cannot_use(seen.target, error)
    return StateError(
        f"cannot change {seen.target}: {error.strerror}",
        "If another tool manages that file, let it add the line that --dry-run shows",
    )
