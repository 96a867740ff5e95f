"""docs/waits.md and docs/security.md say what the code and the tests do. UPDATE_DOCS=1 writes the tables anew."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests import waits
from tests.e2e import peers

ROOT = Path(__file__).parents[1]
TABLES = {
    ("docs/waits.md", "before-login"): waits.table(waits.BEFORE_LOGIN),
    ("docs/waits.md", "open-session"): waits.table(waits.OPEN_SESSION),
    ("docs/waits.md", "back-pressure"): waits.table(waits.BACK_PRESSURE),
    ("docs/security.md", "peers"): peers.table(),
}


@pytest.mark.parametrize(("document", "name"), TABLES)
def test_a_table_is_current(document: str, name: str) -> None:
    path = ROOT / document
    text = path.read_text(encoding="utf-8")
    begin, end = f"<!-- {name}: made by tests/test_documented_waits.py -->", f"<!-- end of {name} -->"
    wanted = "\n".join(["", *TABLES[document, name], ""])
    if os.environ.get("UPDATE_DOCS"):
        before, rest = text.split(begin)
        path.write_text(before + begin + wanted + end + rest.split(end)[1], encoding="utf-8")
        return
    assert text.split(begin)[1].split(end)[0] == wanted


def test_each_wait_is_seen_in_a_test_that_is_there() -> None:
    for one in (*waits.BEFORE_LOGIN, *waits.OPEN_SESSION, *waits.BACK_PRESSURE):
        assert (ROOT / one.seen).exists(), one


def test_the_promises_hold() -> None:
    from ssm_ssh.relay import unanswered
    from ssm_ssh.tunnel import login_wait

    assert login_wait.TELL_AFTER <= 5
    assert login_wait.LIMIT < peers.BEFORE
    assert unanswered.PROBE_AFTER + unanswered.FIRST + unanswered.SECOND < peers.OPEN
    assert (unanswered.FIRST + unanswered.SECOND) / unanswered.SLOWED < peers.OPEN


def test_every_number_of_seconds_is_a_number() -> None:
    for one in (*waits.BEFORE_LOGIN, *waits.OPEN_SESSION):
        assert re.fullmatch(r"[\d.]+( \+ [\d.]+)?|resume_limit \(900\)|", one.seconds), one
