"""install.sh --uninstall: what it removes, and what it leaves."""

from __future__ import annotations

import os
import pty
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.installation import Place, make_place, make_quick


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return make_place(tmp_path)


def set_up(place: Place, **lab: str) -> Path:
    """Install, run setup, and return the user's ssh configuration."""
    fake_installation(place)
    (place.home / ".ssh").mkdir(mode=0o700)
    config = place.home / ".ssh/config"
    config.write_text("Host other\n    User me\n")
    (place.path / "ssh").write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F "$HOME/.ssh/config" "$@"\n')
    (place.path / "ssh").chmod(0o755)
    setup = subprocess.run(
        [place.link, "setup"], env=place.environment(**lab), capture_output=True, text=True, timeout=60
    )
    assert setup.returncode == 0, setup.stderr
    assert config.read_text().startswith("Include ")
    return config


def in_lab(place: Place) -> dict[str, str]:
    # As in a lab: ssm-ssh takes HOME for the home that ssh reads, and ssh is made to.
    return {"SSM_SSH_LAB": str(place.home), "SHELL": "/bin/sh"}


@pytest.mark.parametrize("answer", ["yes", "no", "not asked"])
def test_uninstall_takes_back_what_setup_did_unless_a_person_says_no(place: Place, answer: str) -> None:
    """Otherwise each ssh to an instance would start a program that is gone."""
    lab = in_lab(place)
    config = set_up(place, **lab)
    managed = place.home / ".ssh/ssm-ssh.config"
    assert managed.exists()
    ours, theirs = pty.openpty()
    os.write(ours, f"{answer}\n".encode())
    done = place.run("--uninstall", stdin=subprocess.DEVNULL if answer == "not asked" else theirs, **lab)
    os.close(ours)
    os.close(theirs)
    assert done.returncode == 0, done.stdout
    assert ("[Y/n]" in done.stdout) == (answer != "not asked")
    assert managed.exists() == (answer == "no")
    assert (config.read_text() == "Host other\n    User me\n") == (answer != "no")
    assert ("configuration still uses ssm-ssh" in done.stdout) == (answer == "no")
    assert not place.link.exists()
    again = place.run("--uninstall", stdin=subprocess.DEVNULL, **lab)
    assert ("configuration still uses ssm-ssh" in again.stdout) == (answer == "no")


def test_what_cannot_be_reverted_is_not_uninstalled(place: Place) -> None:
    config = set_up(place, **in_lab(place))
    (place.path / "ssh").unlink()
    done = place.run("--uninstall", **in_lab(place))
    assert done.returncode == 1
    assert "could not be reverted, so nothing was removed: there is no ssh on the PATH" in done.stdout
    assert config.read_text().startswith("Include ")
    assert place.link.exists()


def test_purge_removes_what_ssm_ssh_has_written_too(place: Place) -> None:
    lab = in_lab(place)
    set_up(place, **lab)
    others = place.home / ".config/other"
    settings, state = place.home / ".config/ssm-ssh", place.home / ".local/state/ssm-ssh"
    for folder in (others, settings):
        folder.mkdir(parents=True)
    assert (place.data / "id_ed25519").exists()
    assert state.exists()
    done = place.run("--uninstall", "--purge", **lab)
    assert done.returncode == 0, done.stdout
    for folder in (place.data, settings, state):
        assert f"Removed {folder} with " in done.stdout
        assert not folder.exists()
    assert others.exists()
    assert place.run("--purge").returncode == 2


@pytest.mark.parametrize("of_this_program", [True, False])
def test_uninstall_looks_where_ssh_looks(place: Place, of_this_program: bool) -> None:
    """HOME is not the home that the password database names; the rules there may be of another installation."""
    config = set_up(place, **in_lab(place))
    other = place.home.parent / "other home"
    (other / ".local/bin").mkdir(parents=True)
    shutil.move(place.home / ".local/share", other / ".local/share")
    program = other / ".local/share/ssm-ssh/venv/bin/ssm-ssh"
    (other / ".local/bin/ssm-ssh").symlink_to(program)
    if of_this_program:
        managed = place.home / ".ssh/ssm-ssh.config"
        managed.write_text(re.sub(r'ProxyCommand "[^"]*"', f'ProxyCommand "{program}"', managed.read_text()))
    # What install.sh asks for the home.
    (place.path / "python3").write_text(f'#!/bin/sh\necho "{place.home}"\n')
    (place.path / "python3").chmod(0o755)
    done = place.run("--uninstall", HOME=str(other), SSM_SSH_LAB=str(place.home), SHELL="/bin/sh")
    assert done.returncode == 0, done.stdout
    assert config.read_text().startswith("Include ") == (not of_this_program)
    assert not program.exists()


def fake_installation(place: Place) -> None:
    """Make what install.sh makes, with the package and interpreter of these tests, which takes no time."""
    environment = place.data / "venv-fake"
    (environment / "bin").mkdir(parents=True)
    place.data.chmod(0o700)
    (environment / "made-by-install.sh").touch()
    program = environment / "bin/ssm-ssh"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -I -m ssm_ssh "$@"\n')
    program.chmod(0o755)
    (place.data / "venv").symlink_to("venv-fake")
    place.link.parent.mkdir(parents=True)
    place.link.symlink_to(place.data / "venv/bin/ssm-ssh")


def test_uninstall_leaves_what_has_come_in_between(place: Place) -> None:
    assert make_quick(place).run().returncode == 0
    (place.data / "id_ed25519").touch()
    (place.link.parent / "other").touch()
    done = place.run("--uninstall")
    assert done.returncode == 0
    assert f"Kept {place.data}" in done.stdout
    assert {"id_ed25519", "other"} <= {Path(name).name for name in place.contents()}


def test_uninstall_names_each_folder_that_stays(place: Place) -> None:
    kept = [place.data, place.home / ".config/ssm-ssh", place.home / "it's state/ssm-ssh"]
    for folder in kept:
        folder.mkdir(parents=True)
    done = place.run("--uninstall", XDG_STATE_HOME=str(kept[2].parent))
    for folder in kept:
        assert f"Kept {folder}: it holds " in done.stdout
    (command,) = (line for line in done.stdout.splitlines() if line.startswith("    rm -r "))
    subprocess.run(["sh", "-c", command], check=True, timeout=60)
    assert not any(folder.exists() for folder in kept)


def test_uninstall_without_an_installation_does_nothing(place: Place) -> None:
    done = place.run("--uninstall")
    assert done.returncode == 0
    assert "nothing to uninstall" in done.stdout
    assert place.contents() == []


def test_uninstall_leaves_nothing_of_its_own(place: Place) -> None:
    data = place.home / "elsewhere"
    assert make_quick(place).run(XDG_DATA_HOME=str(data)).returncode == 0
    assert place.program("--version").returncode == 0
    done = place.run("--uninstall", XDG_DATA_HOME=str(data))
    assert done.returncode == 0
    assert "uninstalled" in done.stdout
    assert place.contents() == []
