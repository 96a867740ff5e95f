"""The script on the instance, run by the shells that instances have: bytes, statuses, signals and users."""

from __future__ import annotations

import getpass
import os
import pty
import shlex
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from ssm_ssh.command.frames import BYE, GO, Complete, Data, Decoder, Ended, NotRun, Ready, encode_input
from ssm_ssh.command.script import LONGEST_PARAMETER, Request, Way, parameter, quote, script
from ssm_ssh.errors import UsageError

TOKEN = "0" * 16
SHELLS = {"dash": ["dash"], "bash": ["bash", "--posix"], "busybox": ["busybox", "sh"]}
NASTY = (
    *("a'b", '"q"', "$HOME", "`id`", "$(id)", "{{.Names}}", "{{ssm:x}}", "x\ny\n", "\\", "\\n", "*", "", " "),
    *("-n", "--", "#c", "é\udcff", "\x01\x03\x1c\x7f", "'\n" * 300),
)


@pytest.fixture(params=SHELLS)
def path(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A PATH on which `sh` is one of the shells."""
    words = SHELLS[request.param]
    if shutil.which(words[0]) is None:
        pytest.skip(f"{words[0]} is not installed")
    program = tmp_path / "sh"
    program.write_text(f'#!/bin/sh\nexec {" ".join(words)} "$@"\n')
    program.chmod(0o755)
    return f"{tmp_path}:{os.environ['PATH']}"


class Outcome:
    """What a command's frames have told."""

    def __init__(self) -> None:
        self.data = {1: b"", 2: b""}
        self.status: int | None = None
        self.not_run = ""

    def take(self, decoder: Decoder, data: bytes, on_complete: Callable[[], object]) -> bool:
        """Take frames; return whether the script is ready."""
        ready = False
        for frame in decoder.feed(data):
            if isinstance(frame, Data):
                self.data[frame.stream] += frame.data
            elif isinstance(frame, Ended):
                self.status = frame.status
            elif isinstance(frame, NotRun):
                self.not_run = frame.reason
            elif isinstance(frame, Complete):
                on_complete()
            ready |= isinstance(frame, Ready)
        return ready


def apart(path: str, request: Request, number: int = 0) -> Outcome:
    """Run a command as the agent does for AWS-StartNonInteractiveCommand; `number`: a signal for the process."""
    words = shlex.split(parameter(request, Way.APART, TOKEN))
    env = {**os.environ, "PATH": path}
    outcome, left = Outcome(), [1, 1]
    with subprocess.Popen(
        words, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:

        def complete() -> None:
            left.pop()
            if not left:
                process.send_signal(signal.SIGINT)  # what the client's last byte becomes

        def read(fd: int, decoder: Decoder) -> None:
            while data := os.read(fd, 1024):
                outcome.take(decoder, data, complete)
                if number and b"begun" in outcome.data[1] and not told:
                    told.append(number)
                    process.send_signal(number)

        told: list[int] = []
        assert process.stdout is not None
        assert process.stderr is not None
        other = threading.Thread(target=read, args=(process.stderr.fileno(), Decoder(ready=True)))
        other.start()
        read(process.stdout.fileno(), Decoder())
        other.join()
    return outcome


def framed(path: str, request: Request, data: bytes = b"") -> Outcome:
    """Run a command as the agent does for AWS-StartInteractiveCommand, with `data` as its input."""
    pid, fd = pty.fork()
    if pid == 0:  # pragma: no cover -- the child
        words = ["sh", "-c", parameter(request, Way.FRAMED, TOKEN)]
        os.execvpe("sh", words, {**os.environ, "PATH": path})
    outcome, decoder = Outcome(), Decoder()

    def write(text: bytes) -> None:
        while text:
            text = text[os.write(fd, text[:1024]) :]

    while True:
        try:
            got = os.read(fd, 1024)
        except OSError:
            break
        if not got:
            break
        if outcome.take(decoder, got, lambda: write(BYE)):
            write(GO)
            if request.stdin:
                threading.Thread(target=write, args=(encode_input(data) + b".\n",), daemon=True).start()
    os.waitpid(pid, 0)
    os.close(fd)
    return outcome


@pytest.mark.parametrize("run", [apart, framed])
def test_streams_arguments_and_status_arrive(path: str, run: Callable[[str, Request], Outcome]) -> None:
    program = "import sys; sys.stdout.write(ascii(sys.argv[1:])); sys.stderr.write('err'); sys.exit(3)"
    outcome = run(path, Request((sys.executable, "-c", program, *NASTY)))
    assert outcome.data[1].decode() == ascii(list(NASTY))
    assert outcome.data[2] == b"err"
    assert outcome.status == 3


@pytest.mark.parametrize("run", [apart, framed])
def test_a_missing_program_a_builtin_and_a_signal_have_the_status_of_a_shell(
    path: str, run: Callable[[str, Request], Outcome]
) -> None:
    missing = run(path, Request(("no-such-program",)))
    assert (missing.status, b"no-such-program" in missing.data[2]) == (127, True)
    assert run(path, Request(("exit", "3"))).status == 127
    killed = run(path, Request(("sh", "-c", "kill -9 $$")))
    assert (killed.status, killed.data) == (137, {1: b"", 2: b""})


@pytest.mark.parametrize("run", [apart, framed])
def test_every_byte_of_both_streams_arrives(path: str, run: Callable[[str, Request], Outcome]) -> None:
    program = (
        "import os\nfor i in range(9):\n"
        " os.write(1, bytes(range(256)) * 50); os.write(2, bytes(range(255, -1, -1)) * 50)"
    )
    outcome = run(path, Request((sys.executable, "-c", program)))
    assert outcome.data == {1: bytes(range(256)) * 450, 2: bytes(range(255, -1, -1)) * 450}
    assert outcome.status == 0


@pytest.mark.parametrize("run", [apart, framed])
def test_directory_and_variables_are_set(path: str, run: Callable[[str, Request], Outcome], tmp_path: Path) -> None:
    place = tmp_path / "a 'b'"
    place.mkdir()
    request = Request(("sh", "-c", 'pwd; echo "$A"'), directory=str(place), variables=("A=x=y'z",))
    assert run(path, request).data[1].decode() == f"{place}\nx=y'z\n"
    refused = run(path, Request(("echo", "no"), directory=str(tmp_path / "missing")))
    assert "missing" in refused.not_run
    assert (refused.data[1], refused.status) == (b"", None)


def test_the_own_user_needs_no_sudo_and_an_unknown_one_is_refused(path: str) -> None:
    assert apart(path, Request(("echo", "hi"), user=getpass.getuser())).data[1] == b"hi\n"
    assert "no-such-user" in apart(path, Request(("echo", "hi"), user="no-such-user")).not_run


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, {130, 143}), (signal.SIGQUIT, {143})])
def test_a_signal_for_the_script_ends_the_command_and_its_children(path: str, number: int, status: set[int]) -> None:
    outcome = apart(path, Request(("sh", "-c", "echo begun; sleep 30; echo not reached")), number)
    assert outcome.status in status
    assert outcome.data[1] == b"begun\n"


@pytest.mark.parametrize("data", [b"", b"x", b"hello\n", bytes(range(256)) * 40])
def test_input_arrives_with_its_end(path: str, data: bytes) -> None:
    assert framed(path, Request(("cat",), stdin=True), data).data[1] == data


def test_a_command_that_reads_only_a_part_ends_all_the_same(path: str) -> None:
    outcome = framed(path, Request(("head", "-c", "5"), stdin=True), b"0123456789" * 9999)
    assert (outcome.data[1], outcome.status) == (b"01234", 0)


def test_the_parameter_has_neither_braces_nor_anything_else_from_the_user() -> None:
    request = Request(NASTY, user="u", directory="{{d}}", variables=("A={{v}}",))
    for way in Way:
        value = parameter(request, way, TOKEN)
        assert "{" not in value
        assert value.isascii()
        assert len(shlex.split(value)) == 5


def test_a_long_argument_fits_and_a_longer_one_is_refused() -> None:
    for way in Way:
        assert len(parameter(Request(("echo", "'" * 30000)), way, TOKEN)) < LONGEST_PARAMETER
    with pytest.raises(UsageError, match="too long") as refused:
        parameter(Request(("echo", "x" * 60000)), Way.APART, TOKEN)
    assert "-i" in refused.value.hint


def test_a_nul_is_refused() -> None:
    with pytest.raises(UsageError, match="NUL"):
        quote("a\0b")


def test_a_terminal_has_its_mark_and_only_input_its_reader() -> None:
    assert TOKEN in script(Request(("x",), terminal=True), Way.TERMINAL, TOKEN)
    assert "dec |" in script(Request(("x",), stdin=True), Way.FRAMED, TOKEN)
    assert "dec |" not in script(Request(("x",)), Way.FRAMED, TOKEN)
