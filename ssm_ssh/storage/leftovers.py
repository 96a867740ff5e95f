"""Names of temporary files that identify their process, so that the files of killed processes can be removed.

A name carries the process id, the time at which that process started and, hashed, the boot and the pid namespace that
the id belongs to. A file of this boot and namespace is left over when its process has ended. Any other file (from
another machine on a shared home, from another container, from an older version) is left over when it is older than any
write takes.
"""

from __future__ import annotations

import os
import re
import stat
import time
from contextlib import suppress

# Seconds. A write takes milliseconds, and minutes on the slowest of disks.
OLD = 3600.0
_OWNER = re.compile(r"([0-9]{1,10})-([0-9]{1,20})-([0-9a-f]{12})\.[0-9a-f]{8}")
# What older versions put after the prefix: the process id alone.
_EARLIER = r"[0-9]{1,10}\.[0-9a-f]{8}"


def temporary(prefix: str) -> str:
    """Return a new name that begins with `prefix` and identifies this process."""
    pid = os.getpid()
    return f"{prefix}{pid}-{_started(pid)}-{_namespace()}.{os.urandom(4).hex()}"


def sweep(folder: int, prefix: str | re.Pattern[str], earlier: str = _EARLIER) -> None:
    """Remove the plain files in the open `folder` that killed processes have left over, as far as that is possible.

    `prefix` is the prefix of the temporary files, or a pattern that matches it; `earlier` as for `is_left_over`.
    """
    with suppress(OSError):
        for name in os.listdir(folder):
            start = prefix if isinstance(prefix, str) else _start(prefix, name)
            if start is None or not name.startswith(start):
                continue
            with suppress(OSError):
                status = os.stat(name, dir_fd=folder, follow_symlinks=False)
                if stat.S_ISREG(status.st_mode) and is_left_over(name, start, status.st_mtime, earlier):
                    os.unlink(name, dir_fd=folder)


def is_left_over(name: str, prefix: str, modified: float, earlier: str = _EARLIER) -> bool:
    """Return whether a file called `name`, last written at `modified` (epoch seconds), is from an ended process.

    False for a name that does not consist of `prefix` and what `temporary` appends, or what older versions appended
    (`earlier`, a regular expression): that is another program's file.
    """
    if not name.startswith(prefix):
        return False
    rest = name[len(prefix) :]
    owner = _OWNER.fullmatch(rest)
    if owner is None or owner[3] != _namespace():
        return (owner is not None or re.fullmatch(earlier, rest) is not None) and time.time() - modified > OLD
    pid = int(owner[1])
    return not _is_running(pid) or (owner[2] != "0" and _started(pid) not in (owner[2], "0"))


def _start(pattern: re.Pattern[str], name: str) -> str | None:
    match = pattern.match(name)
    return match[0] if match else None


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def _started(pid: int) -> str:
    """Return when process `pid` started, in ticks since boot; "0" where the system does not tell."""
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


def _namespace() -> str:
    """Return 12 hexadecimal digits for this boot of this machine and the pid namespace of this process."""
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
