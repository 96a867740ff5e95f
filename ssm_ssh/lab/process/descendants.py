"""Find and kill the processes of an instance, by descent and by a mark in their environment."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

# A process is its number and the time it started: numbers are used again.
Identity = tuple[int, str]


def _table() -> dict[int, tuple[int, str]]:
    """Return every process's (parent, start time)."""
    table: dict[int, tuple[int, str]] = {}
    if sys.platform == "linux":
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError, IndexError, ValueError):
                    fields = _fields(int(entry.name))
                    table[int(entry.name)] = (int(fields[1]), fields[19])
        return table
    lines = subprocess.run(["ps", "-A", "-o", "pid=,ppid=,lstart="], capture_output=True, text=True, check=False).stdout
    for line in lines.splitlines():
        pid, parent, start = line.split(None, 2)
        table[int(pid)] = (int(parent), start)
    return table


def tree(pid: int) -> list[Identity]:
    """Return process `pid` and all below it, parents first; empty when it is gone."""
    table = _table()
    pids = [pid] if pid in table else []
    for parent in pids:
        pids += [child for child, (its_parent, _) in table.items() if its_parent == parent]
    return [(process, table[process][1]) for process in pids]


def zombies() -> set[Identity]:
    """Return the children of this process that have ended and have not been waited for (Linux; elsewhere none)."""
    ended = set()
    if sys.platform == "linux":
        for pid, (parent, start) in _table().items():
            with contextlib.suppress(OSError, IndexError):
                if parent == os.getpid() and _fields(pid)[0] == "Z":
                    ended.add((pid, start))
    return ended


async def collect_orphans(interval: float = 10.0) -> None:
    """Reap adopted orphans forever, so that a long-lived lab does not fill with zombies.

    Children that this process started are waited for at once where they were started, so a process that is still a
    zombie after `interval` seconds was adopted.
    """
    seen: set[Identity] = set()
    while True:
        now = await asyncio.get_running_loop().run_in_executor(None, zombies)
        for pid, _start in seen & now:
            with contextlib.suppress(OSError):
                os.waitpid(pid, os.WNOHANG)
        seen = now - seen
        await asyncio.sleep(interval)


def _fields(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat from the state on. The name before it can contain spaces and brackets."""
    return Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()


def _marked(mark: str) -> list[Identity]:
    """Return the descendants of this process whose environment contains `mark` (Linux; elsewhere none)."""
    processes = []
    for pid, start in tree(os.getpid())[1:]:
        with contextlib.suppress(OSError):
            if mark.encode() in Path("/proc", str(pid), "environ").read_bytes():
                processes.append((pid, start))
    return processes


def end(doomed: Iterable[Identity], marks: str = "") -> None:
    """Kill the processes `doomed` and, when `marks` is given, every descendant with that text in its environment.

    It repeats the search until it is empty, since a process can fork meanwhile.
    """
    wanted = list(doomed)
    for _ in range(20):
        table = _table()
        alive = [process for process in wanted if table.get(process[0], (0, ""))[1] == process[1]]
        for pid, _start in alive:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        wanted = _marked(marks) if marks else []
        if not wanted:
            return


async def output_pipe() -> tuple[asyncio.StreamReader, asyncio.ReadTransport, int]:
    """Return a new pipe as (reader, its transport, descriptor for a child to write to, which the caller closes).

    With asyncio's own pipes a program ends only when every process that inherited its output has ended.
    """
    ours, theirs = os.pipe()
    reader = asyncio.StreamReader()
    try:
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(ours, "rb", 0)
        )
    except BaseException:
        os.close(theirs)
        raise
    return reader, transport, theirs
