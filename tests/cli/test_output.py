"""What a pipe gets, and what a terminal."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pty
import subprocess
import sys
import time

import pytest

from ssm_ssh.cli import output
from ssm_ssh.cli.table import Cell, Column

COLUMNS = (Column("NAME"), Column("ID", whole=True), Column("WHAT", wrap=True))
NAME = "caf\xe9-\u6771\u4eac"
ROWS = [(NAME, "i-0123456789abcdef0", Cell("it is there and it works well", output.GOOD))]

_PROGRAM = f"""
from ssm_ssh.cli import output
from ssm_ssh.cli.table import Cell, Column
output.table({COLUMNS!r}, {ROWS!r})
import sys
print(*[name for name in sys.modules if name.split(".")[0] == "rich"], file=sys.stderr)
"""


def on_a_terminal(columns: int, program: str = _PROGRAM, **env: str) -> str:
    """Run `program` on a terminal of that width; returns what the terminal gets."""
    controlling, terminal = pty.openpty()
    try:
        subprocess.run(
            [sys.executable, "-W", "error", "-c", program],
            env={"PATH": os.environ["PATH"], "COLUMNS": str(columns), "TERM": "xterm", "LC_ALL": "C.UTF-8", **env},
            stdin=subprocess.DEVNULL,
            stdout=terminal,
            stderr=subprocess.DEVNULL,
            check=True,
            timeout=60,
        )
    finally:
        os.close(terminal)
    shown = b""
    with os.fdopen(controlling, "rb", buffering=0) as screen, contextlib.suppress(OSError):  # EIO is the end
        while piece := screen.read(65536):
            shown += piece
    return shown.decode().replace("\r\n", "\n")


def test_a_pipe_gets_ascii_of_any_width(capsys: pytest.CaptureFixture[str]) -> None:
    output.table(COLUMNS, ROWS)
    assert capsys.readouterr().out.splitlines() == [
        "NAME     ID                   WHAT",
        "caf?-??  i-0123456789abcdef0  it is there and it works well",
    ]


@pytest.mark.parametrize("name", ["a\nb", "\x1b[2Jx", "\u202eabc", "x\ty", "\x9b0m"])
def test_what_a_terminal_would_obey_is_not_shown(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    output.table(COLUMNS, [(name, name, name)])
    lines = capsys.readouterr().out.splitlines()
    assert all(line.isprintable() and line.isascii() for line in lines)
    assert len(lines) == 2


def test_a_pipe_costs_no_rich() -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-c", _PROGRAM], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stderr == "\n"


def test_a_terminal_gets_colours_and_names_as_they_are() -> None:
    shown = on_a_terminal(100)
    assert NAME in shown
    assert "\x1b[32mit is there and it works well\x1b[0m" in shown
    assert "\x1b[1mNAME" in shown


@pytest.mark.parametrize("env", [{"NO_COLOR": "1"}, {"TERM": "dumb"}, {"TERM": ""}], ids=str)
def test_no_colour_where_it_is_not_wanted(env: dict[str, str]) -> None:
    assert "\x1b" not in on_a_terminal(100, **env)
    assert "\x1b" in on_a_terminal(100, NO_COLOR="")


def test_a_sentence_continues_below_its_beginning() -> None:
    assert on_a_terminal(60, NO_COLOR="1").splitlines() == [
        "NAME       ID                   WHAT",
        f"{NAME}  i-0123456789abcdef0  it is there and it works",
        f"{'':30}  well",
    ]


def test_a_terminal_that_is_not_utf_8_gets_ascii() -> None:
    assert on_a_terminal(100, NO_COLOR="1", PYTHONIOENCODING="latin-1").isascii()


def test_text_that_the_output_cannot_encode_is_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    output.line("/home/\udcff/\u6771")
    stream.seek(0)
    assert stream.read() == "/home/\\udcff/\\u6771\n"


def test_json_is_ascii(capsys: pytest.CaptureFixture[str]) -> None:
    output.as_json({"name": f"{NAME}\x1b\u202e"})
    out = capsys.readouterr().out
    assert out.isascii()
    assert "\x1b" not in out
    assert json.loads(out) == {"name": f"{NAME}\x1b\u202e"}


def test_a_person_is_told_once_what_takes_long(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(output, "_PATIENCE", 0.01)

    def wait() -> str:
        with output.progress("Asking AWS about prod\x1b ..."):
            time.sleep(0.2)
        return capsys.readouterr().err

    assert wait() == "", "no terminal"
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert wait() == "Asking AWS about prod ...\n"
    monkeypatch.setattr(output, "_PATIENCE", 60.0)
    assert wait() == ""
