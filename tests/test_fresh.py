"""The commands of the tests, as far as they say no: what tests/fresh and tests/run want."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parent.parent


def call(*command: str, **env: str) -> tuple[int, str]:
    done = subprocess.run(
        command,
        env={**os.environ, **env},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
    )
    return done.returncode, done.stdout


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The commands alone, with an `id` that takes everybody for an ordinary user."""
    shutil.copytree(CHECKOUT / "tests", tmp_path / "tests", ignore=lambda _, names: {*names} - {"run", "fresh", "long"})
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/id").write_text("#!/bin/sh\necho 1000\n")
    (tmp_path / "bin/id").chmod(0o755)
    return tmp_path


def test_an_ordinary_user_builds_no_bare_system(checkout: Path) -> None:
    status, output = call(
        str(checkout / "tests/fresh"), PATH=f"{checkout}/bin:{os.environ['PATH']}", HOME=str(checkout)
    )
    assert status == 1
    assert output == "tests/fresh: only root can build a bare system and enter it: run this as root\n"


@pytest.mark.parametrize("words", [("fresh", "jessie"), ("long", "everything"), ("run", "--python")], ids=" ".join)
def test_a_wrong_call_is_told_in_one_line(words: tuple[str, ...]) -> None:
    status, output = call(str(CHECKOUT / "tests" / words[0]), *words[1:])
    assert status == 2
    assert output.startswith(f"tests/{words[0]}: ")
    assert output.count("\n") == 1


def test_a_python_that_is_not_there_is_told_with_what_installs_it() -> None:
    status, output = call(str(CHECKOUT / "tests/run"), "--python", "3.99")
    assert status == 1
    assert output.count("\n") == 1
    assert "no Python 3.99" in output
    assert "install" in output


@pytest.mark.parametrize("ci", ["", "true"])
def test_an_ordinary_user_is_told_the_packages_and_under_ci_refused(checkout: Path, ci: str) -> None:
    tools = checkout / "bin"
    for name in ("sh", "dirname", "sort", "tr", "env", "sed", "cat", "cksum", "rm"):
        (tools / name).symlink_to(shutil.which(name) or f"/missing/{name}")
    # What stands for the suite ends the run, when it comes to that.
    (tools / "python").write_text('#!/bin/sh\n[ "$2" != -c ] || exit 0\necho made an environment\nexit 3\n')
    (tools / "python").chmod(0o755)
    for name in ("requirements/test.txt", "pyproject.toml"):
        (checkout / name).parent.mkdir(exist_ok=True)
        (checkout / name).touch()
    status, output = call(str(checkout / "tests/run"), PATH=str(tools), PYTHON=str(tools / "python"), CI=ci)
    assert "missing, by the names of their Debian packages: " in output
    assert " rsync " in output
    assert ("made an environment" in output) == (ci == "")
    assert status == (1 if ci else 3), output


def test_the_commands_are_plain_shell() -> None:
    for name in ("tests/run", "tests/fresh", "tests/long", ".ci/run"):
        assert call("/bin/sh", "-n", str(CHECKOUT / name)) == (0, "")


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_is_the_usage_and_runs_nothing(option: str, tmp_path: Path) -> None:
    status, output = call(str(CHECKOUT / "tests/run"), option, PATH=f"{tmp_path}:/usr/bin:/bin", PYTHON="/bin/false")
    assert status == 0
    assert "tests/run unit" in output
    assert not output.startswith("#")
