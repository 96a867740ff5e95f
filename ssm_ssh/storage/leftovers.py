"""Names of temporary files that tell who makes them, so that those of processes that were killed can be removed.

A name carries the process id, when that process started and, hashed, the boot and the pid namespace that the id
belongs to. A file of this boot and namespace is left over when its process is gone. Any other file (another machine's
on a shared home, another container's, one of an older version) is left over when it is older than any write takes.
"""

from __future__ import annotations

import os
import re
import time

# Seconds. A write of ours takes milliseconds, and minutes on the worst of disks.
OLD = 3600.0
_MARK = re.compile(r"([0-9]{1,10})-([0-9]{1,20})-([0-9a-f]{12})\.[0-9a-f]{8}")
# What older versions put behind the prefix: the process id alone.
_BEFORE = r"[0-9]{1,10}\.[0-9a-f]{8}"


def temporary(prefix: str) -> str:
    """Return a new name that begins with `prefix` and tells that this process makes it."""
    pid = os.getpid()
    return f"{prefix}{pid}-{_started(pid)}-{_realm()}.{os.urandom(4).hex()}"


def is_left_over(name: str, prefix: str, modified: float, before: str = _BEFORE) -> bool:
    """Whether a file called `name`, last written at `modified` (epoch seconds), was made by a process that is gone.

    False for a name that is not `prefix` and what `temporary` puts behind it, or older versions (`before`, a regular
    expression): that is another program's file.
    """
    if not name.startswith(prefix):
        return False
    rest = name[len(prefix) :]
    mark = _MARK.fullmatch(rest)
    if mark is None or mark[3] != _realm():
        return (mark is not None or re.fullmatch(before, rest) is not None) and time.time() - modified > OLD
    pid = int(mark[1])
    return not _lives(pid) or (mark[2] != "0" and _started(pid) not in (mark[2], "0"))


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def _started(pid: int) -> str:
    """Return when process `pid` started, in ticks since boot; "0" where that is not to be learned."""
    try:
        fd = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return "0"
    try:
        # The name of the program, in parentheses, may hold anything.
        fields = os.read(fd, 4096).rpartition(b")")[2].split()
    except OSError:
        return "0"
    finally:
        os.close(fd)
    return fields[19].decode("ascii") if len(fields) > 19 and fields[19].isdigit() else "0"


def _realm() -> str:
    """Return 12 hexadecimal digits that stand for this boot of this machine, and its process ids as seen from here."""
    from hashlib import sha256

    parts = [os.uname().nodename.encode("utf-8", "surrogateescape")]
    try:
        fd = os.open("/proc/sys/kernel/random/boot_id", os.O_RDONLY | os.O_CLOEXEC)
        try:
            parts.append(os.read(fd, 64))
        finally:
            os.close(fd)
        parts.append(os.fsencode(os.readlink("/proc/self/ns/pid")))  # noqa: PTH115 - pathlib costs a connection time
    except OSError:
        pass
    return sha256(b"\0".join(parts)).hexdigest()[:12]
