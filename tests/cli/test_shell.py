"""The arguments of `ssm-ssh shell`, what it refuses, and how little it loads."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssm_ssh.cli import shell, target
from ssm_ssh.cli.main import main
from ssm_ssh.errors import UsageError
from ssm_ssh.shell.commands import INTERACTIVE_DOCUMENT, Start

ID = "i-0123456789abcdef0"
NONE = dict.fromkeys(("user", "document", "parameters")) | {"login": False}


@given(
    st.lists(st.tuples(st.sampled_from(list(shell._OPTIONS)), st.sampled_from(["v", "", "x=y"])), max_size=4),
    st.lists(st.just("--login"), max_size=1),
    st.lists(st.sampled_from([ID, "web-1"]), max_size=1),
)
def test_simple_arguments_mean_what_argparse_says(
    options: list[tuple[str, str]], switches: list[str], words: list[str]
) -> None:
    argv = [word for option in options for word in option] + switches + words
    plain = shell._simple(argv)
    assert plain is not None
    assert plain == vars(shell._parser().parse_args(argv))


def test_a_command_belongs_to_exec() -> None:
    with pytest.raises(UsageError, match="unexpected argument 'ls'") as caught:
        shell._simple([ID, "ls"])
    assert "ssm-ssh exec TARGET" in caught.value.hint


@pytest.mark.parametrize("name", ["user", "document"])
def test_an_empty_value_is_not_taken_for_the_default(name: str) -> None:
    with pytest.raises(UsageError, match="'' is not"):
        start(**{name: ""})


def test_all_else_is_left_to_argparse() -> None:
    assert shell._simple(["--parameters", "a=b", ID]) is None
    assert shell._parser().parse_args([ID, "--login"]).login


def start(**arguments: object) -> Start:
    return shell._start(NONE | arguments)


def test_what_is_started() -> None:
    assert start() == Start()
    assert start(user="bob").document == INTERACTIVE_DOCUMENT
    assert start(login=True).document == INTERACTIVE_DOCUMENT
    assert start(document="My-Shell", parameters=["a=1", "b=x=y", "a=2"]) == Start(
        "My-Shell", (("a", ("1", "2")), ("b", ("x=y",)))
    )


@pytest.mark.parametrize(
    "arguments",
    [
        {"user": "bob", "document": "My-Shell"},
        {"login": True, "parameters": ["a=b"]},
        {"parameters": ["a=b"]},
        {"document": "no name"},
        {"document": "My-Shell", "parameters": ["a"]},
        {"document": "My-Shell", "parameters": ["=a"]},
        {"user": "a'b"},
    ],
)
def test_what_does_not_go_together_is_refused(arguments: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        start(**arguments)


def test_without_a_terminal_it_names_exec(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "isatty", lambda fd: False)
    assert main(["shell", ID]) == 255
    assert "ssm-ssh exec TARGET" in capsys.readouterr().err


def test_a_wrong_argument_fails_with_255(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["shell", "--wat"]) == 255
    assert "unexpected argument '--wat'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "told"), [(OSError(5, "I/O error"), "the system refused"), (ValueError("x"), "unexp")]
)
def test_any_error_is_one_line(
    error: Exception, told: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> int:
        raise error

    monkeypatch.setattr(shell, "_shell", fail)
    assert main(["shell", ID]) == 255
    assert told in capsys.readouterr().err


def test_the_help_is_not_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["shell", "--help"])
    text = capsys.readouterr().out
    assert "~." in text
    assert "exit status" in text


def test_it_loads_as_little_as_a_connection(tmp_path: Path) -> None:
    """argparse and what it brings stay away until they are needed, and so do the picker and a look-up."""
    program = (
        "import sys\n"
        "from ssm_ssh.shell import connection\n"
        "connection.carry = lambda *a, **k: print(sorted(m for m in sys.modules)) or 0\n"
        "from ssm_ssh.cli.main import main\n"
        f"main(['shell', '--region', 'eu-west-1', '{ID}'])\n"
    )
    env = {"HOME": str(tmp_path), "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret"}
    master, slave = pty.openpty()
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-c", program], env=env, stdin=slave, capture_output=True, text=True, timeout=60
        )
    finally:
        os.close(master)
        os.close(slave)
    assert "ssm_ssh.session.starter" in done.stdout, done.stderr
    for module in ("argparse", "asyncio", "logging", "botocore", "rich", "subprocess", "ssm_ssh.cli.picker"):
        assert f"'{module}'" not in done.stdout, module


def test_the_options_are_those_of_every_such_command() -> None:
    known = {option for action in shell._parser()._actions for option in action.option_strings}
    assert {*target.OPTIONS, *target.SWITCHES, "--user", "--login", "--document", "--parameters"} < known
