"""What whoever calls `ssm-ssh` sees of an error that nobody foresaw, and of output that nobody takes."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ssm_ssh.cli import main, proxy

ID = "i-0123456789abcdef0"


@pytest.mark.parametrize("debug", [False, True])
def test_a_surprise_is_told_printable_and_never_in_full(
    debug: bool, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "canary\u2026".upper()  # so that it does not stand in the line of the traceback

    def fails(_argv: list[str]) -> int:
        raise ValueError("outside \x1b[31m\r\ntext") from UnicodeEncodeError("ascii", secret, 6, 7, "odd")

    monkeypatch.setattr(main, "_dispatch", fails)
    assert main.main(["list", "--debug"] if debug else ["list"]) == 1
    said = capfd.readouterr().err
    assert "unexpected error: ValueError: outside [31m text. Add --debug" in said
    assert ("Traceback" in said) == debug
    assert "\x1b" not in said
    assert "\r" not in said
    assert "CANARY" not in said


def test_the_proxy_says_a_surprise_in_band(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_options: object) -> int:
        raise ValueError("outside \x1b[31m")

    said: list[str] = []
    monkeypatch.setattr(proxy, "_proxy", fails)
    monkeypatch.setattr(proxy, "_report_in_band", said.append)
    assert proxy.run(["i-0123456789abcdef0", "--debug"]) == 1
    assert said == ["unexpected error: ValueError: outside [31m. Add --debug to the ProxyCommand to see where"]
    told = capfd.readouterr().err
    assert "Traceback" in told
    assert "\x1b" not in told


WORDS = {
    "help": ["--help"],
    "the help of a command": ["proxy", "--help"],
    "a plan": ["proxy", "--dry-run", "--region", "eu-west-1", "i-0123456789abcdef0"],
}


def told_to(stdout: int, home: Path, words: list[str], **env: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "ssm_ssh", *words],
        env={"HOME": str(home), "PATH": os.environ["PATH"], **env},
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("name", WORDS)
def test_who_has_read_enough_hears_no_complaint(tmp_path: Path, name: str, unbuffered: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        status, said = told_to(writing, tmp_path, WORDS[name], PYTHONUNBUFFERED=unbuffered)
        assert said == ""
        assert status in (0, 1), "argparse itself takes no notice"
    finally:
        os.close(writing)


def test_a_help_that_breaks_off_is_no_error_with_any_argparse(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def print_message(_parser: object, _message: str, _file: object = None) -> None:
        raise BrokenPipeError  # as before Python 3.11.4

    monkeypatch.setattr(argparse.ArgumentParser, "_print_message", print_message)
    for option in ("--help", "-h"):
        assert main.main(["proxy", option]) == 1
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", WORDS)
def test_a_full_disk_is_said_in_one_line(tmp_path: Path, name: str) -> None:
    with Path("/dev/full").open("wb") as full:
        status, said = told_to(full.fileno(), tmp_path, WORDS[name])
    assert status == 1
    assert said == "ssm-ssh: the output cannot be written: No space left on device. Check where it goes\n"


def test_a_closed_stdout_is_no_error(tmp_path: Path) -> None:
    done = subprocess.run(
        ["/bin/sh", "-c", 'exec "$0" -m ssm_ssh --version >&-', sys.executable],
        env={"HOME": str(tmp_path), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stderr == ""


@pytest.mark.parametrize("words", [("key", "renew"), ("status",), ("host-keys",), ("config",)])
def test_a_home_that_is_not_absolute_is_refused_by_every_command(tmp_path: Path, words: tuple[str, ...]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ssm_ssh", *words],
        env={"HOME": "relative", "PATH": os.environ["PATH"]},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "HOME is relative" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "reason", "hint"),
    [
        (["--debug", "list"], "unexpected argument '--debug' before", "after the command: ssm-ssh list --debug"),
        (["version"], "there is no command 'version'", "Did you mean --version?"),
        (["lsit"], "there is no command 'lsit'", "Did you mean list?"),
        (["--debug"], "there is no command '--debug'", "Commands: setup, "),
        ([ID], f"there is no command '{ID}'", f"Run: ssh ec2-user@{ID}"),
        ([f"{ID}.eu-west-1"], "there is no command", f"Run: ssh ec2-user@{ID}.eu-west-1"),
        ([f"admin@{ID}"], "there is no command", f"Run: ssh admin@{ID}"),
        (["host-keys", "refesh", ID], "host-keys has no action 'refesh'", "Did you mean refresh?"),
        (["key", "sweeep"], "key has no action 'sweeep'", "Did you mean sweep?"),
        (["host-keys", ID, "more"], "unexpected argument 'more'", "See: ssm-ssh host-keys"),
    ],
)
def test_a_wrong_call_names_the_right_one(
    capsys: pytest.CaptureFixture[str], words: list[str], reason: str, hint: str
) -> None:
    assert main.main(words) == 2
    said = capsys.readouterr().err
    assert reason in said
    assert hint in said
