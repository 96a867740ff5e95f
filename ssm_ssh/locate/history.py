"""What was learned about instances: by which profile, in which region, and with what usual user each was reached.

One JSON file in the state folder, written whole under a lock, bounded, and never a reason to fail: what cannot be
read is as good as not there.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from ssm_ssh.errors import StateError
from ssm_ssh.names import is_instance_id
from ssm_ssh.storage.paths import state_folder
from ssm_ssh.storage.private_dir import open_folder

if TYPE_CHECKING:
    from collections.abc import Iterable

NAME = "instances.json"
_LOCK = "instances.lock"
# What a connection reads in about a millisecond per thousand. The longest untouched go first.
MOST = 4000
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
    try:
        with open_folder(state_folder()) as folder:
            return _from_json(instance_id, _load(folder.read(NAME)).get(instance_id))
    except StateError:
        return None


def recall_all() -> list[Learned]:
    """Return everything that is known, what was learned last at the end. Never raises."""
    try:
        with open_folder(state_folder()) as folder:
            content = _load(folder.read(NAME))
    except StateError:
        return []
    return [one for one in (_from_json(key, value) for key, value in content.items()) if one]


def remember(news: Iterable[Learned]) -> bool:
    """Write down what is new in `news`: what is empty leaves what is known, `logins` are added.

    Returns whether anything was written. Raises StateError where our folder cannot be used.
    """
    wanted = list(news)
    with open_folder(state_folder()) as folder:
        if not _merge(_load(folder.read(NAME)), wanted):
            return False
        with folder.lock(_LOCK):
            content = _load(folder.read(NAME))
            if not _merge(content, wanted):
                return False
            for key in list(content)[: max(0, len(content) - MOST)]:
                del content[key]
            folder.write(NAME, json.dumps({"version": 1, "instances": content}, separators=(",", ":")).encode())
            return True


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


def _load(content: bytes | None) -> dict[str, Any]:
    try:
        found = json.loads(content or b"{}")
    except (ValueError, RecursionError):
        return {}
    instances = found.get("instances") if isinstance(found, dict) else None
    return instances if isinstance(instances, dict) else {}


def _from_json(instance_id: str, value: object) -> Learned | None:
    if not isinstance(value, dict) or not is_instance_id(instance_id):
        return None
    words = [value.get(name, "") for name in ("profile", "region", "user")]
    logins = value.get("logins", [])
    if not isinstance(logins, list) or not all(isinstance(one, str) and len(one) <= _LONGEST for one in words + logins):
        return None
    profile, region, user = words
    return Learned(instance_id, profile, region, user, tuple(logins))
