"""The user's shell in a lab: real shells at a real terminal."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from ssm_ssh.lab import shell
from ssm_ssh.lab.environment import shell_lines
from tests.terminal import Terminal


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A lab's folder with the file that leads into the lab."""
    (tmp_path / "home").mkdir()
    (tmp_path / "env.sh").write_text(shell_lines({"AWS_REGION": "the-lab's"}))
    return tmp_path


def env_of(folder: Path) -> dict[str, str]:
    home = folder / "home"
    return {
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home),
        "XDG_DATA_HOME": str(home),
        "PATH": os.environ["PATH"],
        "TERM": "dumb",
        "AWS_REGION": "somewhere-else",
        "LC_ALL": "C.UTF-8",
    }


@pytest.fixture
def terminals() -> Iterator[list[Terminal]]:
    opened: list[Terminal] = []
    yield opened
    for terminal in opened:
        terminal.close()


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.needs(name)) for name in ("bash", "zsh", "fish", "dash")]
)
def test_the_prompt_says_lab_and_the_shell_is_in_it(folder: Path, name: str, terminals: list[Terminal]) -> None:
    path = shutil.which(name)
    assert path is not None
    (folder / "home" / ".bashrc").write_text("echo USERS OWN FILE; AWS_REGION=wrong\n")
    (folder / "home" / ".zshrc").write_text("echo USERS OWN FILE; AWS_REGION=wrong\n")
    started = shell.prepare(folder, path, env_of(folder))
    terminal = Terminal(started.command, started.env)
    terminals.append(terminal)
    seen = terminal.until(r"\(lab\) [^\n]*[$%>#] ")
    terminal.type("echo region: $AWS_REGION.\n")
    seen += terminal.until(r"region: [^$\n]*\.")
    # fish starts with the environment alone: it has no startup files outside the lab's home that change AWS's part.
    assert f"region: {'somewhere-else' if name == 'fish' else 'the-lab' + chr(39) + 's'}." in seen
    assert "USERS OWN FILE" not in seen
    terminal.type("exit 5\n")
    assert terminal.end() == 5


def test_the_shell_is_the_users() -> None:
    assert shell.user_shell({"SHELL": "/bin/sh"}) == "/bin/sh"
    # Without SHELL, or where it names nothing that runs, the password database decides.
    assert os.access(shell.user_shell({}), os.X_OK)
    assert shell.user_shell({"SHELL": "/no/such/shell"}) == shell.user_shell({})


def test_its_files_are_private(folder: Path) -> None:
    for name in ("bash", "zsh", "ksh", "tcsh"):
        shell.prepare(folder, f"/bin/{name}", env_of(folder))
    files = [*(folder / "shell").iterdir(), folder / "home" / ".cshrc"]
    assert {file.name for file in files} == {"bashrc", ".zshrc", "shrc", ".cshrc"}
    assert all(file.stat().st_mode & 0o077 == 0 for file in [folder / "shell", *files])
