"""Tests that need a program which is missing or hidden are left out, and counted under its name."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ssm_ssh.lab.accounts.accounts import find_nss_wrapper
from ssm_ssh.lab.hidden_programs import VARIABLE
from ssm_ssh.lab.sshd.openssh import find_sftp_server, find_sshd
from tests.needs import hiding, missing

CHECKOUT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def _nothing_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)


def test_what_is_hidden_is_missing_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "sshd  sftp-server nss_wrapper sh")
    assert (find_sshd(), find_sftp_server(), find_nss_wrapper()) == ("", "", "")
    assert missing(["sshd", "sftp-server", "nss_wrapper", "sh", "ls"]) == ["sshd", "sftp-server", "nss_wrapper", "sh"]


def test_what_is_not_installed_is_missing() -> None:
    assert missing(["ls", "no-such-program"]) == ["no-such-program"]


def test_a_hidden_program_is_off_path_and_its_neighbours_are_not(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("first", "second"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    monkeypatch.setenv("PATH", path)
    monkeypatch.setenv(VARIABLE, "first")
    with hiding():
        assert shutil.which("first") is None
        assert subprocess.run(["second"], check=True).returncode == 0
        assert shutil.which("ls")
    assert os.environ["PATH"] == path


@pytest.mark.parametrize("workers", [[], ["-n", "2"]], ids=["one process", "xdist"])
def test_tests_that_need_it_are_counted_by_its_name(workers: list[str], tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_bytes((CHECKOUT / "tests" / "conftest.py").read_bytes())
    (tmp_path / "test_x.py").write_text(
        "import pytest\n"
        "@pytest.mark.needs('rsync')\ndef test_one() -> None: ...\n"
        "@pytest.mark.needs('rsync', 'ls')\ndef test_two() -> None: ...\n"
        "@pytest.mark.needs('ls')\ndef test_three() -> None: ...\n"
    )
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-c", str(CHECKOUT / "pyproject.toml")]
    command += ["--rootdir", str(tmp_path), *workers, str(tmp_path)]
    env = {**os.environ, VARIABLE: "rsync", "PYTHONPATH": str(CHECKOUT)}
    done = subprocess.run(command, env=env, cwd=CHECKOUT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done
    assert done.stdout.splitlines()[-1] == "1 passed, 2 not run: need rsync"
    assert "1 passed" in done.stdout


@pytest.mark.parametrize(("ci", "status"), [("", 0), ("true", 1)])
def test_what_is_not_run_is_a_failure_under_ci(tmp_path: Path, ci: str, status: int) -> None:
    (tmp_path / "conftest.py").write_bytes((CHECKOUT / "tests" / "conftest.py").read_bytes())
    (tmp_path / "test_x.py").write_text("import pytest\n@pytest.mark.needs('no-such')\ndef test_one() -> None: ...\n")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-c", str(CHECKOUT / "pyproject.toml")]
    command += ["--rootdir", str(tmp_path), str(tmp_path)]
    env = {**os.environ, "CI": ci, "PYTHONPATH": str(CHECKOUT)}
    done = subprocess.run(command, env=env, cwd=CHECKOUT, capture_output=True, text=True, timeout=120)
    assert done.stdout.splitlines()[-1] == "1 not run: need no-such"
    assert done.returncode == status


def test_what_tests_need_is_what_the_test_command_installs() -> None:
    commands = "".join((CHECKOUT / "tests" / name).read_text() for name in ("run", "long"))
    installed = {word.split(":")[0] for word in commands.split() if ":" in word}
    files = [file for file in (CHECKOUT / "tests").rglob("*.py") if file != Path(__file__)]
    marks = re.findall(r"mark\.needs\(([^)]*)\)", "".join(file.read_text() for file in files))
    named = {name for mark in marks for name in re.findall(r'"([^"]+)"', mark)} - {"nss_wrapper"}
    assert named
    assert named <= {word.rpartition("'")[2] for word in installed}
