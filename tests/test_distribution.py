"""The sdist and the wheel hold what a release needs, and nothing else of the checkout."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest

from ssm_ssh import __version__

CHECKOUT = Path(__file__).parents[1]
SDIST, WHEEL = f"ssm_ssh-{__version__}.tar.gz", f"ssm_ssh-{__version__}-py3-none-any.whl"


def build(checkout: Path, folder: Path, *targets: str) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "--directory", str(folder)]
    command += [word for target in targets for word in ("--target", target)]
    subprocess.run(command, cwd=checkout, check=True, capture_output=True, timeout=120)


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    build(CHECKOUT, folder, "sdist", "wheel")
    return folder


def package() -> set[str]:
    files = (CHECKOUT / "ssm_ssh").rglob("*")
    return {str(file.relative_to(CHECKOUT)) for file in files if file.is_file() and file.suffix != ".pyc"}


def test_both_are_named_after_the_version(dist: Path) -> None:
    assert {file.name for file in dist.iterdir()} == {SDIST, WHEEL}


def test_the_wheel_is_the_package_and_its_metadata(dist: Path) -> None:
    with zipfile.ZipFile(dist / WHEEL) as wheel:
        names = set(wheel.namelist())
        info = f"ssm_ssh-{__version__}.dist-info"
        metadata = message_from_bytes(wheel.read(f"{info}/METADATA"))
        entry_points = wheel.read(f"{info}/entry_points.txt").decode()
    rest = {f"{info}/{name}" for name in ("METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE")}
    assert names == package() | rest
    assert {"ssm_ssh/py.typed", "ssm_ssh/remote/root.sh", "ssm_ssh/remote/user.sh"} <= names
    assert (metadata["Name"], metadata["Version"]) == ("ssm-ssh", __version__)
    assert metadata["License-Expression"] == "Apache-2.0"
    readme = metadata.get_payload(decode=True)
    assert isinstance(readme, bytes)
    assert readme.decode() == (CHECKOUT / "README.md").read_text(encoding="utf-8")
    assert entry_points.split() == ["[console_scripts]", "ssm-ssh", "=", "ssm_ssh.cli.main:entry"]


def test_the_sdist_has_all_that_the_tests_and_the_installer_need(dist: Path) -> None:
    with tarfile.open(dist / SDIST) as sdist:
        members = {member.name.removeprefix(f"ssm_ssh-{__version__}/"): member for member in sdist.getmembers()}
    assert package() <= set(members)
    for name in ("README.md", "LICENSE", "CHANGELOG.md", "pyproject.toml", "PKG-INFO", "docs/commands.md"):
        assert name in members
    for name in ("install.sh", "tests/run", "tests/long", "benchmarks/run"):
        assert members[name].mode & 0o111, f"{name} is not executable"
    for name in ("requirements/runtime.txt", "installer/__main__.py", "tests/channel/recorded/ssh.jsonl"):
        assert name in members
    folders = {name.split("/")[0] for name in members if "/" in name}
    assert folders == {"ssm_ssh", "tests", "docs", "benchmarks", "installer", "requirements"}
    assert not [name for name in members if "__pycache__" in name or name.startswith("benchmarks/.environment")]


def test_the_sdist_builds_the_same_wheel(dist: Path, tmp_path: Path) -> None:
    with tarfile.open(dist / SDIST) as sdist:
        if hasattr(tarfile, "data_filter"):  # Python 3.11.4, PEP 706
            sdist.extraction_filter = tarfile.data_filter
        sdist.extractall(tmp_path)
    build(tmp_path / f"ssm_ssh-{__version__}", tmp_path / "again", "wheel")
    assert (tmp_path / "again" / WHEEL).read_bytes() == (dist / WHEEL).read_bytes()
