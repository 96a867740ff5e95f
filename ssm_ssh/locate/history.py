"""The record of instances: the profile and region that reached each, its usual user, and who has logged in.

A state file, which is never a reason to fail: a file that cannot be read counts as empty.
"""

from __future__ import annotations

from ssm_ssh.names import is_instance_id
from ssm_ssh.startup import TYPE_CHECKING, NamedTuple
from ssm_ssh.storage.json_store import JsonStore, table

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

NAME = "instances.json"
# A connection reads a thousand instances in about a millisecond. Those that were changed longest ago go first.
_STORE = JsonStore(NAME, most=4000)
_INSTANCES = "instances"
_LONGEST = 300
_MOST_LOGINS = 8


class KnownInstance(NamedTuple):
    """An instance, and how it was reached. `user` is the usual one of its platform ("": not known).

    `logins`: users who seem to have logged in, the latest last.
    """

    instance_id: str
    profile: str
    region: str
    user: str = ""
    logins: tuple[str, ...] = ()


def recall(instance_id: str) -> KnownInstance | None:
    """Return the record of an instance, None for no record. Never raises."""
    return _from_json(instance_id, table(_STORE.peek(), _INSTANCES).get(instance_id))


def recall_all() -> list[KnownInstance]:
    """Return all records, the latest last. Never raises."""
    known = (_from_json(key, value) for key, value in table(_STORE.peek(), _INSTANCES).items())
    return [instance for instance in known if instance]


def remember(news: Iterable[KnownInstance]) -> bool:
    """Record `news`. An empty member keeps the recorded value, and `logins` are added.

    Returns whether anything was written. Raises StateError where the state folder cannot be used.
    """
    wanted = list(news)
    if not _merge(table(_STORE.read(), _INSTANCES), wanted):
        return False
    with _STORE.update() as content:
        return _merge(table(content, _INSTANCES), wanted)


def _merge(content: dict[str, Any], news: list[KnownInstance]) -> bool:
    """Put `news` at the end of `content`; returns whether that changed any record."""
    changed = False
    for new in news:
        instance_id = new.instance_id
        before = _from_json(instance_id, content.get(instance_id))
        after = new if before is None else _merged(before, new)
        if after != before:
            content.pop(instance_id, None)
            content[instance_id] = {key: value for key, value in after._asdict().items() if key != "instance_id"}
            changed = True
    return changed


def _merged(before: KnownInstance, new: KnownInstance) -> KnownInstance:
    kept = {name: getattr(before, name) for name in ("profile", "region", "user") if not getattr(new, name)}
    return new._replace(**kept, logins=_added(before.logins, new.logins))


def _added(before: tuple[str, ...], new: tuple[str, ...]) -> tuple[str, ...]:
    return (*before, *(login for login in new if login not in before))[-_MOST_LOGINS:]


def _from_json(instance_id: str, value: object) -> KnownInstance | None:
    if not isinstance(value, dict) or not is_instance_id(instance_id):
        return None
    words = [value.get(name, "") for name in ("profile", "region", "user")]
    logins = value.get("logins", [])
    if not isinstance(logins, list) or not all(
        isinstance(word, str) and len(word) <= _LONGEST for word in words + logins
    ):
        return None
    profile, region, user = words
    return KnownInstance(instance_id, profile, region, user, tuple(logins))
