"""What was learned about ways into instances, and which entries are still to go: one file, never a reason to fail.

Kept for each instance: that EC2 Instance Connect does not let in there, which may change (a package is installed, a
policy loaded), so it expires. For each entry that Run Command has put into an authorized_keys file: where and until
when. It takes itself out; that it has is known when a later push to the same account has swept.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from ssm_ssh.errors import StateError
from ssm_ssh.storage.paths import state_folder
from ssm_ssh.storage.private_dir import open_folder

if TYPE_CHECKING:
    from collections.abc import Callable

NAME = "push.json"
_LOCK = "push.lock"
# Seconds: how long it counts that EC2 Instance Connect does not let in (for certain, or as it seems), and how long
# nobody tries again to find out.
_INEFFECTIVE_FOR, _SEEMS_FOR, PROBE_PAUSE = 7 * 86400.0, 86400.0, 600.0
_MOST = 2000
_LATEST = 1e11


class Ineffective(NamedTuple):
    """EC2 Instance Connect does not let in on an instance: seen when, and taken for true until when (epoch seconds)."""

    since: float
    until: float


class Entry(NamedTuple):
    """An entry in an authorized_keys file whose removal has not been confirmed.

    `heard`: whether the command that was to put it in has said that it did.
    """

    entry_id: str
    instance_id: str
    user: str
    expires: float
    heard: bool = True


def ineffective(instance_id: str, now: float) -> Ineffective | None:
    """Return what is known of EC2 Instance Connect's failure there, None for nothing. Never raises."""
    value: Any = _read()["eic"].get(instance_id)
    try:
        found = Ineffective(_time(value["since"]), _time(value["until"]))
    except (TypeError, KeyError, ValueError):
        return None
    return found if found.since - 60 <= now < found.until else None


def learn(instance_id: str, now: float, *, effective: bool, certain: bool = True) -> None:
    """Note whether EC2 Instance Connect lets in there. Raises StateError.

    `certain`: somebody was refused who is known to exist there.
    """

    def change(content: dict[str, dict[str, Any]]) -> None:
        content["eic"].pop(instance_id, None)
        if not effective:
            content["eic"][instance_id] = {"since": now, "until": now + (_INEFFECTIVE_FOR if certain else _SEEMS_FOR)}

    _change(change)


def may_probe(instance_id: str, user: str, now: float) -> bool:
    """Whether nobody has tried within the last ten minutes; if so, notes that somebody does now. Raises StateError."""
    key = f"{instance_id} {user}"
    free = False

    def change(content: dict[str, dict[str, Any]]) -> None:
        nonlocal free
        probes = content["probes"]
        free = not _recent(probes.get(key), now)
        for old in [name for name, when in probes.items() if not _recent(when, now)]:
            del probes[old]
        if free:
            probes[key] = now

    _change(change)
    return free


def looked_refused(instance_id: str, user: str, now: float) -> bool:
    """Whether a login as `user` looked refused within the last ten minutes, and was looked into. Never raises."""
    return _recent(_read()["probes"].get(f"{instance_id} {user}"), now)


def expected(entry: Entry) -> None:
    """Note an entry that Run Command is about to be told to put in."""
    _change(lambda content: _note(content, entry))


def placed(entry: Entry, now: float) -> None:
    """Note an entry that Run Command has put in; entries of the account that had expired by then were swept with it."""

    def change(content: dict[str, dict[str, Any]]) -> None:
        _forget(content, entry.instance_id, entry.user, now)
        _note(content, entry)

    _change(change)


def never_placed(entry_id: str) -> None:
    """Note that an entry that was to be put in was not."""
    _change(lambda content: content["entries"].pop(entry_id, None))


def gone(instance_id: str) -> None:
    """Note that an instance is no more, and with it whatever was in its files. Raises StateError."""

    def change(content: dict[str, dict[str, Any]]) -> None:
        content["eic"].pop(instance_id, None)
        for entry in _entries(content):
            if entry.instance_id == instance_id:
                del content["entries"][entry.entry_id]

    _change(change)


def swept(instance_id: str, user: str, now: float) -> None:
    """Note that expired entries are gone from an account."""
    _change(lambda content: _forget(content, instance_id, user, now))


def entries() -> list[Entry]:
    """Return the entries whose removal has not been confirmed, the oldest first. Never raises."""
    return sorted(_entries(_read()), key=lambda entry: entry.expires)


def _entries(content: dict[str, dict[str, Any]]) -> list[Entry]:
    found = []
    for key, value in content["entries"].items():
        try:
            heard = value.get("heard") is not False
            found.append(Entry(key, str(value["instance"]), str(value["user"]), _time(value["expires"]), heard))
        except (TypeError, KeyError, ValueError, AttributeError):
            continue
    return found


def _note(content: dict[str, dict[str, Any]], entry: Entry) -> None:
    content["entries"][entry.entry_id] = {
        "instance": entry.instance_id,
        "user": entry.user,
        "expires": entry.expires,
    }
    if not entry.heard:
        content["entries"][entry.entry_id]["heard"] = False


def _forget(content: dict[str, dict[str, Any]], instance_id: str, user: str, before: float) -> None:
    for key, value in list(content["entries"].items()):
        try:
            gone = (value["instance"], value["user"]) == (instance_id, user) and float(value["expires"]) <= before
        except (TypeError, KeyError, ValueError):
            gone = True
        if gone:
            del content["entries"][key]


def _time(value: Any) -> float:  # noqa: ANN401 - whatever JSON holds
    """Return seconds since the epoch. Raises TypeError and ValueError for what is no time within some centuries."""
    found = float(value)
    if not 0 <= found < _LATEST:
        raise ValueError
    return found


def _recent(when: object, now: float) -> bool:
    return isinstance(when, int | float) and 0 <= now - when < PROBE_PAUSE


def _read() -> dict[str, dict[str, Any]]:
    try:
        with open_folder(state_folder()) as folder:
            return _load(folder.read(NAME))
    except StateError:
        return _load(None)


def _change(change: Callable[[dict[str, dict[str, Any]]], object]) -> None:
    with open_folder(state_folder()) as folder, folder.lock(_LOCK):
        content = _load(folder.read(NAME))
        change(content)
        for part in content.values():
            for key in list(part)[: max(0, len(part) - _MOST)]:
                del part[key]
        folder.write(NAME, json.dumps({"version": 1, **content}, separators=(",", ":")).encode("ascii"))


def _load(data: bytes | None) -> dict[str, dict[str, Any]]:
    try:
        found = json.loads(data or b"{}")
    except (ValueError, RecursionError):
        found = {}
    parts = found if isinstance(found, dict) else {}
    return {
        name: dict(parts[name]) if isinstance(parts.get(name), dict) else {} for name in ("eic", "probes", "entries")
    }
