"""The shells' own completion of ssh's hosts, in the real shells, on what setup and sync write."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import time
from pathlib import Path

import pytest

from ssm_ssh.sshconfig import include, install
from ssm_ssh.sshconfig.desired import compose
from ssm_ssh.sshconfig.effective import IDS
from ssm_ssh.sshconfig.managed_file import Alias
from tests.sshconfig.home import Home

_BASH = r"""
source /usr/share/bash-completion/bash_completion
# 2.12 has other names for the loader and for what it loads.
_comp_load ssh 2>/dev/null || _completion_loader ssh
complete=$(complete -p ssh | sed -n 's/.* -F \([^ ]*\) .*/\1/p')
COMP_WORDS=(ssh "$1"); COMP_CWORD=1; COMP_LINE="ssh $1"; COMP_POINT=${#COMP_LINE}; COMP_TYPE=9
"$complete" ssh "$1" ssh
printf '%s\n' "${COMPREPLY[@]}"
"""


def complete_bash(home: Path, word: str) -> str:
    return run(home, "bash", "--norc", "-c", _BASH, "bash", word)


def complete_fish(home: Path, word: str) -> str:
    return run(home, "fish", "-c", "complete -C $argv[1]", f"ssh {word}")


def complete_zsh(home: Path, word: str) -> str:
    """zsh completes in its line editor alone, so it gets a terminal; it is asked to list what there is."""
    shell, terminal = pty.openpty()
    env = {"PATH": "/usr/bin:/bin", "HOME": str(home), "LC_ALL": "C.UTF-8", "TERM": "dumb", "ZDOTDIR": str(home)}
    (home / ".zshrc").write_text(
        "PS1='ready> '\nunsetopt zle_bracketed_paste beep 2>/dev/null\nautoload -Uz compinit && compinit -u -D\n"
        "setopt no_list_beep list_rows_first\nzstyle ':completion:*' list-prompt ''\necho loaded\n"
    )
    process = subprocess.Popen(["zsh", "-i"], stdin=terminal, stdout=terminal, stderr=terminal, env=env, cwd=home)
    os.close(terminal)
    try:
        read_until(shell, "ready> ")
        os.write(shell, f"ssh {word}\x04".encode())  # ^D lists the possible completions
        os.write(shell, b"\x15echo finished-$((1 + 1))\n")
        return read_until(shell, "finished-2")
    finally:
        process.kill()
        process.wait(timeout=60)
        os.close(shell)


def read_until(terminal: int, end: str) -> str:
    output, deadline = "", time.monotonic() + 60
    while end not in output:
        assert select.select([terminal], [], [], max(0, deadline - time.monotonic()))[0], output
        output += os.read(terminal, 65536).decode(errors="replace")
    return output


def run(home: Path, *command: str) -> str:
    env = {"PATH": "/usr/bin:/bin", "HOME": str(home), "LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        command, env=env, cwd=home, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


SHELLS = [
    pytest.param(complete_bash, id="bash", marks=pytest.mark.needs("bash", "bash-completion")),
    pytest.param(complete_zsh, id="zsh", marks=pytest.mark.needs("zsh")),
    pytest.param(complete_fish, id="fish", marks=pytest.mark.needs("fish")),
]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    home = Home(tmp_path / "home")
    for name in home.env:
        monkeypatch.setenv(name, home.env[name])
    home.write("Host theirs-1\n  User me\n")
    aliases = (Alias("web-1", IDS[0], "ubuntu", "prod", "eu-west-1"), Alias("web-2", IDS[1]))
    install.set_up(home.place, home.ssh, lambda before: compose(home.place, before)._replace(aliases=aliases))
    return home


@pytest.mark.parametrize("complete", SHELLS)
def test_the_shells_complete_aliases(home: Home, complete: object) -> None:
    assert callable(complete)
    offered = complete(home.path, "web-").split()
    assert {"web-1", "web-2"} <= set(offered)
    assert not any("i-?" in word for word in offered)
    assert "theirs-1" in complete(home.path, "thei").split()


@pytest.mark.parametrize("complete", SHELLS)
def test_the_shells_complete_aliases_of_the_inline_form_too(home: Home, complete: object) -> None:
    assert callable(complete)
    install.set_up(home.place, home.ssh, lambda before: compose(home.place, before), inline=True)
    assert include.has_block(home.config.read_bytes())
    assert {"web-1", "web-2"} <= set(complete(home.path, "web-").split())
