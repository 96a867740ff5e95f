"""The forwards that run in the background, for `ssm-ssh forward --list` and `--stop`: one JSON file, written whole."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ssm_ssh.names import is_instance_id
from ssm_ssh.storage.json_store import JsonStore, rows
from ssm_ssh.text import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

NAME = "forwards.json"
_STORE = JsonStore(NAME, most=200)
_FORWARDS = "forwards"
_LOOK = 0.05


class Record(NamedTuple):
    """One process. `birth`: when it started, in the system's words, for its number is used again; `at`: epoch seconds.

    `forwards`: for each where it listens, and where it leads.
    """

    pid: int
    birth: str
    at: float
    instance_id: str
    forwards: tuple[tuple[tuple[str, ...], str], ...]

    @property
    def ports(self) -> set[str]:
        """The local ports, as text."""
        return {address.rpartition(":")[2] for addresses, _ in self.forwards for address in addresses}


def add(instance_id: str, forwards: Sequence[tuple[Sequence[str], str]]) -> None:
    """Record this process. Raises StateError."""
    pid = os.getpid()
    kept = tuple((tuple(addresses), destination) for addresses, destination in forwards)
    _change(Record(pid, _birth(pid), time.time(), instance_id, kept), pid)


def remove() -> None:
    """Take this process out. Raises StateError."""
    _change(None, os.getpid())


def running() -> list[Record]:
    """Return the processes that run, the oldest first. Raises StateError."""
    return [record for record in _records(_STORE.read()) if _runs(record)]


def stop(record: Record, patience: float) -> bool:
    """End a process, within `patience` seconds; returns whether it has ended."""
    try:
        os.kill(record.pid, signal.SIGTERM)
    except ProcessLookupError:
        return True
    until = time.monotonic() + patience
    while _runs(record):
        if time.monotonic() >= until:
            return False
        time.sleep(_LOOK)
    return True


def _change(added: Record | None, pid: int) -> None:
    with _STORE.update() as content:
        kept = [record for record in _records(content) if record.pid != pid and _runs(record)]
        content[_FORWARDS] = [record._asdict() for record in (*kept, *([added] if added else []))]


def _runs(record: Record) -> bool:
    try:
        os.kill(record.pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it belongs to another user by now
        return False
    return record.birth == _birth(record.pid)


def _birth(pid: int) -> str:
    """Return when a process started, in clock ticks since the machine did (proc(5)); "" where that is not known."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
    fields = stat.rpartition(")")[2].split()
    return "" if len(fields) < 20 or fields[0] == "Z" else fields[19]


def _records(content: dict[str, Any]) -> list[Record]:
    return [record for record in map(_record, rows(content, _FORWARDS)) if record is not None]


def _record(value: Any) -> Record | None:  # noqa: ANN401 -- JSON
    try:
        forwards = tuple(
            (tuple(printable(address, 200) for address in addresses), printable(destination, 300))
            for addresses, destination in value["forwards"]
        )
        record = Record(int(value["pid"]), str(value["birth"]), float(value["at"]), str(value["instance_id"]), forwards)
    except (KeyError, TypeError, ValueError):
        return None
    return record if record.pid > 1 and is_instance_id(record.instance_id) else None
