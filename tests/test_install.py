"""install.sh, run for real with a home of its own: downloads the pinned dependencies from the package index."""

from __future__ import annotations

import os
import pty
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from ssm_ssh import __version__

pytestmark = pytest.mark.timeout(600)  # an installation downloads, unpacks and compiles 60 MB

ROOT = Path(__file__).resolve().parent.parent
PYTHON = Path(sys.base_prefix, "bin", f"python{sys.version_info.major}.{sys.version_info.minor}")
# All that install.sh may count on besides Python.
TOOLS = ("sh", "cat", "chmod", "dirname", "ln", "mkdir", "mktemp", "readlink", "rm", "rmdir", "sed", "sort", "uname")


class Place(NamedTuple):
    """A home folder, a checkout and a PATH for install.sh."""

    home: Path
    checkout: Path
    path: Path

    @property
    def data(self) -> Path:
        return self.home / ".local/share/ssm-ssh"

    @property
    def link(self) -> Path:
        return self.home / ".local/bin/ssm-ssh"

    def environment(self, **more: str) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if k.startswith(("PIP_", "SSL_")) or k.lower().endswith("_proxy")}
        return {**kept, "HOME": str(self.home), "PATH": str(self.path), "PYTHON": str(PYTHON), **more}

    def run(self, *args: str, stdin: int = subprocess.DEVNULL, **more: str) -> subprocess.CompletedProcess[str]:
        """Run install.sh from a folder that has a `json.py`, which nothing is to import."""
        (self.home.parent / "json.py").write_text("raise SystemExit('imported from the current folder')")
        return subprocess.run(
            ["sh", str(self.checkout / "install.sh"), *args],
            env=self.environment(PYTHONPATH=".", **more),
            cwd=self.home.parent,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=500,
        )

    def program(self, *args: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self.link), *args],
            env=self.environment(PYTHONPATH=".", **more),
            cwd=self.home.parent,
            capture_output=True,
            text=True,
            timeout=60,
        )

    def contents(self) -> list[str]:
        return sorted(str(file.relative_to(self.home)) for file in self.home.rglob("*"))


def make_place(folder: Path) -> Place:
    place = Place(folder / "a home", folder / "a checkout", folder / "bin")
    place.home.mkdir()
    place.path.mkdir()
    for tool in TOOLS:
        (place.path / tool).symlink_to(shutil.which(tool) or f"/missing/{tool}")
    place.checkout.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE", "install.sh"):
        shutil.copy(ROOT / name, place.checkout)
    ignore = shutil.ignore_patterns("__pycache__")
    for name in ("ssm_ssh", "requirements"):
        shutil.copytree(ROOT / name, place.checkout / name, ignore=ignore)
    return place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return make_place(tmp_path)


@pytest.fixture(scope="module")
def installed() -> Iterator[Place]:
    # Not pytest's folder: the demonstration's sockets lie in this home, and their paths are limited to 104 bytes.
    with tempfile.TemporaryDirectory(prefix="install-") as folder:
        place = make_place(Path(folder))
        done = place.run()
        assert done.returncode == 0, done.stdout
        assert f"Installed ssm-ssh {__version__}" in done.stdout
        assert f"{place.link.parent} is not on your PATH" in done.stdout
        yield place


def change(place: Place) -> None:
    """Make the checkout differ from what is installed."""
    with (place.checkout / "README.md").open("a") as readme:
        readme.write("\nchanged\n")


def environments(place: Place) -> set[str]:
    return {folder.name for folder in place.data.glob("venv-*")}


def test_the_program_runs_isolated_from_folder_and_environment(installed: Place) -> None:
    assert installed.program("--version").stdout == f"ssm-ssh {__version__}\n"


def test_everything_is_compiled(installed: Place) -> None:
    for folder in ("ssm_ssh", "botocore", "cryptography", "paramiko"):
        (package,) = installed.data.glob(f"venv/lib/python3*/site-packages/{folder}")
        sources = list(package.rglob("*.py"))
        assert sources
        for source in sources:
            assert list((source.parent / "__pycache__").glob(f"{source.stem}.*.pyc")), source


def test_its_folder_is_private(installed: Place) -> None:
    assert stat.S_IMODE(installed.data.stat().st_mode) == 0o700


def test_only_the_pinned_versions_are_there(installed: Place) -> None:
    done = subprocess.run(
        [installed.data / "venv/bin/python", "-I", "-m", "pip", "list", "--format=freeze"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    found = {line.lower().replace("_", "-") for line in done.stdout.split()}
    pinned = {line.split()[0] for line in (ROOT / "requirements/runtime.txt").read_text().splitlines() if "==" in line}
    extra = {line.split("==")[0] for line in found - pinned}
    assert extra <= {"pip", "setuptools", "ssm-ssh"}
    assert {line.split("==")[0] for line in found} >= {"botocore", "cryptography", "paramiko", "websockets"}


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


def test_a_failed_upgrade_leaves_the_old_one(installed: Place) -> None:
    before = installed.contents()
    change(installed)
    done = installed.run(PIP_NO_INDEX="1", PIP_FIND_LINKS="")
    assert done.returncode == 1
    assert "nothing was changed" in done.stdout
    assert installed.contents() == before
    assert installed.program("--version").returncode == 0


def test_a_wrong_hash_is_refused(installed: Place) -> None:
    before = installed.contents()
    pins = installed.checkout / "requirements/runtime.txt"
    text = pins.read_text()
    pins.write_text(re.sub("sha256:[0-9a-f]{64}", f"sha256:{0:064}", text))
    done = installed.run()
    pins.write_text(text)
    assert done.returncode == 1
    assert "DO NOT MATCH THE HASHES" in done.stdout
    assert installed.contents() == before


def test_an_interrupted_upgrade_leaves_the_old_one(installed: Place) -> None:
    before = installed.contents()
    change(installed)
    with socket.create_server(("127.0.0.1", 0)) as index:  # says nothing: the download hangs until the signal comes
        url = f"http://127.0.0.1:{index.getsockname()[1]}/simple"
        running = subprocess.Popen(
            ["sh", str(installed.checkout / "install.sh")],
            env=installed.environment(PIP_INDEX_URL=url, PIP_EXTRA_INDEX_URL=url, NO_PROXY="127.0.0.1"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        index.settimeout(120)
        connection, _ = index.accept()
        with connection:
            os.killpg(running.pid, signal.SIGTERM)
            assert running.wait(60) != 0
    assert installed.contents() == before
    assert installed.program("--version").returncode == 0


def test_uninstall_leaves_nothing_of_its_own(place: Place) -> None:
    data = place.home / "elsewhere"
    assert place.run(XDG_DATA_HOME=str(data)).returncode == 0
    assert place.program("--version").returncode == 0
    done = place.run("--uninstall", XDG_DATA_HOME=str(data))
    assert done.returncode == 0
    assert "uninstalled" in done.stdout
    assert place.contents() == []


@pytest.mark.parametrize("answer", ["yes", "no", "nobody asked"])
def test_uninstall_offers_to_take_back_what_setup_did(place: Place, answer: str) -> None:
    fake_installation(place)
    managed = place.home / ".ssh/ssm-ssh.config"
    managed.parent.mkdir(mode=0o700)
    config = place.home / ".ssh/config"
    config.write_text("Host other\n    User me\n")
    # As in a lab: ssm-ssh takes HOME for the home that ssh reads, and ssh is made to.
    lab = {"SSM_SSH_LAB": str(place.home), "SHELL": "/bin/sh"}
    (place.path / "ssh").write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F "$HOME/.ssh/config" "$@"\n')
    (place.path / "ssh").chmod(0o755)
    setup = subprocess.run(
        [place.link, "setup"], env=place.environment(**lab), capture_output=True, text=True, timeout=60
    )
    assert setup.returncode == 0, setup.stderr
    assert managed.exists()
    ours, theirs = pty.openpty()
    os.write(ours, f"{answer}\n".encode())
    done = place.run("--uninstall", stdin=subprocess.DEVNULL if answer == "nobody asked" else theirs, **lab)
    os.close(ours)
    os.close(theirs)
    assert done.returncode == 0, done.stdout
    assert ("[Y/n]" in done.stdout) == (answer != "nobody asked")
    assert managed.exists() == (answer != "yes")
    assert ("configuration still names ssm-ssh" in done.stdout) == (answer != "yes")
    assert not place.link.exists()


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
    assert place.run(PIP_NO_INDEX="1", PIP_FIND_LINKS="").returncode == 1
    (place.data / "id_ed25519").touch()
    (place.link.parent / "other").touch()
    done = place.run("--uninstall")
    assert done.returncode == 0
    assert f"Left {place.data}" in done.stdout
    assert {"id_ed25519", "other"} <= {Path(name).name for name in place.contents()}


def test_uninstall_without_an_installation_does_nothing(place: Place) -> None:
    done = place.run("--uninstall")
    assert done.returncode == 0
    assert "nothing to uninstall" in done.stdout
    assert place.contents() == []


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
    assert "was not made by this program" in done.stdout
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


def fake_python(place: Place, name: str, *, version_fits: bool, has_venv: bool) -> None:
    script = f"""#!/bin/sh
case "$*" in
    *version_info\\ *) {f"echo {place.path / name}" if version_fits else "exit 1"} ;;
    *ensurepip*) exit {0 if has_venv else 1} ;;
    *version_info*) echo 3.11 ;;
esac
"""
    (place.path / name).write_text(script)
    (place.path / name).chmod(0o755)


def test_an_old_python_is_told(place: Place) -> None:
    fake_python(place, "python3", version_fits=False, has_venv=True)
    done = place.run(PYTHON="")
    assert done.returncode == 1
    assert "no Python 3.10 or newer was found" in done.stdout
    assert place.contents() == []


def test_a_python_without_venv_is_told_with_the_package_to_install(place: Place) -> None:
    fake_python(place, "python3.13", version_fits=False, has_venv=True)
    fake_python(place, "python3", version_fits=True, has_venv=False)
    done = place.run(PYTHON="")
    assert done.returncode == 1
    assert "sudo apt-get install python3.11-venv" in done.stdout
    assert place.contents() == []


@pytest.mark.parametrize("character", ['"', "'", "$", "`", "\\", "%", "\n"])
def test_a_path_that_ssh_could_not_start_is_refused(place: Place, character: str) -> None:
    done = place.run(XDG_DATA_HOME=f"{place.home}/da{character}ta")
    assert done.returncode == 1
    assert "ssh could not start a program from there" in done.stdout
    assert place.contents() == []


def test_help_tells_every_option(place: Place) -> None:
    done = place.run("--help")
    assert done.returncode == 0
    for option in ("--demo", "--uninstall", "--help"):
        assert option in done.stdout


def test_an_unknown_option_is_refused(place: Place) -> None:
    assert place.run("--frobnicate").returncode == 2
    assert place.run("--demo", "--uninstall").returncode == 2


def test_the_lists_name_no_index_and_pin_everything_with_hashes() -> None:
    for name in ("runtime", "build", "test"):
        lines = (ROOT / f"requirements/{name}.txt").read_text().splitlines()
        assert not [line for line in lines if "://" in line or "index" in line]
        for line in lines:
            assert line.startswith(("#", "    --hash=sha256:")) or "==" in line


@pytest.mark.e2e
@pytest.mark.needs("rsync")
def test_the_demonstration_shows_ssh_scp_and_rsync(installed: Place) -> None:
    programs = ["ssh", "scp", "sftp", "ssh-keygen", "rsync"]
    for tool in programs:
        (installed.path / tool).symlink_to(shutil.which(tool) or f"/missing/{tool}")
    done = installed.run("--demo")
    for tool in programs:
        (installed.path / tool).unlink()
    assert done.returncode == 0, done.stdout
    for shown in (
        "$ ssh ",
        "  Hello from ",
        "[exit status 7]",
        "$ scp ",
        "$ rsync ",
        "[identical]",
        "All of it worked.",
    ):
        assert shown in done.stdout
    assert "AS IT SHOULD" not in done.stdout
    assert "[0 sessions left open]" in done.stdout
