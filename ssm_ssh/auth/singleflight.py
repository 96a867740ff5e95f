"""One push for all connections that start together to one account with one key: the first pushes, the others share it.

A state file holds the results of the last pushes, and one byte of a lock file represents each account. When the push
fails, the connections that waited for it fail with the same error, instead of trying one after the other.
"""

from __future__ import annotations

import time
from contextlib import contextmanager, suppress

from ssm_ssh import errors
from ssm_ssh.errors import SsmSshError, StateError
from ssm_ssh.startup import TYPE_CHECKING, NamedTuple
from ssm_ssh.storage.json_store import JsonStore, table
from ssm_ssh.storage.paths import state_folder
from ssm_ssh.storage.private_dir import open_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

NAME = "pushes.json"
_STORE = JsonStore(NAME, most=2000)
_PUSHES = "pushes"
_TURNS = "pushes.turns"
# The part of its lifetime for which a push is shared: a connection may take a while to log in.
_SHARED_FOR = 0.4
# Seconds to wait for another process's push: a little longer than the longest command. Then a process pushes itself.
_PATIENCE = 100.0
# Seconds for which a result is kept.
_KEPT = 300.0


class Pushed(NamedTuple):
    """A key that an instance accepts: by which method, until when (epoch seconds), and what to tell the user.

    `lasting` is the beginning of `notice` that describes a lasting state, and need not be repeated.
    """

    method: str
    until: float
    notice: str = ""
    lasting: str = ""


def share(about: str, lifetime: float, push: Callable[[], Pushed], *, clock: Callable[[], float] = time.time) -> Pushed:
    """Return what `push` returns, or what another process's push for the same `about` has just returned.

    `about` names everything that matters: account, key, method and credentials; it is stored hashed. `lifetime` is
    how long (seconds) a pushed key is accepted. Raises what either push raised. Where the state folder cannot be
    used, pushes are not shared.
    """
    from hashlib import sha256

    name = sha256(about.encode()).hexdigest()[:32]
    began = clock()
    try:
        turn = _turn(name)
        turn.__enter__()
    except StateError:
        return push()
    try:
        shared = _recall(name, began, lifetime, clock())
        if isinstance(shared, SsmSshError):
            raise shared
        if shared is not None:
            return shared
        try:
            pushed = push()
        except SsmSshError as error:
            _note(name, clock(), _to_json(error))
            raise
        _note(name, clock(), _pushed_to_json(pushed))
        return pushed
    finally:
        turn.__exit__(None, None, None)


@contextmanager
def _turn(name: str) -> Iterator[None]:
    """Let one process at a time push for `name`; after `_PATIENCE`, several may."""
    with open_folder(state_folder()) as folder, folder.turn(_TURNS, int(name[:14], 16), _PATIENCE):
        yield


def _recall(name: str, began: float, lifetime: float, now: float) -> Pushed | SsmSshError | None:
    """Return a push recent enough to be shared, or the error of one that ended while this process waited."""
    value = table(_STORE.peek(), _PUSHES).get(name)
    if not isinstance(value, dict):
        return None
    try:
        if "kind" in value:
            return _error(value) if began <= float(value["at"]) <= now else None
        lasting = str(value.get("lasting", ""))  # earlier versions did not store it
        pushed = Pushed(str(value["way"]), float(value["until"]), str(value["notice"]), lasting)
        return pushed if 0 <= now - float(value["at"]) <= _SHARED_FOR * lifetime and pushed.until > now else None
    except (KeyError, ValueError, TypeError):
        return None


def _note(name: str, at: float, value: dict[str, Any]) -> None:
    with suppress(StateError), _STORE.update() as content:  # else the others push for themselves
        recent = {key: old for key, old in table(content, _PUSHES).items() if _is_recent(old, at)}
        content[_PUSHES] = {**recent, name: {"at": float(at), **value}}


def _is_recent(value: object, now: float) -> bool:
    at = value.get("at") if isinstance(value, dict) else None
    return isinstance(at, float) and 0 <= now - at < _KEPT


def _pushed_to_json(pushed: Pushed) -> dict[str, Any]:
    return {"way": pushed.method, "until": pushed.until, "notice": pushed.notice, "lasting": pushed.lasting}


def _to_json(error: SsmSshError) -> dict[str, Any]:
    more = {name: getattr(error, name) for name in ("code", "operation", "status") if hasattr(error, name)}
    return {"kind": type(error).__name__, "message": error.message, "hint": error.hint, "more": more}


def _error(value: dict[str, Any]) -> SsmSshError | None:
    kind = getattr(errors, str(value["kind"]), None)
    if not (isinstance(kind, type) and issubclass(kind, SsmSshError)):
        return None
    return kind(str(value["message"]), str(value["hint"]), **dict(value["more"]))
