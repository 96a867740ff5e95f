from __future__ import annotations

from pathlib import Path

import pytest

from ssm_ssh.auth.push_journal import Entry
from ssm_ssh.doctor import checks, past
from ssm_ssh.doctor.checks import Check
from ssm_ssh.doctor.finding import Finding, State
from ssm_ssh.errors import StateError, UsageError
from ssm_ssh.session.records import SessionRecord
from ssm_ssh.tunnel.outcomes import ENDED, LOST, Outcome

INSTANCE = "i-0123456789abcdef0"


def fails(error: Exception) -> list[Finding]:
    raise error


def test_a_check_that_cannot_read_does_not_hide_the_others() -> None:
    good = Finding("good", State.OK, "fine")
    findings = checks.run(
        [Check("bad", lambda: fails(StateError("the folder is locked", "Try again"))), Check("good", lambda: [good])]
    )
    assert findings == [Finding("bad", State.NOT_CHECKED, "the folder is locked", "Try again"), good]
    assert [finding.is_good for finding in findings] == [False, True]


def test_an_unusable_setting_ends_it() -> None:
    with pytest.raises(UsageError, match="push"):
        checks.run([Check("bad", lambda: fails(UsageError("push is 'x'")))])


def test_names_are_unique_and_every_finding_is_a_sentence() -> None:
    names = [check.name for check in checks.LOCAL]
    assert len(set(names)) == len(names)
    assert Finding("x", State.NOTE, "It is so.", "Do this").sentence == "It is so. Do this"
    assert Finding("x", State.NOTE, "It is so").sentence == "It is so"


def test_sessions_of_killed_processes_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert past.check_sessions() == []
    mine = SessionRecord("me-1", INSTANCE, "", "ssh", "", "eu-west-1", "", 100.0, "here", 42, "name", True)
    (finding,) = past.sessions([mine, mine._replace(left_behind=False)])
    assert finding.state is State.NOTE
    assert f"session me-1 with {INSTANCE} was left open by a killed process (42)" in finding.sentence
    assert finding.todo == "The next connection ends it"


def test_connections_that_are_lost_or_have_ended() -> None:
    lost, ended = (
        Outcome(LOST, INSTANCE, 1e9, 7, "", told=False),
        Outcome(ENDED, INSTANCE, 1e9, 7, "the agent is gone", told=False),
    )
    first, second = past.connections([lost, ended])
    assert f"the connection to {INSTANCE} (process 7) is lost since 2001-09-" in first.evidence
    assert second.evidence.endswith(": the agent is gone")
    assert len(past.connections([lost] * 9)) == 5
    assert past.connections([]) == []


def test_removals_that_are_overdue() -> None:
    entries = [Entry(f"{number:016x}", INSTANCE, f"u{number}", 100.0) for number in range(7)]
    entries += [Entry("f" * 16, INSTANCE, "u0", 100.0), Entry("e" * 16, INSTANCE, "later", 300.0)]
    *named, rest = past.removals(entries, 200.0)
    assert [finding.todo for finding in named] == [
        f"To check and clean up: ssm-ssh key sweep {INSTANCE} u{number}" for number in range(5)
    ]
    assert (rest.evidence, rest.todo) == ("2 more removals not confirmed yet", "To list them: ssm-ssh key")
    assert past.removals(entries, 50.0) == []
