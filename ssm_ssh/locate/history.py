"""What was learned about instances: by which profile, in which region, and with what usual user each was reached.

A state file, which is never a reason to fail: a file that cannot be read counts as empty.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from ssm_ssh.names import is_instance_id
from ssm_ssh.storage.json_store import JsonStore, table

if TYPE_CHECKING:
    from collections.abc import Iterable

NAME = "instances.json"
# A connection reads a thousand instances in about a millisecond. Those that were changed longest ago go first.
_STORE = JsonStore(NAME, most=4000)
_INSTANCES = "instances"
_LONGEST = 300
_MOST_LOGINS = 8


class Learned(NamedTuple):
    """An instance, and how it was reached; `user` is the platform's usual one ("": not known).

    `logins`: users that seem to have got in, the latest last.
    """

    instance_id: str
    profile: str
    region: str
    user: str = ""
    logins: tuple[str, ...] = ()


def recall(instance_id: str) -> Learned | None:
    """Return what is known of an instance, None for nothing. Never raises."""
    return _from_json(instance_id, table(_STORE.peek(), _INSTANCES).get(instance_id))


def recall_all() -> list[Learned]:
    """Return everything that is known, what was learned last at the end. Never raises."""
    known = (_from_json(key, value) for key, value in table(_STORE.peek(), _INSTANCES).items())
    return [learned for learned in known if learned]


def remember(news: Iterable[Learned]) -> bool:
    """Write down what is new in `news`: what is empty leaves what is known, `logins` are added.

    Returns whether anything was written. Raises StateError where our folder cannot be used.
    """
    wanted = list(news)
    if not _merge(table(_STORE.read(), _INSTANCES), wanted):
        return False
    with _STORE.update() as content:
        return _merge(table(content, _INSTANCES), wanted)


def _merge(content: dict[str, Any], news: list[Learned]) -> bool:
    """Put `news` at the end of `content`; returns whether that changed what it says."""
    changed = False
    for one in news:
        before = _from_json(one.instance_id, content.get(one.instance_id))
        if before:
            kept = {name: getattr(before, name) for name in ("profile", "region", "user") if not getattr(one, name)}
            one = one._replace(**kept, logins=_added(before.logins, one.logins))  # noqa: PLW2901
        if one != before:
            content.pop(one.instance_id, None)
            content[one.instance_id] = {key: value for key, value in one._asdict().items() if key != "instance_id"}
            changed = True
    return changed


def _added(before: tuple[str, ...], new: tuple[str, ...]) -> tuple[str, ...]:
    return (*before, *(one for one in new if one not in before))[-_MOST_LOGINS:]


def _from_json(instance_id: str, value: object) -> Learned | None:
    if not isinstance(value, dict) or not is_instance_id(instance_id):
        return None
    words = [value.get(name, "") for name in ("profile", "region", "user")]
    logins = value.get("logins", [])
    if not isinstance(logins, list) or not all(isinstance(one, str) and len(one) <= _LONGEST for one in words + logins):
        return None
    profile, region, user = words
    return Learned(instance_id, profile, region, user, tuple(logins))
