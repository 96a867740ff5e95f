"""Names of temporary files that identify their process, so that the files of killed processes can be removed.

A name carries the mark of its process (process_mark.py). A file of this boot and namespace is left over when its
process has ended. Any other file (from another machine on a shared home, from another container, from an older version)
is left over when it is older than any write takes.
"""

from __future__ import annotations

import os
import re
import stat
import time
from contextlib import suppress

from ssm_ssh.storage import process_mark

# Seconds. A write takes milliseconds, and minutes on the slowest of disks.
OLD = 3600.0
_OWNER = rf"({process_mark.PATTERN})\.[0-9a-f]{{8}}"  # compiled when needed
# What older versions put after the prefix: the process id alone.
_EARLIER = r"[0-9]{1,10}\.[0-9a-f]{8}"


def temporary(prefix: str) -> str:
    """Return a new name that begins with `prefix` and identifies this process."""
    return f"{prefix}{process_mark.own()}.{os.urandom(4).hex()}"


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
    owner = re.fullmatch(_OWNER, rest)
    ended = process_mark.has_ended(owner[1]) if owner is not None else None
    if ended is None:
        return (owner is not None or re.fullmatch(earlier, rest) is not None) and time.time() - modified > OLD
    return ended


def _start(pattern: re.Pattern[str], name: str) -> str | None:
    match = pattern.match(name)
    return match[0] if match else None
