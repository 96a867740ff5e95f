"""The instances that connections of this machine have started lately, for those that come before they are up.

One JSON file in the state folder, bounded, and never a reason to fail.
"""

from __future__ import annotations

from ssm_ssh.errors import StateError
from ssm_ssh.startup import TYPE_CHECKING
from ssm_ssh.storage.json_store import JsonStore, table

if TYPE_CHECKING:
    from collections.abc import Mapping

NAME = "starting.json"
_STORE = JsonStore(NAME, most=100)
_STARTED, _DECLINED = "started", "declined"
# Seconds after which a start is over, whatever came of it.
_KEPT = 900.0
# Seconds for which a person's answer counts for the other connections of the same command.
_ANSWERED = 10.0


def note(instance_id: str, now: float) -> None:
    """Record that an instance was started; `now` in epoch seconds. Never raises."""
    _put(_STARTED, instance_id, now)


def since(instance_id: str, now: float) -> float | None:
    """Return when a connection of this machine started an instance, None if it did not lately. Never raises."""
    return _recent(_STORE.peek(), _STARTED, instance_id, now, _KEPT)


def forget(instance_id: str) -> None:
    """Record that the start is over. Never raises."""
    if instance_id in table(_STORE.peek(), _STARTED):
        _put(_STARTED, instance_id, None)


def decline(instance_id: str, now: float) -> None:
    """Record that a person does not want an instance to be started now. Never raises."""
    _put(_DECLINED, instance_id, now)


def declined(instance_id: str, now: float) -> bool:
    """Return whether a person has just said so. Never raises."""
    return _recent(_STORE.peek(), _DECLINED, instance_id, now, _ANSWERED) is not None


def _put(name: str, instance_id: str, at: float | None) -> None:
    try:
        with _STORE.update() as content:
            entries = table(content, name)
            entries.pop(instance_id, None)
            if at is not None:
                entries[instance_id] = at
    except StateError:
        pass


def _recent(content: Mapping[str, object], name: str, instance_id: str, now: float, kept: float) -> float | None:
    at = table(dict(content), name).get(instance_id)
    if not isinstance(at, int | float) or isinstance(at, bool) or not 0 <= now - at < kept:
        return None
    return float(at)
