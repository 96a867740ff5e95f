"""PURE: the sessions that AWS lists, together with what this machine has recorded of them.

An orphan is a session that a process of this machine has recorded and that outlived this process. Nothing that AWS
lists makes a session an orphan: the same role may be in use elsewhere.
"""

from __future__ import annotations

from ssm_ssh.startup import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ssm_ssh.aws.services.session_list import ListedSession
    from ssm_ssh.session.records import SessionRecord

UNKNOWN = "unknown"
"""The state of a session whose account was not asked, or did not answer."""
# Shorter beginnings of an id name too many sessions, and are more likely a mistake.
_SHORTEST_PREFIX = 4


class Entry(NamedTuple):
    """A session. `place`: the number of the place that listed it, -1 where only this machine has recorded it."""

    session: ListedSession
    place: int
    record: SessionRecord | None = None

    @property
    def is_orphan(self) -> bool:
        """Whether the process of this machine that recorded the session has ended."""
        return self.record is not None and self.record.left_behind


def merge(listed: Mapping[int, Sequence[ListedSession]], records: Iterable[SessionRecord]) -> list[Entry]:
    """Return the listed sessions by place, with the record of each, the newest first."""
    known = {record.session_id: record for record in records}
    entries = [
        Entry(session, place, known.get(session.session_id))
        for place, sessions in listed.items()
        for session in sessions
    ]
    unique = {entry.session.session_id: entry for entry in entries}
    return sorted(unique.values(), key=lambda entry: -entry.session.started)


def by_prefix(word: str, entries: Iterable[Entry]) -> list[Entry]:
    """Return the session whose id is `word`, else those whose ids begin with it."""
    entries = list(entries)
    exact = [entry for entry in entries if entry.session.session_id == word]
    if exact or len(word) < _SHORTEST_PREFIX:
        return exact
    return [entry for entry in entries if entry.session.session_id.startswith(word)]


def short_owner(arn: str) -> str:
    """Return who an owner's ARN means: the user, or the role and its session."""
    kind, slash, rest = arn.rpartition(":")[2].partition("/")
    return rest if slash else kind
