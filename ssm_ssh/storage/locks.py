"""Locks that end with the process, however it ends: flock and fcntl, with a substitute where a file system has neither.

Some network and FUSE file systems answer ENOLCK, ENOTSUP, EINVAL or ENOSYS. On Linux an abstract socket address is the
substitute: the kernel gives it to one process at a time and takes it back when the process ends. It excludes only
processes of this machine, as the locks of NFS mounted with `nolock` do.
https://man7.org/linux/man-pages/man7/unix.7.html
"""

from __future__ import annotations

import errno
import fcntl
import os
import sys
import time

from ssm_ssh.startup import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    Release: TypeAlias = Callable[[], None]

# The errors of a file system without locks. Any other error has another cause.
WITHOUT_LOCKS = frozenset((errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS))
# Seconds between two attempts to take a lock: fcntl cannot wait for a limited time.
PAUSE = 0.03
# Seconds to wait for a substitute: another user of this machine could hold its address.
_PATIENCE = 60.0


def hold(fd: int, folder: int, name: str) -> Release:
    """Lock the whole file open as `fd`, which is `name` in the open `folder`, exclusively.

    Blocks. Returns a function that releases a substitute; closing `fd` releases the lock itself. Raises OSError, with
    an errno in WITHOUT_LOCKS where there are neither locks nor a substitute.
    """
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
    except OSError as error:
        if error.errno not in WITHOUT_LOCKS:
            raise
        until = time.monotonic() + _PATIENCE
        while (release := _substitute(folder, name, 0)) is None:
            if time.monotonic() >= until:
                raise
            time.sleep(PAUSE)
        return release
    return _nothing


def try_byte(fd: int | None, folder: int, name: str, offset: int) -> Release | None:
    """Lock byte `offset` of the file open as `fd` exclusively; None while another process holds it, else as `hold`.

    Without `fd` the substitute is taken. Raises OSError where there are neither locks nor a substitute.
    """
    if fd is None:
        return _substitute(folder, name, offset)
    try:
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, offset)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):  # POSIX allows either
            return None
        if error.errno not in WITHOUT_LOCKS:
            raise
        return _substitute(folder, name, offset)
    return _nothing


def _nothing() -> None:
    """Release a lock that is released with its descriptor."""


def _substitute(folder: int, name: str, offset: int) -> Release | None:
    """Take the socket address that represents a lock; None while another process has it.

    Raises OSError (ENOLCK) where there are no such addresses.
    """
    if sys.platform != "linux":
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))
    import socket
    from hashlib import sha256

    status = os.fstat(folder)
    about = f"{os.geteuid()} {status.st_dev} {status.st_ino} {name} {offset}"
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        sock.bind(f"\0ssm-ssh-{sha256(about.encode()).hexdigest()[:40]}")
    except OSError as error:
        sock.close()
        if error.errno == errno.EADDRINUSE:
            return None
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK)) from error
    return sock.close
