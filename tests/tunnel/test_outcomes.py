"""How connections ended that could not say it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ssm_ssh.tunnel import outcomes
from ssm_ssh.tunnel.outcomes import ENDED, LOST

WEB, DB = "i-0123456789abcdef0", "i-0aaaaaaaaaaaaaaaa"
NOW = 1_800_000_000.0
JSON = st.recursive(st.none() | st.booleans() | st.floats() | st.text(), lambda inner: st.lists(inner, max_size=2))
NAMES = st.sampled_from(("kind", "instance_id", "at", "pid", "sentence", "told"))
ROW = JSON | st.dictionaries(NAMES, JSON | st.sampled_from((LOST, WEB, NOW, 1, True)), max_size=6)


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path / "ssm-ssh" / outcomes.NAME


def test_what_could_not_be_said_is_news_once() -> None:
    outcomes.ended(WEB, "the agent is gone", NOW, told=False)
    assert outcomes.news(DB, NOW + 1) == ""
    assert outcomes.news(WEB, NOW + 1).endswith("the agent is gone")
    assert outcomes.news(WEB, NOW + 2) == ""
    assert [one.sentence for one in outcomes.recent(NOW + 3)] == ["the agent is gone"]


def test_what_was_said_or_is_old_is_no_news() -> None:
    outcomes.ended(WEB, "told", NOW, told=True)
    outcomes.ended(WEB, "untold", NOW, told=False)
    assert outcomes.news(WEB, NOW + 2 * 3600) == ""


def test_a_lost_connection_is_shown_while_it_is_looked_for() -> None:
    outcomes.lost(WEB, NOW)
    assert [(one.kind, one.pid) for one in outcomes.recent(NOW + 1)] == [(LOST, os.getpid())]
    outcomes.back(NOW + 2)
    assert outcomes.recent(NOW + 3) == []
    outcomes.lost(WEB, NOW + 4)
    outcomes.ended(WEB, "given up", NOW + 5, told=True)
    assert [one.kind for one in outcomes.recent(NOW + 6)] == [ENDED]


def test_a_process_that_is_gone_looks_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getpid", lambda: 2**22 + 1)  # above what Linux gives out
    outcomes.lost(WEB, NOW)
    assert outcomes.recent(NOW + 1) == []


def test_words_from_outside_are_printable() -> None:
    outcomes.ended(WEB, "\x1b[31mred\r\nline", NOW, told=False)
    assert outcomes.recent(NOW)[0].sentence == "[31mred line"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=200) | st.lists(ROW, max_size=3).map(lambda rows: json.dumps({"connections": rows}).encode()))
def test_a_damaged_file_counts_as_empty(state: Path, content: bytes) -> None:
    outcomes.ended(WEB, "x", NOW, told=True)
    state.write_bytes(content)
    assert all(outcome.kind in (LOST, ENDED) for outcome in outcomes.recent(NOW))
    outcomes.ended(DB, "y", NOW, told=True)
    assert outcomes.recent(NOW)[-1].instance_id == DB
