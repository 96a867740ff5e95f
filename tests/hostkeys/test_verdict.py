"""What the reports of the sources mean for a host key."""

from __future__ import annotations

import itertools

import pytest

from ssm_ssh.hostkeys.sources import (
    CONSOLE,
)
from ssm_ssh.hostkeys.verdict import CONFIRMED, UNVERIFIED, conclude, consult
from tests.hostkeys.fakes import (
    CHANGED,
    FIRST,
    KEY,
    STATUSES,
    Asked,
)


def judged(console: str, command: str, *, changed: bool) -> str:
    return conclude(KEY, consult(KEY, Asked(console, command).sources, changed=changed), changed=changed)


@pytest.mark.parametrize(("answers", "verdict"), list(FIRST.items()), ids="-".join)
def test_the_first_key(answers: tuple[str, str], verdict: str) -> None:
    assert judged(*answers, changed=False) == verdict


@pytest.mark.parametrize(("answers", "verdict"), list(CHANGED.items()), ids="-".join)
def test_another_key(answers: tuple[str, str], verdict: str) -> None:
    assert judged(*answers, changed=True) == verdict


@pytest.mark.parametrize(("console", "command"), list(itertools.product(STATUSES, STATUSES)))
def test_invariants_of_every_pair_of_reports(console: str, command: str) -> None:
    both = {console, command} - {"none"}
    first, other = judged(console, command, changed=False), judged(console, command, changed=True)
    if first == CONFIRMED:
        assert "same" in both
    if other == CONFIRMED:
        assert "same" in both
        assert both <= {"same", "denied"}
    assert other != UNVERIFIED
    if first == UNVERIFIED:  # never because of what a moment later could be otherwise
        assert both <= {"denied", "empty"}
        assert command in ("denied", "none")


@pytest.mark.parametrize("command", list(STATUSES))
def test_no_command_is_sent_where_the_console_decides(command: str) -> None:
    for kind, changed in (("same", False), ("other", False), ("other", True), ("ambiguous", True), ("failed", True)):
        asked = Asked(kind, command)
        consult(KEY, asked.sources, changed=changed)
        assert asked.asked == [CONSOLE]
