"""The real shells, each with the script that it is given, and a program that offers hostile names."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from ssm_ssh.aws.config.settings import load
from ssm_ssh.cli.completion import _names
from ssm_ssh.cli.main import COMMANDS, main
from ssm_ssh.locate import history
from ssm_ssh.locate.history import KnownInstance
from ssm_ssh.session import records

WEB, DB = "i-0123456789abcdef0", "i-0123456789abcdef1"
GOOD = ["web-1", "web-2", WEB, "prod", "a.b@c"]
HOSTILE = [
    "$(touch owned)",
    "`touch owned`",
    "web-3;touch owned",
    "web-4 x",
    "we'b",
    'we"b',
    "web-*",
    "../web-5",
    "web\\",
]

_BASH = """
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
_ssm_ssh
printf '%s\\n' "${COMPREPLY[@]}"
"""
# Outside of the line editor, zsh has none of these; what they are given is what would be offered.
_ZSH = """
compdef() { : }
_files() { : }
compadd() {
    local word; local -a all
    if [[ $1 == -a ]]; then all=("${(@P)2}"); else shift; all=("$@"); fi
    for word in "$all[@]"; do if [[ $word == "$words[CURRENT]"* ]]; then print -r -- "$word"; fi; done
}
source "$1"; shift
words=("$@"); CURRENT=$#
_ssm-ssh
"""
_FISH = "source $argv[1]; complete -C $argv[2]"


class Shell:
    """A shell that has read the script, and finds a `ssm-ssh` which offers GOOD and HOSTILE."""

    def __init__(self, name: str, folder: Path, script: str) -> None:
        self.name, self.folder = name, folder
        self.script = folder / "script"
        self.script.write_text(script)
        program = folder / "bin" / "ssm-ssh"
        program.parent.mkdir()
        lines = "".join(f"printf '%s\\n' {shlex.quote(one)}\n" for one in [*HOSTILE, *GOOD])
        program.write_text(f'#!/bin/sh\ntest "$1 $2" = "completion --list" || exit 1\necho "$3" >> asked\n{lines}')
        program.chmod(0o755)
        self.env = {"PATH": f"{program.parent}:/usr/bin:/bin", "HOME": str(folder), "LC_ALL": "C.UTF-8"}

    def complete(self, *words: str) -> list[str]:
        """Return what is offered for the last of `words`."""
        if self.name == "fish":
            command = ["fish", "--no-config", "-c", _FISH, str(self.script), shlex.join(words[:-1]) + " " + words[-1]]
        elif self.name == "bash":
            command = ["bash", "--norc", "-c", _BASH, "bash", str(self.script), *words]
        else:
            command = ["zsh", "-f", "-c", _ZSH, "zsh", str(self.script), *words]
        done = subprocess.run(
            command, cwd=self.folder, env=self.env, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL
        )
        assert (done.returncode, done.stderr) == (0, "")
        return [line.split("\t")[0] for line in done.stdout.splitlines() if line]

    def asked(self) -> list[str]:
        """What the program was asked for since the last look."""
        file = self.folder / "asked"
        kinds = file.read_text().split() if file.exists() else []
        file.unlink(missing_ok=True)
        return kinds


@pytest.fixture(params=[pytest.param(shell, marks=pytest.mark.needs(shell)) for shell in ("bash", "zsh", "fish")])
def shell(request: pytest.FixtureRequest, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Shell:
    assert main(["completion", request.param]) == 0
    return Shell(request.param, tmp_path, capsys.readouterr().out)


def test_commands(shell: Shell) -> None:
    assert set(shell.complete("ssm-ssh", "")) == set(COMMANDS)
    assert set(shell.complete("ssm-ssh", "s")) == {one for one in COMMANDS if one.startswith("s")}
    assert shell.asked() == []


def test_options(shell: Shell) -> None:
    assert set(shell.complete("ssm-ssh", "list", "--")) >= {"--profile", "--region", "--tag", "--json", "--online"}
    # fish 4 offers what contains the letters, too.
    assert set(shell.complete("ssm-ssh", "setup", "--inl")) - {"--no-inline"} == {"--inline"}
    assert "--json" not in shell.complete("ssm-ssh", "sync", "--")
    assert set(shell.complete("ssm-ssh", "proxy", "--push", "")) == {"auto", "eic", "send-command", "none"}
    assert set(shell.complete("ssm-ssh", "key", "sweep", "--")) >= {"--profile", "--region", "--debug"}
    assert set(shell.complete("ssm-ssh", "key", "renew", "--p")) - {"--help"} == set()
    assert set(shell.complete("ssm-ssh", "completion", "")) >= {"bash", "zsh", "fish"}


def test_actions(shell: Shell) -> None:
    assert set(shell.complete("ssm-ssh", "key", "re")) == {"renew", "remove"}
    assert set(shell.complete("ssm-ssh", "key", "s")) == {"show", "sweep"}
    assert shell.asked() == []
    assert set(shell.complete("ssm-ssh", "host-keys", "pr")) == {"prune", "prod"}
    assert shell.complete("ssm-ssh", "host-keys", "refresh", "pr") == ["prod"]
    assert set(shell.asked()) == {"instances"}
    assert shell.complete("ssm-ssh", "key", "renew", "pr") == []
    assert shell.asked() == []


def test_names_are_offered_and_hostile_ones_never(shell: Shell) -> None:
    for words, kind in (
        (("config",), "instances"),
        (("host-keys", "show"), "instances"),
        (("list", "--profile"), "profiles"),
        (("sync",), "profiles"),
        (("list", "--region"), "regions"),
        (("setup", "--region"), "regions"),
        (("host-keys", "prune", "--region"), "regions"),
        (("key", "sweep"), "instances"),
        (("shell",), "targets"),
        (("shell", "--profile"), "profiles"),
    ):
        assert sorted(shell.complete("ssm-ssh", *words, "web-")) == ["web-1", "web-2"]
        assert set(shell.asked()) == {kind}
    assert shell.complete("ssm-ssh", "config", "i-0") == [WEB]
    assert set(shell.complete("ssm-ssh", "config", "")) & {*GOOD, *HOSTILE} == set(GOOD)
    assert not (shell.folder / "owned").exists()


def test_what_is_typed_is_not_run(shell: Shell) -> None:
    for word in ("$(touch owned)", "`touch owned`", "web-*", "["):
        shell.complete("ssm-ssh", "config", word if shell.name != "fish" else shlex.quote(word))
    assert not (shell.folder / "owned").exists()


def test_the_names_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SSM_SSH_LAB", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.delenv(name, raising=False)
    assert _names("instances") == _names("profiles") == []
    history.remember([KnownInstance(WEB, "prod", "eu-west-1")])
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "ssm-ssh.config").write_text(
        f"Host web-1\n    HostName {DB}\nHost a b\nHost $(x)\nHost -x\nMatch all\n"
    )
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "config").write_text("[profile prod]\n[profile 'a b']\n[profile $(x)]\n[default]\n")
    assert main(["completion", "--list", "instances"]) == 0
    assert capsys.readouterr().out.split() == [WEB, DB], "most commands take ids alone"
    assert main(["completion", "--list", "targets"]) == 0
    assert capsys.readouterr().out.split() == ["web-1", WEB, DB]
    records.opened("me-0a1b2c3d4e5f60718", WEB, "", load(region="eu-west-1", env={}), 1.0)
    assert main(["completion", "--list", "sessions"]) == 0
    assert capsys.readouterr().out.split() == ["me-0a1b2c3d4e5f60718", "web-1", WEB, DB]
    assert main(["completion", "--list", "profiles"]) == 0
    assert capsys.readouterr().out.split() == ["default", "prod"]
    assert main(["completion", "--list", "regions"]) == 0
    assert {"eu-central-1", "us-gov-west-1", "cn-north-1"} <= set(capsys.readouterr().out.split())
    (tmp_path / ".aws" / "config").write_text("nonsense")
    assert _names("profiles") == []


def test_without_a_shell_it_says_how(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion"]) == 2
    assert "source <(ssm-ssh completion bash)" in capsys.readouterr().out
    assert main(["completion", "tcsh"]) == 2


def test_the_scripts_eval_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("bash", "zsh", "fish"):
        assert main(["completion", name]) == 0
        script = capsys.readouterr().out
        assert "eval" not in script
        assert "compgen" not in script
        assert script.isascii()


def test_help_loads_no_command() -> None:
    """`ssm-ssh --help` is to be there at once."""
    program = (
        "import sys; before = set(sys.modules); from ssm_ssh.cli.main import main; main(['--help']); "
        "print(*sorted(set(sys.modules) - before), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True, timeout=60)
    loaded = {one for one in done.stderr.split() if not one.startswith("importlib")}
    assert loaded <= {
        "__future__",
        "warnings",
        *(f"ssm_ssh{one}" for one in ("", ".cli", ".cli.main", ".cli.output", ".errors", ".text")),
    }
