"""Ends and outages that a connection could not report, for `ssm-ssh status` and for the next connection.

After the login nothing can be put into the SSH stream, and stderr is often closed (ControlPersist) or part of the
stream (asyncssh). One JSON file in the state folder, written whole under a lock, bounded, and never a reason to fail.
"""

from __future__ import annotations

import os
import time

from ssm_ssh.errors import StateError
from ssm_ssh.names import is_instance_id
from ssm_ssh.startup import TYPE_CHECKING, NamedTuple
from ssm_ssh.storage.json_store import JsonStore, rows
from ssm_ssh.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ssm_ssh.storage.json_store import Content

NAME = "connections.json"
_STORE = JsonStore(NAME, most=50)
_CONNECTIONS = "connections"
# Seconds for which an entry is kept.
_KEPT = 86400.0
# Seconds within which the next connection reports what the last could not.
_NEWS = 3600.0
LOST, ENDED = "lost", "ended"


class Outcome(NamedTuple):
    """One connection: LOST (process `pid` is looking for it) or ENDED, with a sentence; `at` in epoch seconds."""

    kind: str
    instance_id: str
    at: float
    pid: int
    sentence: str
    told: bool


def lost(instance_id: str, now: float) -> None:
    """Note that this process's connection is lost, and that ssm-ssh tries to restore it. Raises StateError."""
    pid = os.getpid()
    _change(lambda old: [*_without(old, pid), Outcome(LOST, instance_id, now, pid, "", False)], now)


def back(now: float) -> None:
    """Note that it is not lost any more. Raises StateError."""
    pid = os.getpid()
    _change(lambda old: _without(old, pid), now)


def ended(instance_id: str, sentence: str, now: float, *, told: bool) -> None:
    """Note how this process's connection ended; `told`: the user has been shown it. Raises StateError."""
    pid = os.getpid()
    entry = Outcome(ENDED, instance_id, now, pid, printable(sentence, 400), told)
    _change(lambda old: [*_without(old, pid), entry], now)


def news(instance_id: str, now: float) -> str:
    """Return, once, what the last connections to an instance could not report; "" for nothing. Never raises."""
    try:
        untold = [outcome for outcome in _read(now) if _is_news(outcome, instance_id, now)]
        if not untold:
            return ""
        _change(lambda old: [_told(outcome, instance_id, now) for outcome in old], now)
    except StateError:
        return ""
    last = untold[-1]
    when = time.strftime("%H:%M", time.localtime(last.at))
    return f"the last connection to {instance_id} ended at {when}: {last.sentence}"


def recent(now: float) -> list[Outcome]:
    """Return what is known, the latest last. Never raises."""
    try:
        return [outcome for outcome in _read(now) if outcome.kind == ENDED or _runs(outcome.pid)]
    except StateError:
        return []


def _is_news(outcome: Outcome, instance_id: str, now: float) -> bool:
    untold = outcome.kind == ENDED and not outcome.told
    return untold and outcome.instance_id == instance_id and now - outcome.at < _NEWS


def _told(outcome: Outcome, instance_id: str, now: float) -> Outcome:
    return outcome._replace(told=True) if _is_news(outcome, instance_id, now) else outcome


def _without(old: list[Outcome], pid: int) -> list[Outcome]:
    return [outcome for outcome in old if outcome.kind != LOST or outcome.pid != pid]


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it belongs to another user by now
        return False
    return True


def _read(now: float) -> list[Outcome]:
    return _outcomes(_STORE.read(), now)


def _change(change: Callable[[list[Outcome]], list[Outcome]], now: float) -> None:
    with _STORE.update() as content:
        content[_CONNECTIONS] = [outcome._asdict() for outcome in change(_outcomes(content, now))]


def _outcomes(content: Content, now: float) -> list[Outcome]:
    parsed = [_outcome(value) for value in rows(content, _CONNECTIONS)]
    return [outcome for outcome in parsed if outcome is not None and 0 <= now - outcome.at < _KEPT]


def _outcome(value: Any) -> Outcome | None:  # noqa: ANN401 -- JSON
    types = {"kind": str, "instance_id": str, "at": float, "pid": int, "sentence": str, "told": bool}
    if not isinstance(value, dict) or any(not isinstance(value.get(name), kind) for name, kind in types.items()):
        return None
    outcome = Outcome(**{name: value[name] for name in types})
    usable = outcome.kind in (LOST, ENDED) and is_instance_id(outcome.instance_id) and outcome.pid > 0
    return outcome._replace(sentence=printable(outcome.sentence, 400)) if usable else None
