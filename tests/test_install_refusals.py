"""What install.sh refuses, and leaves as it is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.installation import ROOT, Place, make_place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return make_place(tmp_path)


@pytest.mark.parametrize("kind", ["file", "link", "broken link"])
def test_a_foreign_program_of_that_name_is_left_alone(place: Place, kind: str) -> None:
    place.link.parent.mkdir(parents=True)
    if kind == "file":
        place.link.write_text("mine")
    else:
        place.link.symlink_to(sys.executable if kind == "link" else "nowhere")
    before = place.link.lstat().st_ino
    done = place.run()
    assert done.returncode == 1
    assert "install.sh did not create it" in done.stdout
    assert place.run("--uninstall").returncode == 0
    assert place.link.lstat().st_ino == before
    assert place.contents() == [".local", ".local/bin", ".local/bin/ssm-ssh"]


def test_a_foreign_environment_is_left_alone(place: Place) -> None:
    mine = place.data / "venv/bin/python"
    mine.parent.mkdir(parents=True)
    mine.touch()
    before = place.contents()
    assert place.run().returncode == 1
    assert place.run("--uninstall").returncode == 0
    assert place.contents() == before


@pytest.mark.parametrize("character", ['"', "'", "$", "`", "\\", "%", "\n"])
def test_a_path_that_ssh_could_not_start_is_refused(place: Place, character: str) -> None:
    done = place.run(XDG_DATA_HOME=f"{place.home}/da{character}ta")
    assert done.returncode == 1
    assert "ssh could not start a program from" in done.stdout
    assert place.contents() == []


def test_help_tells_every_option(place: Place) -> None:
    done = place.run("--help")
    assert done.returncode == 0
    for option in ("--demo", "--uninstall", "--help"):
        assert option in done.stdout


def test_an_unknown_option_is_refused(place: Place) -> None:
    done = place.run("--frobnicate")
    assert done.returncode == 2
    assert done.stdout.startswith("install.sh: unknown option --frobnicate\n\nUsage: ")


@pytest.mark.parametrize(
    ("mistyped", "meant"),
    [("--dmeo", "--demo"), ("demo", "--demo"), ("--unistall", "--uninstall"), ("remove", "--uninstall")],
)
def test_a_mistyped_option_is_told_from_the_one_meant(place: Place, mistyped: str, meant: str) -> None:
    done = place.run(mistyped)
    assert done.returncode == 2
    assert done.stdout.startswith(f"install.sh: unknown option {mistyped}. Did you mean {meant}?\n\nUsage: ")
    assert place.run("--demo", "--uninstall").returncode == 2


def test_the_lists_name_no_index_and_pin_everything_with_hashes() -> None:
    for name in ("runtime", "build", "pip", "test"):
        lines = (ROOT / f"requirements/{name}.txt").read_text().splitlines()
        assert not [line for line in lines if "://" in line or "index" in line]
        for line in lines:
            assert line.startswith(("#", "    --hash=sha256:")) or "==" in line


@pytest.mark.parametrize("reader_left", [False, True])
def test_a_failed_demonstration_is_reported_unless_the_reader_has_left(place: Place, reader_left: bool) -> None:
    script = (place.checkout / "install.sh").read_text().partition('\n[ "$#" -le 1 ]')[0]
    (place.checkout / "demo.sh").write_text(f'{script}\nprogram=/bin/false bin=/bin PATH=/bin\nexec 2>"$1"\ndemo\n')
    reader, writer = os.pipe()
    if reader_left:
        os.close(reader)
    errors = place.home / "errors"
    status = subprocess.run(
        ["sh", place.checkout / "demo.sh", errors], stdout=writer, env=place.environment(), timeout=60
    ).returncode
    os.close(writer)
    if not reader_left:
        os.close(reader)
    assert status != 0
    assert ("demonstration failed" in errors.read_text()) == (not reader_left)
