"""`ssm-ssh lab`: what it prints, whose status it exits with, and how it ends."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ssm_ssh.cli import lab
from ssm_ssh.errors import UsageError
from tests.processes import command_line
from tests.terminal import Terminal

SMALL = ["--instances", "1", "--sshd", "embedded"]


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    """XDG_DATA_HOME, which must hold no lab at the end."""
    yield tmp_path
    assert list(tmp_path.glob("ssm-ssh/*")) == []


def environment(data: Path) -> dict[str, str]:
    return {**os.environ, "XDG_DATA_HOME": str(data), "AWS_PROFILE": "real"}


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "ssm_ssh", "lab", *words]


def run(data: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*words), env=environment(data), capture_output=True, text=True, timeout=120)


def test_the_status_is_the_commands(data: Path) -> None:
    done = run(data, *SMALL, "--", "sh", "-c", 'echo "$AWS_REGION $SSM_SSH_LAB_USER ${AWS_PROFILE-none}"; exit 7')
    assert (done.stdout, done.stderr, done.returncode) == ("eu-central-1 ec2-user none\n", "", 7)


def test_a_missing_system_sshd_is_named_in_one_sentence(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSM_SSH_TEST_HIDE", "sshd")
    done = run(data, "--sshd", "system", "--", "true")
    assert done.returncode == 1
    assert done.stderr == (
        "ssm-ssh: --sshd system needs OpenSSH's sshd and libnss-wrapper. "
        "Run: apt install openssh-server libnss-wrapper\n"
    )


def test_a_command_that_dies_of_a_signal(data: Path) -> None:
    assert run(data, *SMALL, "--", "sh", "-c", "kill -9 $$").returncode == 137


def test_a_command_that_is_not_there(data: Path) -> None:
    done = run(data, *SMALL, "--", "no-such-program")
    assert done.returncode == 2
    assert done.stderr.startswith("ssm-ssh: cannot run no-such-program: ")


def test_what_a_command_leaves_behind_ends(data: Path) -> None:
    done = run(data, *SMALL, "--", "sh", "-c", "sleep 600 >/dev/null 2>&1 & echo $!")
    alive = command_line(done.stdout.strip())
    if sys.platform == "linux":
        assert "sleep" not in alive
    else:
        subprocess.run(["kill", done.stdout.strip()], check=True)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_ends_the_command_and_the_lab(data: Path, number: int, status: int) -> None:
    words = command(*SMALL, "--", "sh", "-c", "echo up; exec sleep 600")
    with subprocess.Popen(words, env=environment(data), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        process.send_signal(number)
        assert process.wait(60) == status


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 0), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_it_stays_up_until_a_signal(data: Path, number: int, status: int) -> None:
    with subprocess.Popen(
        command(*SMALL), env=environment(data), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        lines: list[str] = []
        while not lines or not lines[-1].startswith("Ctrl-C"):
            lines.append(process.stdout.readline())
        process.send_signal(number)
        assert process.wait(60) == status
        assert process.stderr.read() == ""
    text = "".join(lines)
    assert "web-1" in text
    assert "Amazon Linux 2023" in text
    assert f". {data}/ssm-ssh/lab-" in text
    assert "  ssh ec2-user@i-" in text


def test_quiet_is_one_line_for_a_shell(data: Path) -> None:
    with subprocess.Popen(
        command(*SMALL, "--quiet"), env=environment(data), stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline().strip()
        done = subprocess.run(["sh", "-c", f"{line}; echo $SSM_SSH_LAB_INSTANCE"], capture_output=True, text=True)
        process.send_signal(signal.SIGINT)
        assert process.stdout.read() == ""
    assert done.stdout.startswith("i-")


def test_a_client_that_outlives_the_lab_leaves_nothing_there(data: Path) -> None:
    with subprocess.Popen(
        command(*SMALL, "--quiet"), env=environment(data), stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        enter = process.stdout.readline().strip()
        program = f'{enter}; exec ssh "$SSM_SSH_LAB_USER@$SSM_SSH_LAB_INSTANCE" "echo in; exec sleep 600"'
        with subprocess.Popen(
            ["sh", "-c", program],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        ) as ssh:
            assert ssh.stdout is not None
            assert ssh.stdout.readline() == "in\n"
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 0
            ssh.terminate()  # it would wait for the network to come back
    if sys.platform == "linux":
        while any(f"{data}/ssm-ssh/lab-".encode() in environ for environ in environments()):
            time.sleep(0.05)


def environments() -> Iterator[bytes]:
    """The environments of all processes that may be seen; of those that have ended, nothing."""
    for file in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            yield file.read_bytes()


def test_ctrl_c_at_a_terminal_is_the_commands(data: Path) -> None:
    words = command(*SMALL, "--", "sh", "-c", "trap 'echo caught; exit 5' INT; echo up; while :; do sleep 1; done")
    with subprocess.Popen(
        words, env=environment(data), stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        os.killpg(process.pid, signal.SIGINT)
        assert process.stdout.read() == "caught\n"
        assert process.wait(60) == 5


PROMPT = r"\(lab\) [^\n]* [$#] $"


def test_a_shell_at_a_terminal_in_which_everything_reaches_the_lab(data: Path) -> None:
    env = {**environment(data), "SHELL": "/bin/bash", "TERM": "dumb"}
    terminal = Terminal(command(*SMALL, "--shell", "--fault", "throttle=DescribeInstances"), env)

    def after(line: str) -> str:
        # What is typed earlier would be ssh's, which reads the terminal too.
        terminal.type(f"{line}\n")
        return terminal.until(r"\n" + PROMPT).partition("\n")[2]

    try:
        shown = terminal.until(PROMPT)
        assert "Faults: throttle=DescribeInstances" in shown
        assert "In this shell, ssh, scp, sftp, ssm-ssh, the AWS CLI and the SDKs reach the lab" in shown
        assert after("cd; echo x > f; there=$SSM_SSH_LAB_USER@$SSM_SSH_LAB_INSTANCE").startswith("(lab) ~ ")
        assert after("ssh $there whoami").startswith("ec2-user\n")
        assert after("scp -q f $there:g; ssh $there cat g").startswith("x\n")
        assert "web-1" in after("ssm-ssh list")
        assert after(f"{sys.executable} -m awscli sts get-caller-identity --query Account").startswith('"')
        ask = "import boto3; print(boto3.client('sts').get_caller_identity()['Account'])"
        assert after(f'{sys.executable} -c "{ask}"')[:12].isdigit()
        assert after("echo ${AWS_PROFILE-none}").startswith("none\n")
        left = after("sleep 600 & echo $!").split()[1]
        terminal.type("exit 7\n")
        assert terminal.end() == 7
    finally:
        terminal.close()
    assert "sleep" not in command_line(left)


def test_a_signal_ends_the_shell_and_the_lab(data: Path) -> None:
    env = {**environment(data), "SHELL": "/bin/bash", "TERM": "dumb"}
    terminal = Terminal(command(*SMALL, "--shell"), env)
    try:
        terminal.until(PROMPT)
        os.kill(terminal.pid, signal.SIGTERM)
        assert terminal.end() == 143
    finally:
        terminal.close()


def test_a_shell_that_has_missed_the_first_hangup_gets_another() -> None:
    shell = (
        "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGHUP]); print('ready', flush=True); "
        "signal.sigwait([signal.SIGHUP]); signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGHUP]); signal.pause()"
    )
    words = [sys.executable, "-c", shell]
    script = f"import os; from ssm_ssh.cli.lab import _wait_for; exit(_wait_for({words!r}, os.environ, hang_up=True))"
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.terminate()
        assert process.wait(60) == 143


def test_a_fault_is_in_force_from_the_start(data: Path) -> None:
    ask = 'ssh "$SSM_SSH_LAB_USER@$SSM_SSH_LAB_INSTANCE" true'
    done = run(data, *SMALL, "--fault", "start-denied", "--", "sh", "-c", ask)
    assert done.returncode == 255
    assert "ssm:StartSession" in done.stderr


def test_an_instance_that_the_lab_does_not_have(data: Path) -> None:
    done = run(data, *SMALL, "--fault", "agent-down=web-2", "--", "true")
    assert done.returncode == 2
    assert done.stderr == "ssm-ssh: the lab has no instance 'web-2'. Did you mean web-1?\n"


def test_the_faults_are_listed_and_described(capsys: pytest.CaptureFixture[str]) -> None:
    assert lab.run(["--fault", "help"]) == 0
    assert "\n  agent-down " in capsys.readouterr().out
    assert lab.run(["--fault", "delay=help"]) == 0
    assert "seconds=FLOAT" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words",
    [["--shell", "--", "sh"], ["--shell", "--demo"], ["--demo", "--fault", "agent-down"], ["--fault", "nonsense"]],
)
def test_what_does_not_go_together_is_refused(words: list[str]) -> None:
    with pytest.raises(UsageError):
        lab.run(words)


@pytest.mark.parametrize(
    "words",
    [["--instances", "0"], ["--instances", "x"], ["--sshd", "telnet"], ["--"], ["--nonsense"], ["--demo", "--", "sh"]],
)
def test_what_is_wrong_is_said(words: list[str]) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(UsageError):
        lab.run(words)
    assert signal.getsignal(signal.SIGTERM) is before


def test_help_tells_how_to_use_it(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        lab.run(["--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    for word in ("--instances", "--sshd", "--no-pacing", "--quiet", "-- COMMAND", "SSM_SSH_LAB_INSTANCE"):
        assert word in text


def test_preferences_come_from_options() -> None:
    words = ["--kms", "--run-as", "ubuntu", "--shell-profile", "cd", "--idle", "5", "--max-duration", "60"]
    assert lab._lab_options(lab._parser().parse_args(words)).preferences == {
        "kmsKeyId": "alias/lab",
        "runAsEnabled": True,
        "runAsDefaultUser": "ubuntu",
        "shellProfile": {"windows": "", "linux": "cd"},
        "idleSessionTimeout": "5",
        "maxSessionDuration": "60",
    }
    assert lab._lab_options(lab._parser().parse_args([])).preferences == {}


def test_a_limit_that_aws_does_not_accept(data: Path) -> None:
    done = run(data, *SMALL, "--idle", "61", "--", "true")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "ssm-ssh: idleSessionTimeout must be a number of minutes from 1 to 60. "
        "Give a value that Session Manager accepts\n"
    )


def test_how_long_a_boot_takes_is_an_option() -> None:
    made = lab._lab_options(lab._parser().parse_args(["--boot", "3"]))
    assert (made.pending_seconds, made.boot_seconds) == (1.5, 1.5)
    for wrong in ("-1", "nan", "601"):
        with pytest.raises(UsageError, match="not a time for a boot"):
            lab._lab_options(lab._parser().parse_args([f"--boot={wrong}"]))
