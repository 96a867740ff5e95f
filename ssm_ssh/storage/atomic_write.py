"""Files written whole or not at all: a temporary file in the same folder, flushed to the disk, then renamed.

A folder is an open descriptor, so that no part of its path can be exchanged in between. Every function raises OSError,
and leaves no temporary file when it does; those of killed processes are for `leftovers`.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress

from ssm_ssh.startup import TYPE_CHECKING
from ssm_ssh.storage import leftovers

if TYPE_CHECKING:
    from collections.abc import Callable

# What a file system answers that does not support fsync.
_WITHOUT_FSYNC = frozenset((errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS))


def replace(
    folder: int,
    name: str,
    content: bytes,
    *,
    prepare: Callable[[int], object] | None = None,
    durable: bool = True,
) -> None:
    """Make the file `name` in `folder` hold `content`; it is new, 0600, and replaces what had that name.

    `prepare` is called with the descriptor of the new file before it gets its name, to set its mode or time.
    `durable`: whether it must survive a crash of the machine, for which it waits for the disk.
    """
    temporary = write_temporary(folder, f".{name}.", content, prepare=prepare, durable=durable)
    try:
        os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(temporary, dir_fd=folder)
        raise


def write_temporary(
    folder: int,
    prefix: str,
    content: bytes,
    *,
    prepare: Callable[[int], object] | None = None,
    durable: bool = True,
) -> str:
    """Write `content` to a new file (0600) in `folder`, and flush it to the disk; returns its name.

    The name begins with `prefix` and carries this process, as `leftovers.temporary` makes it. `prepare` and `durable`
    as in `replace`.
    """
    name = leftovers.temporary(prefix)
    fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=folder)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(content)
            file.flush()
            if prepare is not None:
                prepare(fd)
            if durable:
                flush(fd)
    except BaseException:
        os.unlink(name, dir_fd=folder)
        raise
    return name


def flush(fd: int) -> None:
    """Flush the file or folder open as `fd` to the disk, where the file system can."""
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in _WITHOUT_FSYNC:
            raise
