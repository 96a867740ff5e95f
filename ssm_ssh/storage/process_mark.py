"""Marks that identify a process, so that another can tell later whether it has ended.

A mark carries the process id, the time at which that process started and, hashed, the machine, the boot and the pid
namespace that the id belongs to. About a process of another machine (on a shared home), of another container or of an
earlier boot nothing can be told.
"""

from __future__ import annotations

import os
import re

PATTERN = r"[0-9]{1,10}-[0-9]{1,20}-[0-9a-f]{12}"
_BOOT = "/proc/sys/kernel/random/boot_id"
_UNKNOWN = "0"


def own() -> str:
    """Return the mark of this process."""
    return of(os.getpid())


def of(pid: int) -> str:
    """Return the mark of the running process `pid`."""
    return f"{pid}-{_started(pid)}-{_namespace()}"


def has_ended(mark: str) -> bool | None:
    """Return whether the process with this `mark` has ended; None for one elsewhere, and for what is no mark.

    A process that is dead and not yet waited for counts as ended. Where the system does not tell when a process
    started, another one with the same id counts as that process.
    """
    if not re.fullmatch(PATTERN, mark):
        return None
    number, began, namespace = mark.split("-")
    if namespace != _namespace():
        return None
    pid = int(number)
    if not _is_running(pid):
        return True
    started = _started(pid)
    return started == "" or (began != _UNKNOWN and started not in (began, _UNKNOWN))


def knows_boots() -> bool:
    """Return whether the system tells boots apart, so that `has_ended` never speaks of another boot's process."""
    return bool(_boot())


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def _started(pid: int) -> str:
    """Return when process `pid` started, in ticks since boot; "" if it is dead, "0" where the system does not tell."""
    try:
        fd = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return _UNKNOWN
    try:
        # The name of the program, in parentheses, may hold anything.
        fields = os.read(fd, 4096).rpartition(b")")[2].split()
    except OSError:
        return _UNKNOWN
    finally:
        os.close(fd)
    if fields and fields[0] in (b"Z", b"X"):
        return ""
    return fields[19].decode("ascii") if len(fields) > 19 and fields[19].isdigit() else _UNKNOWN


def _namespace() -> str:
    """Return 12 hexadecimal digits for this boot of this machine and the pid namespace of this process."""
    from hashlib import sha256

    parts = [os.uname().nodename.encode("utf-8", "surrogateescape")]
    if boot := _boot():
        parts.append(boot)
        try:
            parts.append(os.fsencode(os.readlink("/proc/self/ns/pid")))  # noqa: PTH115 - pathlib costs a connection time
        except OSError:
            pass
    return sha256(b"\0".join(parts)).hexdigest()[:12]


def _boot() -> bytes:
    try:
        fd = os.open(_BOOT, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.read(fd, 64)
    except OSError:
        return b""
    finally:
        os.close(fd)
