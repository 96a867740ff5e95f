"""Checks of what earlier connections left: lost connections, open sessions, unverified host keys, removals."""

from __future__ import annotations

import os
import time

from ssm_ssh.doctor.finding import Finding, State
from ssm_ssh.errors import StateError
from ssm_ssh.startup import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ssm_ssh.auth.push_journal import Entry
    from ssm_ssh.session.records import SessionRecord
    from ssm_ssh.tunnel.outcomes import Outcome

_MOST_REMOVALS = 5
_MOST_OUTCOMES = 5
# Instances that one finding names.
_MOST_NAMED = 3


def check_connections() -> list[Finding]:
    """Name the connections that are lost at the moment, and those that ended and could not report why."""
    from ssm_ssh.storage.paths import state_folder
    from ssm_ssh.tunnel import outcomes

    if not os.path.lexists(state_folder()):  # opening the folder would make it
        return []
    return connections(outcomes.recent(time.time()))


def connections(outcomes: Sequence[Outcome]) -> list[Finding]:
    """PURE: return a finding for each of the latest `outcomes`."""
    from ssm_ssh.tunnel.outcomes import LOST

    findings = []
    for outcome in outcomes[-_MOST_OUTCOMES:]:
        when = _minute(outcome.at)
        if outcome.kind == LOST:
            evidence = (
                f"the connection to {outcome.instance_id} (process {outcome.pid}) is lost since {when}; "
                "ssm-ssh is trying to resume it"
            )
        else:
            evidence = f"a connection to {outcome.instance_id} ended at {when}: {outcome.sentence}"
        findings.append(Finding("connections", State.NOTE, evidence))
    return findings


def check_sessions() -> list[Finding]:
    """Name the sessions that killed processes have left open. Raises StateError."""
    from ssm_ssh.session import records

    return sessions(records.read_all())


def sessions(known: Iterable[SessionRecord]) -> list[Finding]:
    """PURE: return a finding for each session that a killed process has left open."""
    return [
        Finding(
            "sessions",
            State.NOTE,
            f"session {record.session_id} with {record.instance_id} was left open by a killed process "
            f"({record.pid}), which began it at {_minute(record.started)}",
            "The next connection ends it",
        )
        for record in known
        if record.left_behind
    ][-_MOST_OUTCOMES:]


def check_host_keys() -> list[Finding]:
    """Name the instances whose host keys were refused, and those whose host keys nothing has confirmed."""
    from ssm_ssh.hostkeys import admin
    from ssm_ssh.hostkeys.known_hosts import KNOWN, REFUSED, instance_of
    from ssm_ssh.hostkeys.verdict import UNVERIFIED
    from ssm_ssh.storage.paths import data_folder

    if not os.path.lexists(data_folder()):  # opening the folder would make it
        return []
    try:
        refused = [instance_of(name) for name, _, _ in admin.of("", REFUSED)]
        unverified = [instance_of(name) for name, _, comment in admin.of("", KNOWN) if comment.startswith(UNVERIFIED)]
    except StateError:  # check_files reports it
        return []
    return [
        *_instances(refused, "host keys were refused", "Look at them: ssm-ssh host-keys show"),
        *_instances(unverified, "host keys are recorded unverified", "Verify them: ssm-ssh host-keys refresh"),
    ]


def _instances(ids: Iterable[str], what: str, todo: str) -> list[Finding]:
    names = list(dict.fromkeys(ids))
    if not names:
        return []
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    evidence = f"{what} of {', '.join(names[:_MOST_NAMED])}{more}"
    return [Finding("host keys", State.WARNING, evidence, f"{todo} {names[0]}")]


def check_removals() -> list[Finding]:
    """Name the entries in authorized_keys files that should be gone by now, and are not known to be."""
    from ssm_ssh.auth import push_journal

    return removals(push_journal.entries(), time.time())


def removals(entries: Iterable[Entry], now: float) -> list[Finding]:
    """PURE: return a finding for each account with an overdue entry; `now` in epoch seconds."""
    overdue: dict[tuple[str, str], Entry] = {}
    for entry in entries:
        if entry.expires < now:
            overdue.setdefault((entry.instance_id, entry.user), entry)
    findings = [
        Finding(
            "removals",
            State.NOTE,
            f"entry {entry.entry_id} of {user} on {instance_id} should have expired at {_minute(entry.expires)}",
            f"To check and clean up: ssm-ssh key sweep {instance_id} {user}",
        )
        for (instance_id, user), entry in list(overdue.items())[:_MOST_REMOVALS]
    ]
    if len(overdue) > _MOST_REMOVALS:
        more = f"{len(overdue) - _MOST_REMOVALS} more removals not confirmed yet"
        findings.append(Finding("removals", State.NOTE, more, "To list them: ssm-ssh key"))
    return findings


def _minute(when: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(when))
