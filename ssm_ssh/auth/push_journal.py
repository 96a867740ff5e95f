"""What was learned about pushing keys: a state file that is never a reason to fail.

For each instance: whether keys pushed by EC2 Instance Connect are ineffective there. That may change (a package is
installed, a policy is loaded), so it expires. For each entry that Run Command has written to an authorized_keys file:
where it is and until when. The entry removes itself; a later push to the same account, which sweeps expired entries,
confirms that.
"""

from __future__ import annotations

from ssm_ssh.startup import TYPE_CHECKING, NamedTuple
from ssm_ssh.storage.json_store import JsonStore, table

if TYPE_CHECKING:
    from typing import Any

    from ssm_ssh.storage.json_store import Content

NAME = "push.json"
# Set in the environment of the programs that a probe of EC2 Instance Connect starts (eic_probe.py).
PROBE_MARK = "SSM_SSH_PROBE"
_STORE = JsonStore(NAME, most=2000)
# The tables: by instance, by instance and user, by entry id.
_EIC, _PROBES, _ENTRIES = "eic", "probes", "entries"
# Seconds: how long EC2 Instance Connect counts as ineffective (for certain, or as it seems), and how long no second
# probe is made.
_INEFFECTIVE_FOR, _SEEMS_FOR, PROBE_PAUSE = 7 * 86400.0, 86400.0, 600.0
# Seconds since the epoch, some centuries from now.
_LATEST = 1e11
# Seconds by which a clock may have been set back since a note.
_CLOCK_SKEW = 60.0


class Ineffective(NamedTuple):
    """EC2 Instance Connect's keys are not accepted on an instance: observed at `since`, assumed until `until`.

    Both in epoch seconds.
    """

    since: float
    until: float


class Entry(NamedTuple):
    """An entry in an authorized_keys file whose removal has not been confirmed.

    `heard`: whether the command that was to write it has reported that it did.
    """

    entry_id: str
    instance_id: str
    user: str
    expires: float
    heard: bool = True


def ineffective(instance_id: str, now: float) -> Ineffective | None:
    """Return since when EC2 Instance Connect is known to be ineffective there, None if it is not. Never raises."""
    value: Any = table(_STORE.peek(), _EIC).get(instance_id)
    try:
        note = Ineffective(_time(value["since"]), _time(value["until"]))
    except (TypeError, KeyError, ValueError):
        return None
    return note if note.since - _CLOCK_SKEW <= now < note.until else None


def learn(instance_id: str, now: float, *, effective: bool, certain: bool = True) -> None:
    """Note whether keys pushed by EC2 Instance Connect are accepted there. Raises StateError.

    `certain`: a user who is known to exist there was refused.
    """
    with _STORE.update() as content:
        notes = table(content, _EIC)
        notes.pop(instance_id, None)
        if not effective:
            notes[instance_id] = {"since": now, "until": now + (_INEFFECTIVE_FOR if certain else _SEEMS_FOR)}


def may_probe(instance_id: str, user: str, now: float) -> bool:
    """Return whether no probe was made within the last ten minutes; if so, note one. Raises StateError."""
    key = f"{instance_id} {user}"
    with _STORE.update() as content:
        probes = table(content, _PROBES)
        free = not _recent(probes.get(key), now)
        for old in [name for name, when in probes.items() if not _recent(when, now)]:
            del probes[old]
        if free:
            probes[key] = now
    return free


def looked_refused(instance_id: str, user: str, now: float) -> bool:
    """Return whether a login as `user` looked refused within the last ten minutes, and was probed. Never raises."""
    return _recent(table(_STORE.peek(), _PROBES).get(f"{instance_id} {user}"), now)


def expected(entry: Entry) -> None:
    """Note an entry that Run Command is about to be asked to write. Raises StateError."""
    with _STORE.update() as content:
        _note(content, entry)


def placed(entry: Entry, now: float) -> None:
    """Note an entry that Run Command has written, which swept the account's expired entries. Raises StateError."""
    with _STORE.update() as content:
        _forget_expired(content, entry.instance_id, entry.user, now)
        _note(content, entry)


def never_placed(entry_id: str) -> None:
    """Note that an expected entry was not written. Raises StateError."""
    with _STORE.update() as content:
        table(content, _ENTRIES).pop(entry_id, None)


def gone(instance_id: str) -> None:
    """Note that an instance no longer exists, and its files with it. Raises StateError."""
    with _STORE.update() as content:
        table(content, _EIC).pop(instance_id, None)
        for entry in _entries(content):
            if entry.instance_id == instance_id:
                del table(content, _ENTRIES)[entry.entry_id]


def swept(instance_id: str, user: str, now: float) -> None:
    """Note that expired entries have been removed from an account. Raises StateError."""
    with _STORE.update() as content:
        _forget_expired(content, instance_id, user, now)


def entries() -> list[Entry]:
    """Return the entries whose removal has not been confirmed, the oldest first. Never raises."""
    return sorted(_entries(_STORE.peek()), key=lambda entry: entry.expires)


def _entries(content: Content) -> list[Entry]:
    usable = []
    for key, value in table(content, _ENTRIES).items():
        try:
            heard = value.get("heard") is not False
            usable.append(Entry(key, str(value["instance"]), str(value["user"]), _time(value["expires"]), heard))
        except (TypeError, KeyError, ValueError, AttributeError):
            continue
    return usable


def _note(content: Content, entry: Entry) -> None:
    value: dict[str, Any] = {"instance": entry.instance_id, "user": entry.user, "expires": entry.expires}
    if not entry.heard:
        value["heard"] = False
    table(content, _ENTRIES)[entry.entry_id] = value


def _forget_expired(content: Content, instance_id: str, user: str, now: float) -> None:
    notes = table(content, _ENTRIES)
    for key, value in list(notes.items()):
        try:
            expired = (value["instance"], value["user"]) == (instance_id, user) and float(value["expires"]) <= now
        except (TypeError, KeyError, ValueError):
            expired = True
        if expired:
            del notes[key]


def _time(value: Any) -> float:  # noqa: ANN401 - JSON may hold anything
    """Return seconds since the epoch. Raises TypeError and ValueError for anything but a time of these centuries."""
    seconds = float(value)
    if not 0 <= seconds < _LATEST:
        raise ValueError
    return seconds


def _recent(when: object, now: float) -> bool:
    return isinstance(when, int | float) and 0 <= now - when < PROBE_PAUSE
