"""The arguments of `ssm-ssh exec`: where the options end and the command begins."""

from __future__ import annotations

import pytest

from ssm_ssh.cli import exec as command
from ssm_ssh.cli.main import main
from ssm_ssh.errors import UsageError


@pytest.mark.parametrize(
    ("argv", "head", "rest"),
    [
        (["T", "ls", "-l"], ["T"], ["ls", "-l"]),
        (["T", "--", "-x", "--"], ["T"], ["-x", "--"]),
        (["-it", "T", "sh"], ["-it", "T"], ["sh"]),
        (["-u", "bob", "-w", "/", "-eA=b", "T", "x"], ["-u", "bob", "-w", "/", "-eA=b", "T"], ["x"]),
        (["-iu", "bob", "T", "x"], ["-iu", "bob", "T"], ["x"]),
        (["--env", "A", "--user=bob", "--debug", "T", "x"], ["--env", "A", "--user=bob", "--debug", "T"], ["x"]),
        (["--region", "r", "T"], ["--region", "r", "T"], []),
        (["--help"], ["--help"], []),
    ],
)
def test_the_command_begins_behind_the_target(argv: list[str], head: list[str], rest: list[str]) -> None:
    assert command.split(argv) == (head, rest)


@pytest.mark.parametrize("option", ["-i", "--user", "-x"])
def test_an_option_behind_the_target_is_refused_before_anything_runs(option: str) -> None:
    with pytest.raises(UsageError, match="behind TARGET"):
        command.split(["T", option, "ls"])


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["i-0123456789abcdef0"], "no command is given"),
        (["--user", "a;b", "i-0123456789abcdef0", "id"], "is not a user name"),
        (["--user", "", "i-0123456789abcdef0", "id"], "is not a user name"),
        (["-w", "", "i-0123456789abcdef0", "id"], "--workdir is empty"),
        (["-e", "1A=b", "i-0123456789abcdef0", "id"], "is not a variable"),
        (["-it", "i-0123456789abcdef0", "sh"], "standard input is not a terminal"),
        (["i-0123456789abcdef0", "echo", "x" * 70000], "too long"),
        (["i-0123456789abcdef0", "-i", "cat"], "behind TARGET"),
    ],
)
def test_a_wrong_call_fails_with_255_and_one_line(
    argv: list[str], words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.isatty", lambda fd: False)
    assert main(["exec", *argv]) == 255
    printed = capsys.readouterr()
    assert printed.out == ""
    assert words in printed.err
    assert printed.err.count("\n") == 1


def test_a_variable_without_a_value_has_the_local_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HERE", "a=b")
    monkeypatch.delenv("NOWHERE", raising=False)
    assert [command._variable(text) for text in ("A=", "HERE", "NOWHERE")] == ["A=", "HERE=a=b", ""]
