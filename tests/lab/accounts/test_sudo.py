"""sudo on an instance, as shells and commands use it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from ssm_ssh.lab.accounts.accounts import Accounts, find_nss_wrapper
from ssm_ssh.lab.agent.document import Preferences
from ssm_ssh.lab.agent.login import log_in


@pytest.fixture
def accounts(folder: Path) -> Accounts:
    folder.chmod(0o711)
    made = Accounts(folder / "i-1", ("ec2-user", "deploy"), 0, find_nss_wrapper())
    made.build()
    return made


def run(accounts: Accounts, *words: str) -> tuple[int, str, str]:
    login = log_in(accounts, Preferences(), elevated=False)
    environment = {**login.environment, "SECRET": "x"}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=60, **login.options)
    return done.returncode, done.stdout, done.stderr


ENVIRONMENT = 'echo "$HOME|$USER|$LOGNAME|$SUDO_USER|$SECRET|$A"; id -un'


@pytest.mark.parametrize("options", [("-n", "-H", "-u", "deploy", "--"), ("-nHu", "deploy"), ("--user=deploy",)])
def test_a_command_runs_as_another_user(accounts: Accounts, options: tuple[str, ...]) -> None:
    status, output, errors = run(accounts, "sudo", *options, "sh", "-c", ENVIRONMENT)
    home = accounts.home("deploy")
    assert (status, errors) == (0, "")
    assert output == f"{home}|deploy|deploy|ssm-user||\ndeploy\n"


def test_assignments_come_before_the_command(accounts: Accounts) -> None:
    assert run(accounts, "sudo", "-n", "-u", "ec2-user", "A=b c", "sh", "-c", ENVIRONMENT)[1].endswith(
        "||b c\nec2-user\n"
    )


def test_the_exit_status_is_the_commands(accounts: Accounts) -> None:
    assert run(accounts, "sudo", "-u", "deploy", "sh", "-c", "exit 3")[0] == 3


def test_a_login_shell_starts_at_home(accounts: Accounts) -> None:
    assert run(accounts, "sudo", "-i", "-u", "deploy", "pwd")[1] == f"{accounts.home('deploy')}\n"
    status, output, _ = run(accounts, "sudo", "-i", "-u", "deploy", "echo", "a  b", "$HOME")
    assert (status, output) == (0, "a  b $HOME\n")


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("-u", "stranger", "id"), "sudo: unknown user stranger\n"),
        (("-u", "deploy", "no-such-program"), "sudo: no-such-program: command not found\n"),
        (("--what", "id"), "sudo: unrecognized option '--what'\n"),
    ],
)
def test_what_sudo_refuses(accounts: Accounts, words: tuple[str, ...], error: str) -> None:
    assert run(accounts, "sudo", *words) == (1, "", error)


def test_only_an_ordinary_users_lab_has_a_root_for_sessions(accounts: Accounts) -> None:
    status, output, errors = run(accounts, "sudo", "sh", "-c", "echo $USER")
    if accounts.as_root:
        assert (status, "cannot become root" in errors) == (1, True)
    else:
        assert (status, output) == (0, "root\n")
