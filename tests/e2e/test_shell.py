"""`ssm-ssh shell` on a real terminal, against the lab."""

from __future__ import annotations

import json
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ssm_ssh.aws.api.client import Api
from ssm_ssh.aws.config.settings import load
from ssm_ssh.aws.services.sessions import terminate_session
from ssm_ssh.lab import Lab, LabInstance, LabOptions
from tests.e2e.policies import documented, without
from tests.e2e.ptys import PtyProgram
from tests.e2e.world import until
from tests.test_docs import commands_to_run

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
PROMPT = "$ "
POLICY = documented("A policy for shells")
Start = Callable[..., PtyProgram]


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    policies = {"shells": POLICY, "no-resume": without(POLICY, "ssm:ResumeSession")}
    options = LabOptions(instances=3, policies=policies, pacing=False)
    with tempfile.TemporaryDirectory(prefix="shell-") as base, Lab(options, base=Path(base)) as lab:
        yield lab
        assert lab.log_text() == ""


@pytest.fixture
def start(lab: Lab) -> Iterator[Start]:
    """Start ssm-ssh with the words for it; what a test leaves running is killed."""
    running: list[PtyProgram] = []

    def start(*words: str, identity: str = "shells", columns: int = 80, rows: int = 24) -> PtyProgram:
        env = {**lab.env_for(identity), "TERM": "xterm", "LC_ALL": "C.UTF-8"}
        command = [sys.executable, "-m", "ssm_ssh", *words]
        running.append(PtyProgram(command, env, Path(lab.folder), columns=columns, rows=rows))
        return running[-1]

    yield start
    for program in running:
        program.close()
    lab.clear_faults()


def run(lab: Lab, *words: str, identity: str = "admin") -> subprocess.CompletedProcess[str]:
    """Run ssm-ssh without a terminal."""
    return subprocess.run(
        [sys.executable, "-m", "ssm_ssh", *words],
        env=lab.env_for(identity),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.fixture
def web(lab: Lab) -> LabInstance:
    return lab.instances[0]


def opened(start: Start, *words: str, **options: int) -> PtyProgram:
    program = start("shell", *words, **options)
    program.expect(PROMPT)
    return program


def going_on(lab: Lab) -> list[str]:
    return [one["SessionId"] for one in lab.sessions() if one["Status"] not in {"Terminated", "Failed", "Terminating"}]


def check_end(lab: Lab, program: PtyProgram, status: int) -> None:
    assert program.end() == status, program.output[-500:]
    assert program.restored
    until(lambda: not going_on(lab), "the end of the session", left=lambda: going_on(lab))


def test_a_shell_has_the_size_every_key_and_utf_8(lab: Lab, start: Start, web: LabInstance) -> None:
    program = opened(start, web.instance_id, columns=101, rows=33)
    program.command("stty size", wanted="33 101")
    program.resize(120, 40)
    until(lambda: "40 120" in program.command("stty size", wanted="0"), "the new size")
    program.command("printf 'h\\303\\251 \\346\\227\\245\\n'", wanted="hé 日")
    program.command("echo 日本", wanted="\r\n日本")
    at = len(program.output)
    # A child that has not become another program yet would lose the signal.
    program.type(b"sh -c 'echo rea\"\"dy; exec sleep 100'\r")
    program.expect("\r\nready", after=at)
    began = time.monotonic()
    program.type(b"\x03")
    program.expect(PROMPT, after=program.expect("^C", after=at))
    assert time.monotonic() - began < 60
    program.command("sh -c 'kill -3 $$' || echo status $?", wanted="status 131")
    program.type(b"exit 3\r")
    check_end(lab, program, 0)
    # A busy machine makes a line about waiting appear.
    assert b"ssm-ssh:" not in program.output.replace(b"ssm-ssh: waiting", b"")


@pytest.mark.parametrize("how", ["reset", pytest.param("bye", marks=pytest.mark.long)])
def test_a_cut_loses_and_doubles_nothing(lab: Lab, start: Start, web: LabInstance, how: str) -> None:
    program = opened(start, web.instance_id)
    at = len(program.output)
    program.type(b"i=0; while [ $i -lt 700 ]; do echo line $i; i=$((i+1)); done\r")
    program.expect("line 50\r\n", after=at)
    lab.fault("cut", how=how)
    program.type(b"echo typed\r")
    program.expect(PROMPT, after=program.expect("\r\ntyped", after=at))
    lines = re.findall(rb"line (\d+)\r\n", program.output[at:])
    assert [int(number) for number in lines] == list(range(700))
    program.type(b"\x04")
    check_end(lab, program, 0)


def test_a_lost_connection_is_told_on_a_line_of_its_own(lab: Lab, start: Start, web: LabInstance) -> None:
    program = opened(start, web.instance_id)
    lab.fault("unreachable", service="ssm")
    lab.fault("cut")
    at = program.expect("\r\nssm-ssh: the connection is lost")
    at = program.expect("Enter, then ~.\r\n", after=at)
    program.type(b"echo typed in the dark\r")
    lab.clear_faults()
    at = program.expect("\r\nssm-ssh: the connection is back\r\n", after=at)
    program.until(lambda: program.output.count(b"typed in the dark") == 2, "the echo and the output")
    program.type(b"\r~.")
    check_end(lab, program, 255)


def test_a_session_that_an_administrator_ends_gives_the_screen_back(lab: Lab, start: Start, web: LabInstance) -> None:
    program = opened(start, web.instance_id)
    program.type(b"printf '\\033[?1049h\\033[?25lfull screen'; sleep 100\r")
    program.shows("full screen")
    (session,) = going_on(lab)
    terminate_session(Api(load(env=lab.env)), session)
    check_end(lab, program, 0)
    assert b"\x1b[?1049l" in program.output
    assert b"no reason was given" in program.output


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_gives_the_terminal_back(lab: Lab, start: Start, web: LabInstance, number: signal.Signals) -> None:
    program = opened(start, web.instance_id)
    program.kill(number)
    check_end(lab, program, 128 + number)


def test_ctrl_c_before_the_prompt_ends_it(lab: Lab, start: Start, web: LabInstance) -> None:
    lab.fault("delay", seconds=5)
    program = start("shell", web.instance_id)
    until(lambda: going_on(lab), "a session")
    program.type(b"\x03")
    check_end(lab, program, 130)


def test_it_can_be_suspended_and_continued(lab: Lab, start: Start, web: LabInstance) -> None:
    env = {**lab.env_for("shells"), "TERM": "xterm", "PS1": "outer> "}
    outer = PtyProgram(["sh", "-i"], env, Path(lab.folder))
    try:
        outer.expect("outer> ")
        outer.type(f"{sys.executable} -m ssm_ssh shell {web.instance_id}\r".encode())
        outer.expect(PROMPT, after=outer.expect(web.instance_id))
        at = len(outer.output)
        outer.type(b"\r")
        at = outer.expect(PROMPT, after=at)
        outer.type(b"~\x1a")
        at = outer.expect("outer> ", after=at)
        outer.type(b"stty -a | grep -c ' echo '; fg\r")
        at = outer.expect("\r\n1\r\n", after=at)
        outer.type(b"echo again\r")
        at = outer.expect("\r\nagain", after=at)
        outer.type(b"exit\r")
        at = outer.expect("outer> ", after=at)
        outer.type(b"stty -a | grep -c ' echo '; exit 7\r")
        outer.expect("\r\n1\r\n", after=at)
        assert outer.end() == 7
    finally:
        outer.close()


def test_without_a_target_one_is_chosen(lab: Lab, start: Start, web: LabInstance) -> None:
    program = start("shell")
    program.shows(web.name)
    assert all(any(one.instance_id in line for line in program.lines) for one in lab.instances)
    program.type(web.name.encode())
    program.shows("1 of 3")
    program.type(b"\r")
    program.expect(PROMPT)
    assert not any("instance>" in line for line in program.lines)
    program.type(b"exit\r")
    check_end(lab, program, 0)
    cancelled = start("shell")
    cancelled.shows("instance>")
    cancelled.type(b"\x03")
    assert cancelled.end() == 130
    assert cancelled.restored


def test_every_kind_of_target_and_a_login_shell_need_no_more_than_the_policy(
    lab: Lab, start: Start, web: LabInstance
) -> None:
    listed = json.loads(run(lab, "list", "--json", identity="shells").stdout)
    address = next(one["private_address"] for one in listed if one["instance_id"] == web.instance_id)
    host = f"ip-{address.replace('.', '-')}"
    programs = [start("shell", *words) for words in (["--login", f"tag:Name={web.name}"], [address], [host])]
    for program in programs:
        program.expect(PROMPT)
        program.command(f"echo ${{#HOME}} {web.name}", wanted=f" {web.name}")
        program.type(b"exit\r")
    for program in programs:
        check_end(lab, program, 0)
    assert [call["operation"] for call in lab.calls() if call["error"] == "AccessDeniedException"] == []


def test_a_shell_of_another_user_is_that_users_own(lab: Lab, start: Start, web: LabInstance) -> None:
    program = opened(start, "--user", web.users[0], web.instance_id)
    program.command("echo I am $(id -un) in $(basename $HOME)", wanted=f"I am {web.users[0]} in {web.users[0]}")
    program.type(b"exit\r")
    check_end(lab, program, 0)


def test_what_the_policy_leaves_out_is_missed(lab: Lab, start: Start, web: LabInstance) -> None:
    program = start("shell", web.instance_id, identity="no-resume")
    program.expect(PROMPT)
    lab.fault("cut")
    check_end(lab, program, 255)
    assert b"ssm:ResumeSession" in program.output


def test_a_standard_input_that_is_no_terminal_names_exec(lab: Lab, web: LabInstance) -> None:
    done = run(lab, "shell", web.instance_id)
    assert done.returncode == 255
    assert "ssm-ssh exec TARGET" in done.stderr


def test_the_commands_that_the_documentation_shows_open_shells(lab: Lab, start: Start, web: LabInstance) -> None:
    listed = json.loads(run(lab, "list", "--json").stdout)
    address = next(one["private_address"] for one in listed if one["instance_id"] == web.instance_id)
    shown = [shlex.split(command)[1:] for command in sorted(commands_to_run()) if command.startswith("ssm-ssh shell")]
    assert len(shown) >= 4
    actual = dict.fromkeys(("i-0123456789abcdef0", "i-0fedcba9876543210"), web.instance_id)
    actual |= {"web-1": web.name, "10.0.3.17": address, "ubuntu": web.users[0]}
    assert run(lab, "setup").returncode == 0
    assert run(lab, "sync").returncode == 0
    programs = [
        start(*[actual.get(word, word) for word in words], identity="admin") for words in shown if len(words) > 1
    ]
    for program in programs:
        program.expect(PROMPT)
        program.type(b"exit\r")
    for program in programs:
        check_end(lab, program, 0)
