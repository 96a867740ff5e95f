"""A few thousand inputs for each target in every run, and `tests/long fuzz` for as long as one likes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz import __main__ as command
from tests.fuzz.corpus import corpus
from tests.fuzz.driver import run
from tests.fuzz.targets import TARGETS

INPUTS = 5000
SECONDS = float(os.environ.get("SSM_SSH_TEST_FUZZ_SECONDS", "0"))


def test_the_command_knows_all_targets() -> None:
    assert tuple(TARGETS) == command.NAMES


@pytest.mark.parametrize("target", TARGETS)
def test_no_input_breaks(target: str, tmp_path: Path) -> None:
    if SECONDS:
        seed = int.from_bytes(os.urandom(4), "big")
        assert run(target, seed, seconds=SECONDS, folder=tmp_path) > len(corpus(target)), f"seed {seed}"
    else:
        assert run(target, 1, inputs=INPUTS, folder=tmp_path) == len(corpus(target)) + INPUTS


def test_an_input_that_fails_is_kept_and_can_be_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(data: bytes) -> None:
        if len(data) < 100:
            raise ValueError

    monkeypatch.setitem(TARGETS, "host_key", fails)
    with pytest.raises(AssertionError, match=r"tests\.fuzz host_key --input"):
        run("host_key", 1, inputs=1000, folder=tmp_path)
    (file,) = tmp_path.iterdir()
    assert len(file.read_bytes()) < 100
    again = [sys.executable, "-m", "tests.fuzz", "host_key", "--input", str(file)]
    assert subprocess.run(again, timeout=60).returncode == 0
