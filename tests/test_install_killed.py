"""install.sh killed by SIGKILL, which it cannot clean up after: what was there works, and the next run succeeds."""

from __future__ import annotations

import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.installation import Place, change, environments, make_place, make_quick

# Kills all of the installation instead of running the program, if it is the one whose turn it is.
_COUNTED = """printf . >>'{count}'
read -r dots <'{count}'
if [ "${{#dots}}" = "${{KILL_AT:-0}}" ]; then kill -KILL 0; fi
exec '{real}' "$@"
"""


def count_programs(place: Place, count: Path) -> None:
    """Have each program on the place's PATH count its start, and kill its process group at number KILL_AT."""
    away = place.path.with_name("counted")
    shutil.copytree(place.path, away, symlinks=True)
    for file in place.path.iterdir():
        file.unlink()
        file.write_text("#!/bin/sh\n" + _COUNTED.format(count=count, real=away / file.name))
        file.chmod(0o755)


def run(place: Place, count: Path, kill_at: int) -> int:
    """Run install.sh in a process group of its own; returns its exit status."""
    count.unlink(missing_ok=True)
    done = subprocess.run(
        ["sh", str(place.checkout / "install.sh")],
        env=place.environment(KILL_AT=str(kill_at)),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=120,
        start_new_session=True,
    )
    return done.returncode


def kill_at_each(folder: Path, *, upgrade: bool, step: int) -> int:
    """Kill an installation before each `step`th program that it starts; returns how many it starts."""
    place, count = make_quick(make_place(folder)), folder / "count"
    if upgrade:
        assert run(place, count, 0) == 0
    count_programs(place, count)
    shutil.copytree(place.home, folder / "before", symlinks=True)

    def renew() -> None:
        shutil.rmtree(place.home)
        shutil.copytree(folder / "before", place.home, symlinks=True)
        if upgrade:
            change(place)

    renew()
    assert run(place, count, 0) == 0
    total = len(count.read_text())
    for number in range(1, total + 1, step):
        renew()
        assert run(place, count, number) == -signal.SIGKILL, number
        # A link may be left that leads to nothing yet; a program that was there runs.
        assert not upgrade or place.program("--version").returncode == 0, number
        assert run(place, count, 0) == 0, number
        assert place.program("--version").returncode == 0, number
        current = (place.data / "venv").readlink().name
        assert current in environments(place), number
        assert len(environments(place)) <= (2 if upgrade or number == total else 1) + 1, number
        assert not list(place.data.glob("venv-*.link")), number
        assert not list(place.data.glob("venv-*/tmp")), number
    return total


@pytest.mark.parametrize("upgrade", [False, True], ids=["new", "upgrade"])
def test_at_some_moments(tmp_path: Path, upgrade: bool) -> None:
    assert kill_at_each(tmp_path, upgrade=upgrade, step=16) > 20


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("upgrade", [False, True], ids=["new", "upgrade"])
def test_at_each_moment(tmp_path: Path, upgrade: bool) -> None:
    kill_at_each(tmp_path, upgrade=upgrade, step=1)
