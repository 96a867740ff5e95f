"""What starts the shell that a user asks for, run by the shells that instances have."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from ssm_ssh.errors import UsageError
from ssm_ssh.shell.commands import INTERACTIVE_DOCUMENT, Start, chosen_shell

SHELLS = [shell for shell in ("dash", "bash", "busybox") if shutil.which(shell)]


def command(user: str, *, login: bool) -> str:
    start = chosen_shell(user, login=login)
    assert start.document == INTERACTIVE_DOCUMENT
    ((name, (value,)),) = start.parameters
    assert name == "command"
    return value


def run(shell: str, script: str, path: Path, *, stdin: str = "") -> subprocess.CompletedProcess[str]:
    program = ["busybox", "sh"] if shell == "busybox" else [shell]
    env = {"PATH": f"{path}:/usr/bin:/bin", "HOME": str(path)}
    return subprocess.run([*program, "-c", script], input=stdin, env=env, capture_output=True, text=True, check=False)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A folder for PATH, whose sudo says what it was called with and runs it, and whose getent knows everybody."""
    programs = {
        "sudo": 'printf "%s|" "$@"; echo; while [ "${1#-}" != "$1" ]; do [ "$1" = -u ] && shift; shift; done; "$@"',
        "getent": f'echo "$2:x:1000:1000::{tmp_path}:{tmp_path}/usersh"',
        "usersh": 'echo "args=$* shell=$SHELL here=$(pwd)"',
    }
    for name, script in programs.items():
        file = tmp_path / name
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)
    return tmp_path


def test_without_options_it_is_the_shell_of_the_preferences() -> None:
    assert chosen_shell("", login=False) == Start()


@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_of_another_user_is_that_users_own_in_that_users_home(shell: str, path: Path) -> None:
    done = run(shell, command("bob", login=False), path)
    assert done.stdout.splitlines()[0].startswith("-H|-u|bob|sh|-c|")
    assert done.stdout.splitlines()[1] == f"args= shell={path}/usersh here={path}"
    assert done.stderr == ""


@pytest.mark.parametrize("shell", SHELLS)
def test_a_login_shell_of_another_user_is_sudos(shell: str, path: Path) -> None:
    assert run(shell, command("bob$", login=True), path).stdout.startswith("-i|-u|bob$|\n")


@pytest.mark.parametrize("shell", SHELLS)
def test_a_login_shell_of_the_session_s_user_is_the_password_database_s(shell: str, path: Path) -> None:
    done = run(shell, command("", login=True), path)
    assert done.stdout == f"args=-l shell={path}/usersh here={path}\n"


@pytest.mark.parametrize("shell", SHELLS)
def test_an_unknown_shell_is_sh(shell: str, path: Path) -> None:
    (path / "usersh").unlink()
    assert run(shell, command("", login=True), path, stdin='echo "$0"\n').stdout == "/bin/sh\n"


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("login", [False, True])
def test_a_missing_sudo_is_named(shell: str, login: bool, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = command("bob", login=login).replace("command -v sudo", "command -v no-such-sudo")
    done = run(shell, script, path)
    assert "sudo is not installed" in done.stdout
    assert done.returncode == 1


@pytest.mark.parametrize("user", ["a'b", "a;b", "-x", "", "$(id)"])
def test_a_name_that_is_no_users_is_refused(user: str) -> None:
    if not user:
        assert "sudo" not in command("", login=True)
        return
    with pytest.raises(UsageError):
        chosen_shell(user, login=False)


@pytest.mark.parametrize(("user", "login"), [("bob", False), ("bob", True), ("", True)])
def test_nothing_is_a_reference_that_systems_manager_would_resolve(user: str, login: bool) -> None:
    assert "{{" not in command(user, login=login)
