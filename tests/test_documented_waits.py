"""The waits that docs/waits.md shows are those of the code, and each of them is tested."""

from __future__ import annotations

import re
from pathlib import Path

from tests import waits
from tests.e2e import peers

ROOT = Path(__file__).parents[1]


def test_each_wait_is_seen_in_a_test_that_is_there() -> None:
    login = (*waits.BEFORE_LOGIN, *waits.STARTING)
    for one in (*login, *waits.OPEN_SESSION, *waits.OTHER_SESSIONS, *waits.BACK_PRESSURE):
        assert (ROOT / one.seen).exists(), one


def test_the_promises_hold() -> None:
    from ssm_ssh.relay import unanswered
    from ssm_ssh.tunnel import login_wait

    assert login_wait.TELL_AFTER <= 5
    assert login_wait.LIMIT < peers.BEFORE
    assert unanswered.PROBE_AFTER + unanswered.FIRST + unanswered.SECOND < peers.OPEN
    assert (unanswered.FIRST + unanswered.SECOND) / unanswered.SLOWED < peers.OPEN


def test_every_number_of_seconds_is_a_number() -> None:
    for one in (*waits.BEFORE_LOGIN, *waits.OPEN_SESSION, *waits.STARTING):
        assert re.fullmatch(r"[\d.]+( \+ [\d.]+)?|resume_limit \(900\)|", one.seconds), one
