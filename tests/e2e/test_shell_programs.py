"""Programs that fill a screen, large pastes and outputs in `ssm-ssh shell`, each with the connection cut within."""

from __future__ import annotations

import hashlib
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ssm_ssh.lab import Lab, LabOptions
from tests.e2e.ptys import PtyProgram

pytestmark = [pytest.mark.e2e, pytest.mark.long, pytest.mark.timeout(600)]
PROMPT = "$ "
Cut = Callable[[], None]
Connect = Callable[..., PtyProgram]


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with tempfile.TemporaryDirectory(prefix="programs-") as base, Lab(LabOptions(instances=1), base=Path(base)) as lab:
        yield lab
        assert lab.log_text() == ""


@pytest.fixture
def connect(lab: Lab) -> Iterator[Connect]:
    """Open a shell on the instance, or the same shell here where `local`."""
    running: list[PtyProgram] = []

    def connect(*, local: bool = False, columns: int = 80, rows: int = 24) -> PtyProgram:
        env = {**lab.env, "TERM": "xterm", "LC_ALL": "C.UTF-8", "PS1": "$ "}
        command = [sys.executable, "-m", "ssm_ssh", "shell", lab.instances[0].instance_id]
        program = PtyProgram(
            ["sh", "-i"] if local else command, env, Path(lab.folder) / "tmp", columns=columns, rows=rows
        )
        running.append(program)
        program.expect(PROMPT)
        # What the two differ in, and what is not visible: the folder, and a terminal type that agents choose.
        program.command("cd /; export TERM=xterm LC_ALL=C.UTF-8 HOME=/nonexistent; echo re''ady", wanted="\r\nready")
        return program

    yield connect
    for program in running:
        program.close()
    lab.clear_faults()


@pytest.fixture(params=["whole", "cut"])
def cut(request: pytest.FixtureRequest, lab: Lab) -> Cut:
    """Cut the client's connection, or do nothing."""
    return (lambda: None) if request.param == "whole" else lambda: lab.fault("cut") and None


@pytest.fixture
def text(lab: Lab) -> Iterator[Path]:
    """A text of a thousand lines that every user may read."""
    path = Path("/tmp") / f"ssm-ssh-text-{os.getpid()}"
    path.write_text("".join(f"line {number} of the text\n" for number in range(1000)))
    path.chmod(0o644)
    yield path
    path.unlink()


def leave(program: PtyProgram) -> None:
    program.type(b"exit\r")
    assert program.end() == 0
    assert program.restored


def same_screen(here: PtyProgram, there: PtyProgram, what: str) -> None:
    """Read until both show the same."""

    def equal() -> bool:
        here._read(0.02)
        return here.lines == there.lines

    try:
        there.until(equal, f"{what}: the same screen")
    except AssertionError as error:
        raise AssertionError(f"{error}; the screen here: {here.lines}") from None


@pytest.mark.needs("vim")
def test_vim_looks_as_it_does_here(connect: Connect, text: Path, cut: Cut) -> None:
    here, there = connect(local=True), connect()
    start = f"clear; vim -u NONE -N -n -R -c 'set ruler noreadonly' {text}\r".encode()
    for keys in (start, b"500G", b":set number\r", b"oadded \xe6\x97\xa5\xe6\x9c\xac\x1b", b"/line 7..\r"):
        here.type(keys)
        there.type(keys)
        cut()
        there.shows("line")
        same_screen(here, there, repr(keys))
    there.resize(100, 30)
    here.resize(100, 30)
    same_screen(here, there, "another size")
    for program in (here, there):
        program.type(b":q!\r")
        program.expect(PROMPT, after=program.expect("\x1b[?1049l", after=len(start)))
        leave(program)


@pytest.mark.needs("less")
def test_less_looks_as_it_does_here(connect: Connect, text: Path, cut: Cut) -> None:
    here, there = connect(local=True), connect()
    for keys in (f"clear; less {text}\r".encode(), b" ", b"G", b"?line 42\r", b"k" * 5):
        here.type(keys)
        there.type(keys)
        cut()
        there.shows("of the text")
        same_screen(here, there, repr(keys))
    for program in (here, there):
        program.type(b"q")
        leave(program)


@pytest.mark.needs("htop")
def test_htop_draws_and_follows_the_size(connect: Connect, cut: Cut) -> None:
    program = connect(columns=100, rows=30)
    program.type(b"clear; htop\r")
    program.shows("F10Quit")
    cut()
    program.resize(90, 20)
    program.until(lambda: "F10Quit" in program.lines[-1] and len(program.lines) == 20, "the last of 20 lines")
    at = len(program.output)
    program.type(b"q")
    program.expect(PROMPT, after=program.expect("\x1b[?1049l", after=at))
    leave(program)


@pytest.mark.needs("tmux")
def test_tmux_survives_resizes_and_has_its_own_shell(connect: Connect, cut: Cut) -> None:
    program = connect(columns=100, rows=30)
    with tempfile.TemporaryDirectory() as folder:  # pytest's own are for this user alone
        Path(folder).chmod(0o777)
        check_tmux(program, cut, f"{folder}/socket")


def check_tmux(program: PtyProgram, cut: Cut, socket: str) -> None:
    program.type(f"clear; tmux -f /dev/null -S {socket} new-session 'PS1=inner: sh -i'\r".encode())
    program.shows("inner:")
    program.type(b"stty size\r")
    program.shows("29 100")
    cut()
    program.resize(80, 20)
    program.until(lambda: "0:" in program.lines[-1] and len(program.lines) == 20, "the status line at the bottom")
    program.type(b"clear; stty size\r")
    program.shows("19 80")
    program.type(b"exit\r")
    program.expect("[exited]")
    leave(program)


def test_a_paste_of_a_megabyte_arrives_whole(connect: Connect, cut: Cut) -> None:
    program = connect()
    lines = "".join(f"{number:063x}\r" for number in range(16_000)).encode()
    assert len(lines) >= 1_000_000
    wanted = hashlib.sha256(lines.replace(b"\r", b"\n")).hexdigest()
    program.type(b"stty -echo; sha256sum\r")
    program.expect("sha256sum")
    program.type(lines[:300_000])
    cut()
    program.type(lines[300_000:])
    program.type(b"\x04")
    program.expect(wanted, limit=300)
    program.type(b"stty echo\r")
    leave(program)


def test_ten_megabytes_of_output_come_in_order(connect: Connect, cut: Cut) -> None:
    program = connect()
    program.screen.reset()
    at = len(program.output)
    program._stream = type("Blind", (), {"feed": lambda self, data: None})()  # type: ignore[assignment]
    program.type(b"seq -f %019.0f 500000\r")
    program.until(lambda: len(program.output) > at + 1_000_000, "a megabyte", 120)
    cut()
    program.until(lambda: b"0000000000000500000\r\n" in program.output[-4000:], "ten megabytes", 300)
    numbers = re.findall(rb"^(\d{19})\r\n", program.output[at:].replace(b"\r\n", b"\r\n"), re.MULTILINE)
    assert list(map(int, numbers)) == list(range(1, 500_001))
    leave(program)


def test_ctrl_c_stops_a_flood_soon(connect: Connect, cut: Cut) -> None:
    program = connect()
    program._stream = type("Blind", (), {"feed": lambda self, data: None})()  # type: ignore[assignment]
    at = len(program.output)
    program.type(b"yes\r")
    program.until(lambda: len(program.output) > at + 500_000, "a flood", 120)
    cut()
    at = len(program.output)
    program.type(b"\x03")
    program.expect("^C", after=at, limit=60)
    leave(program)


def test_an_agent_that_dies_is_told_and_the_terminal_comes_back(connect: Connect, lab: Lab) -> None:
    program = connect()
    instance_id = lab.instances[0].instance_id
    lab.fault("kill_agent", instance_id=instance_id)
    try:
        program.type(b"echo hello\r")
        program.expect("has taken no input for 3", limit=90)
        assert program.end(180) == 255
        assert program.restored
        assert b"AWS reports it as not connected" in program.output
    finally:
        lab.fault("start_agent", instance_id=instance_id)
