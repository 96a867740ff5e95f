"""AWS's list of sessions with this machine's records."""

from __future__ import annotations

import pytest

from ssm_ssh.aws.services.session_list import ListedSession
from ssm_ssh.session.overview import Entry, by_prefix, merge, short_owner
from ssm_ssh.session.records import SessionRecord


def listed(session_id: str, started: float = 1.0) -> ListedSession:
    return ListedSession(session_id, "i-0123456789abcdef0", "Connected", "", "", "", started, 0.0, "", "")


def record(session_id: str, *, left_behind: bool) -> SessionRecord:
    return SessionRecord(
        session_id=session_id,
        instance_id="i-0123456789abcdef0",
        document="",
        purpose="",
        profile="",
        region="eu-west-1",
        credentials="",
        started=1.0,
        host="here",
        pid=7,
        name="",
        left_behind=left_behind,
    )


def test_only_what_this_machine_has_recorded_is_an_orphan() -> None:
    sessions = {0: [listed("a-1", 1.0), listed("a-2", 2.0)], 1: [listed("b-1", 3.0)]}
    entries = merge(sessions, [record("a-1", left_behind=True), record("a-2", left_behind=False)])
    assert [(entry.session.session_id, entry.place, entry.is_orphan) for entry in entries] == [
        ("b-1", 1, False),
        ("a-2", 0, False),
        ("a-1", 0, True),
    ]
    assert entries[0].record is None


def test_a_session_that_two_places_list_is_shown_once() -> None:
    assert len(merge({0: [listed("a-1")], 1: [listed("a-1")]}, [])) == 1


def test_a_beginning_means_every_session_that_it_fits() -> None:
    entries = [Entry(listed(name), 0) for name in ("alice-1a", "alice-1b", "alice-1", "bob-1")]
    assert [each.session.session_id for each in by_prefix("alice-1", entries)] == ["alice-1"]
    assert [each.session.session_id for each in by_prefix("alice", entries)] == ["alice-1a", "alice-1b", "alice-1"]
    assert by_prefix("bob-1x", entries) == []
    assert by_prefix("ali", entries) == []
    assert by_prefix("", entries) == []


@pytest.mark.parametrize(
    ("arn", "name"),
    [
        ("arn:aws:iam::123456789012:user/alice", "alice"),
        ("arn:aws:sts::123456789012:assumed-role/Operator/bob@example.com", "Operator/bob@example.com"),
        ("arn:aws:iam::123456789012:root", "root"),
        ("", ""),
    ],
)
def test_an_owner_is_named_without_the_account(arn: str, name: str) -> None:
    assert short_owner(arn) == name
