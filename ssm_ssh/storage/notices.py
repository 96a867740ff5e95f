"""Which notices the user has been given, so that a notice about a lasting state is not repeated at every connection.

It is given once a day, and again when the state has changed. Security warnings do not come here: they are always given.
"""

from __future__ import annotations

from ssm_ssh.errors import StateError
from ssm_ssh.storage.json_store import JsonStore, table

NAME = "notices.json"
_STORE = JsonStore(NAME, most=500)
_GIVEN = "given"
# Seconds after which a notice is given again, although nothing has changed.
_REPEATED = 86400.0


def is_due(subject: str, text: str, now: float) -> bool:
    """Return whether the user is to be told `text` about `subject`, and remember that; `now` in epoch seconds.

    An empty `text` says that there is nothing to tell any more: what comes next is a change. Without a usable state
    folder every notice is due. Never raises.
    """
    from hashlib import sha256

    digest = sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16] if text else ""
    entry = table(_STORE.peek(), _GIVEN).get(subject)
    if not text and entry is None:  # as it is for almost every connection: nothing is locked or written
        return False
    due = bool(text) and not _is_recent(entry, digest, now)
    if text and not due:
        return False
    try:
        with _STORE.update() as content:
            given = table(content, _GIVEN)
            given.pop(subject, None)  # the store drops the entries that were added first
            if text:
                given[subject] = {"digest": digest, "at": now}
    except StateError:
        pass
    return due


def _is_recent(entry: object, digest: str, now: float) -> bool:
    if not isinstance(entry, dict) or entry.get("digest") != digest:
        return False
    at = entry.get("at")
    return isinstance(at, int | float) and 0 <= now - at < _REPEATED
