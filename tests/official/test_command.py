"""The tests of the lab's commands, against AWS's own session code."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab.agent.test_command import *  # noqa: F403 -- the same tests
from tests.official.worlds import use_official

pytestmark = pytest.mark.long

# These look into the lab's agent, or need an agent of another version.
del test_a_pause_ends_the_reading_of_separate_streams, test_the_end_from_outside_kills_the_command  # noqa: F821
del test_an_old_agent_knows_neither_separate_streams_nor_the_exit_code  # noqa: F821
del test_a_signal_costs_the_exit_code_unless_chance_keeps_it  # noqa: F821
del test_a_very_old_agent_runs_no_commands  # noqa: F821


@pytest.fixture(autouse=True)
def _official(monkeypatch: pytest.MonkeyPatch, official: Path, folder: Path) -> None:
    use_official(monkeypatch, "tests.lab.agent.test_command", official, folder)
