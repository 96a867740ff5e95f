"""The forwards that run in the background, for `ssm-ssh forward --list` and `--stop`: one JSON file, written whole."""

from __future__ import annotations

import os
import re
import signal
import time

from ssm_ssh.names import is_instance_id
from ssm_ssh.startup import TYPE_CHECKING, NamedTuple
from ssm_ssh.storage import process_mark
from ssm_ssh.storage.json_store import JsonStore, rows
from ssm_ssh.text import printable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

NAME = "forwards.json"
_STORE = JsonStore(NAME, most=200)
_FORWARDS = "forwards"
_LOOK = 0.05


class Record(NamedTuple):
    """One process. `mark`: storage/process_mark.py; `at`: epoch seconds.

    `forwards`: for each where it listens, and where it leads.
    """

    mark: str
    at: float
    instance_id: str
    forwards: tuple[tuple[tuple[str, ...], str], ...]

    @property
    def pid(self) -> int:
        """The process id."""
        return int(self.mark.partition("-")[0])

    @property
    def ports(self) -> set[str]:
        """The local ports, as text."""
        return {address.rpartition(":")[2] for addresses, _ in self.forwards for address in addresses}


def add(instance_id: str, forwards: Sequence[tuple[Sequence[str], str]]) -> None:
    """Record this process. Raises StateError."""
    kept = tuple((tuple(addresses), destination) for addresses, destination in forwards)
    _change(Record(process_mark.own(), time.time(), instance_id, kept))


def remove() -> None:
    """Take this process out. Raises StateError."""
    _change(None)


def running() -> list[Record]:
    """Return the processes that run, the oldest first. Raises StateError."""
    return [record for record in _records(_STORE.read()) if _runs(record)]


def stop(record: Record, patience: float) -> bool:
    """End a process, within `patience` seconds; returns whether it has ended."""
    try:
        os.kill(record.pid, signal.SIGTERM)
    except ProcessLookupError:
        return True
    except PermissionError:  # another user's process, by sudo or su
        return False
    until = time.monotonic() + patience
    while _runs(record):
        if time.monotonic() >= until:
            return False
        time.sleep(_LOOK)
    return True


def _change(added: Record | None) -> None:
    own = process_mark.own()
    with _STORE.update() as content:
        # Those of other machines stay, because nothing is known of them.
        kept = [
            record
            for record in _records(content)
            if record.mark != own and process_mark.has_ended(record.mark) is not True
        ]
        content[_FORWARDS] = [record._asdict() for record in (*kept, *([added] if added else []))]


def _runs(record: Record) -> bool:
    """Whether the process is here and runs; one of another machine that shares this home is not here."""
    return process_mark.has_ended(record.mark) is False


def _records(content: dict[str, Any]) -> list[Record]:
    return [record for record in map(_record, rows(content, _FORWARDS)) if record is not None]


def _record(value: Any) -> Record | None:  # noqa: ANN401 -- JSON
    try:
        forwards = tuple(
            (tuple(printable(address, 200) for address in addresses), printable(destination, 300))
            for addresses, destination in value["forwards"]
        )
        record = Record(str(value["mark"]), float(value["at"]), str(value["instance_id"]), forwards)
    except (KeyError, TypeError, ValueError):
        return None
    usable = re.fullmatch(process_mark.PATTERN, record.mark) and record.pid > 1
    return record if usable and is_instance_id(record.instance_id) else None
