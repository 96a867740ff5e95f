"""install.sh over an installation that is there: in one step, or not at all."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from tests.installation import Place, change, environments, fake_uv, make_place, make_quick


@pytest.fixture
def installed(tmp_path: Path) -> Place:
    place = make_quick(make_place(tmp_path))
    done = place.run()
    assert done.returncode == 0, done.stdout
    return place


def test_a_second_run_finds_it_up_to_date(installed: Place) -> None:
    assert installed.run().returncode == 0
    before = environments(installed)
    done = installed.run()
    assert done.returncode == 0
    assert "up to date" in done.stdout
    assert environments(installed) == before


def test_a_removed_link_is_made_again(installed: Place) -> None:
    installed.link.unlink()
    done = installed.run()
    assert done.returncode == 0
    assert "Linked" in done.stdout
    assert installed.program("--version").returncode == 0


def test_an_upgrade_swaps_and_keeps_what_open_connections_use(installed: Place) -> None:
    for _ in range(2):
        old = (installed.data / "venv").readlink().name
        change(installed)
        done = installed.run()
        assert done.returncode == 0, done.stdout
        new = (installed.data / "venv").readlink().name
        assert environments(installed) == {old, new}
        assert old != new
        assert installed.program("--version").returncode == 0


FAILURES = {
    "no space": "echo 'error: No space left on device (os error 28)'; exit 2",
    "network": "echo 'cause: tcp connect error'; echo 'cause: Connection refused (os error 111)'; exit 2",
    "crash": "kill -SEGV $$",
    "a program that does not run": 'rm "$last/bin/python"',
}


@pytest.mark.parametrize("failure", FAILURES)
def test_a_failed_upgrade_leaves_the_old_one(installed: Place, failure: str) -> None:
    before = installed.contents()
    change(installed)
    fake_uv(installed, fails=FAILURES[failure].replace("$last", "$PWD"))
    done = installed.run()
    assert done.returncode == 1
    assert len(re.findall("^install.sh: ", done.stdout, re.M)) == 1
    assert "Traceback" not in done.stdout
    assert installed.contents() == before
    assert installed.program("--version").returncode == 0


@pytest.mark.parametrize("failure", FAILURES)
def test_a_failed_installation_leaves_nothing(tmp_path: Path, failure: str) -> None:
    place = make_quick(make_place(tmp_path))
    fake_uv(place, fails=FAILURES[failure].replace("$last", "$PWD"))
    assert place.run().returncode == 1
    assert place.contents() == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("upgrade", [True, False])
def test_a_signal_stops_it_in_one_line_and_leaves_what_was_there(
    tmp_path: Path, number: signal.Signals, upgrade: bool
) -> None:
    place = make_quick(make_place(tmp_path))
    if upgrade:
        assert place.run().returncode == 0
        change(place)
    before = place.contents()
    fake_uv(place, fails="echo 'Downloading six-1.0-py3-none-any.whl (1 kB)'; exec sleep 100")
    (place.path / "sleep").symlink_to("/bin/sleep")
    running = subprocess.Popen(
        ["sh", str(place.checkout / "install.sh")],
        env=place.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert running.stdout is not None
    while "six 1.0" not in (line := running.stdout.readline()):
        assert line
    os.killpg(running.pid, number)
    _, errors = running.communicate(timeout=60)
    assert running.returncode == 128 + number
    assert errors.split("\n") == ["", "install.sh: stopped; nothing was changed", ""]
    assert place.contents() == before


def test_two_at_once_wait_for_each_other(tmp_path: Path) -> None:
    place = make_quick(make_place(tmp_path))
    go = tmp_path / "go"
    os.mkfifo(go)
    fake_uv(place, fails=f"echo 'Downloading six-1.0-py3-none-any.whl (1 kB)'; cat '{go}'; exit 1")

    def start() -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["sh", str(place.checkout / "install.sh")],
            env=place.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    first = start()
    assert first.stdout is not None
    while "six 1.0" not in first.stdout.readline():
        pass
    second = start()
    assert second.stdout is not None
    assert second.stdout.readline().startswith("Waiting for another install.sh")
    fake_uv(place)
    go.write_text("")  # the first fails, and removes what it had made, the lock's file included
    first.communicate(timeout=60)
    assert first.returncode == 1
    output, _ = second.communicate(timeout=60)
    assert second.returncode == 0, output
    assert place.program("--version").returncode == 0


def test_an_output_that_is_no_longer_read_does_no_harm(tmp_path: Path) -> None:
    place = make_quick(make_place(tmp_path))
    running = subprocess.Popen(
        ["sh", str(place.checkout / "install.sh")],
        env=place.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert running.stdout is not None
    running.stdout.close()
    running.wait(60)
    assert place.contents() == [] or place.program("--version").returncode == 0
