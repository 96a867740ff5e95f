"""Locks that go with the process, however it ends: flock and fcntl, and a stand-in where a file system has neither.

Some network and FUSE file systems answer ENOLCK, ENOTSUP, EINVAL or ENOSYS. On Linux an abstract socket address then
stands for the lock: the kernel lets a single process have it, and takes it back when that ends. It excludes only
processes of this machine, as the locks of NFS mounted with `nolock` do.
https://man7.org/linux/man-pages/man7/unix.7.html
"""

from __future__ import annotations

import errno
import fcntl
import os
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    Release: TypeAlias = Callable[[], None]

# What a file system without locks answers; everything else is another trouble.
WITHOUT_LOCKS = frozenset((errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS))
# Seconds between two looks whether a lock that others hold is free: fcntl cannot wait for a limited time.
PAUSE = 0.03
# Seconds for which a stand-in is waited for: another user of this machine could hold its address.
_PATIENCE = 60.0


def hold(fd: int, folder: int, name: str) -> Release:
    """Lock the whole file open as `fd`, which is `name` in the open `folder`, alone; returns what releases a stand-in.

    Blocks. Closing `fd` releases the lock itself. Raises OSError; its errno is in WITHOUT_LOCKS where there are no
    locks and no stand-in.
    """
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
    except OSError as error:
        if error.errno not in WITHOUT_LOCKS:
            raise
        until = time.monotonic() + _PATIENCE
        while (release := _stand_in(folder, name, 0)) is None:
            if time.monotonic() >= until:
                raise
            time.sleep(PAUSE)
        return release
    return _nothing


def try_byte(fd: int | None, folder: int, name: str, place: int) -> Release | None:
    """Lock byte `place` of the file open as `fd` alone; None while others hold it, else as `hold`.

    Without `fd` the stand-in is taken. Raises OSError where there are no locks and no stand-in.
    """
    if fd is None:
        return _stand_in(folder, name, place)
    try:
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):  # POSIX leaves it open which
            return None
        if error.errno not in WITHOUT_LOCKS:
            raise
        return _stand_in(folder, name, place)
    return _nothing


def _nothing() -> None:
    """Release a lock that goes with its descriptor."""


def _stand_in(folder: int, name: str, place: int) -> Release | None:
    """Take the address that stands for a lock; None while another process has it.

    Raises OSError (ENOLCK) where there are no such addresses.
    """
    if sys.platform != "linux":
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))
    import socket
    from hashlib import sha256

    status = os.fstat(folder)
    about = f"{os.geteuid()} {status.st_dev} {status.st_ino} {name} {place}"
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        sock.bind(f"\0ssm-ssh-{sha256(about.encode()).hexdigest()[:40]}")
    except OSError as error:
        sock.close()
        if error.errno == errno.EADDRINUSE:
            return None
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK)) from error
    return sock.close
