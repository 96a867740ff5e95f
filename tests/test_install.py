"""install.sh, run for real with a home of its own: downloads the pinned dependencies from the package index."""

from __future__ import annotations

import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ssm_ssh import __version__
from tests.installation import ROOT, Place, fake_python, make_place

pytestmark = pytest.mark.timeout(600)  # an installation downloads, unpacks and compiles 60 MB


@pytest.fixture(scope="module")
def installed() -> Iterator[Place]:
    # Not pytest's folder: the demonstration's sockets lie in this home, and their paths are limited to 104 bytes.
    with tempfile.TemporaryDirectory(prefix="install-") as folder:
        place = make_place(Path(folder))
        done = place.run()
        assert done.returncode == 0, done.stdout
        assert f"Installed ssm-ssh {__version__}" in done.stdout
        *_, hint, export, _, setup = done.stdout.splitlines()
        assert hint.startswith(f"Next: {place.link.parent} is not on your PATH")
        assert (setup.startswith("    "), setup.strip()) == (True, "ssm-ssh setup")
        copied = f'{export}\necho "$PATH"'
        path = subprocess.run(["sh", "-c", copied], env=place.environment(), capture_output=True, text=True, check=True)
        assert path.stdout.startswith(f"{place.link.parent}:")
        assert "  botocore " in done.stdout  # progress
        yield place


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


def test_a_wrong_hash_is_refused(installed: Place) -> None:
    before = installed.contents()
    pins = installed.checkout / "requirements/runtime.txt"
    text = pins.read_text()
    pins.write_text(f"six==1.17.0 --hash=sha256:{0:064}\n")
    done = installed.run()
    pins.write_text(text)
    assert done.returncode == 1
    assert "does not match its pinned hash" in done.stdout
    assert installed.contents() == before


def test_a_python_without_pip_is_given_the_pinned_one(tmp_path: Path) -> None:
    place = make_place(tmp_path)
    # The program's start needs none of its dependencies, and pip is what this is about.
    (place.checkout / "requirements/runtime.txt").write_text("")
    fake_python(place, "python3", missing=("ensurepip",))
    done = place.run()
    assert done.returncode == 0, done.stdout
    assert "Downloading pip" in done.stdout
    assert place.program("--version").stdout == f"ssm-ssh {__version__}\n"
    assert not list(place.data.rglob("pip-*"))


@pytest.mark.e2e
@pytest.mark.needs("rsync")
def test_the_demonstration_shows_ssh_scp_and_rsync(installed: Place) -> None:
    programs = ["ssh", "scp", "sftp", "ssh-keygen", "ssh-keyscan", "rsync"]
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
    *_, following, hint, export = done.stdout.splitlines()
    assert following.startswith("Next: ")
    assert f"{installed.link.parent} is not on your PATH" in hint
    assert export.strip().startswith("export PATH=")
    assert "[0 sessions left open]" in done.stdout
