from __future__ import annotations

import argparse
import subprocess
import sys

import pytest

from ssm_ssh.cli.parser import Actions, Arguments, command_parser
from ssm_ssh.errors import UsageError


def test_a_wrong_call_is_one_line_and_no_exit() -> None:
    with pytest.raises(UsageError, match="unexpected argument '--what'") as caught:
        Arguments(prog="ssm-ssh x").parse_args(["--what"])
    assert caught.value.hint == "See: ssm-ssh x --help"


@pytest.mark.parametrize(("columns", "longest"), [("60", 58), ("100", 98), ("", 78)])
def test_help_is_as_wide_as_argparse_makes_it(
    columns: str, longest: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    if not columns:
        monkeypatch.setattr("os.get_terminal_size", lambda *_: (_ for _ in ()).throw(OSError))
    texts = []
    for kind in (Arguments, argparse.ArgumentParser):
        parser = kind(prog="ssm-ssh x", formatter_class=argparse.RawDescriptionHelpFormatter)
        parser.add_argument("--option", help="word " * 100)
        texts.append(parser.format_help())
    assert texts[0] == texts[1]
    assert longest - 5 < max(map(len, texts[0].splitlines())) <= longest


def test_parsing_arguments_loads_nothing_for_help() -> None:
    program = (
        "import sys; from ssm_ssh.cli.parser import Arguments\n"
        "parser = Arguments(prog='x'); parser.add_argument('host'); parser.parse_args(['h'])\n"
        "print('shutil' in sys.modules)"
    )
    assert subprocess.check_output([sys.executable, "-I", "-c", program], text=True).strip() == "False"


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (["--profil", "x"], "unexpected argument '--profil'", "Did you mean --profile?"),
        (["--profil=x"], "unexpected argument '--profil'", "Did you mean --profile?"),
        (["more"], "unexpected argument 'more'", "See: ssm-ssh x --help"),
        (["--kind", "fanzy"], "--kind: unknown value 'fanzy'", "Did you mean fancy?"),
        (["--kind", "?"], "--kind: unknown value '?'", "Allowed: fancy, plain"),
        (["--profile"], "argument --profile: expected one argument", "See: ssm-ssh x --help"),
    ],
)
def test_a_wrong_word_brings_a_suggestion(words: list[str], message: str, hint: str) -> None:
    parser = command_parser("x", "Do it.")
    parser.add_argument("--profile")
    parser.add_argument("--kind", choices=("fancy", "plain"))
    for parse in (parser.parse_args, parser.parse_intermixed_args):
        with pytest.raises(UsageError) as caught:
            parse(words)
        assert (caught.value.message, caught.value.hint) == (message, hint)


def test_a_default_from_the_environment_is_checked_like_an_argument() -> None:
    parser = command_parser("x", "Do it.")
    parser.add_argument("--kind", choices=("fancy", "plain"), default="pink")
    with pytest.raises(UsageError, match="unknown value 'pink'"):
        parser.parse_args([])


def commands() -> Actions:
    command = Actions("x", "Do it.", default="show")
    command.add("show", "show it").add_argument("thing", nargs="?")
    move = command.add("move", "move it")
    move.add_argument("thing")
    move.add_argument("place", nargs="?")
    move.add_argument("--region")
    move.add_argument("--quick", action="store_true")
    return command


@pytest.mark.parametrize(
    ("words", "action", "thing", "region"),
    [
        ([], "show", None, None),
        (["a"], "show", "a", None),
        (["show", "a"], "show", "a", None),
        (["move", "a"], "move", "a", None),
        (["--region", "r", "move", "a"], "move", "a", "r"),
        (["--region", "show", "move", "a"], "move", "a", "show"),
        (["--quick", "move", "a", "--region=r", "there"], "move", "a", "r"),
        (["--debug", "show"], "show", None, None),
    ],
)
def test_an_action_and_its_options_in_any_order(
    words: list[str], action: str, thing: str | None, region: str | None
) -> None:
    name, options = commands().parse(words)
    assert (name, options.thing) == (action, thing)
    assert getattr(options, "region", None) == region


def test_an_action_that_there_is_not() -> None:
    with pytest.raises(UsageError, match="unexpected argument '--quick'"):
        commands().parse(["show", "--quick"])
    plain = Actions("x", "Do it.", default="show")
    plain.add("show", "show it")
    with pytest.raises(UsageError, match="x has no action 'shwo'") as caught:
        plain.parse(["shwo"])
    assert caught.value.hint == "Did you mean show?"


@pytest.mark.parametrize(("words", "usage"), [(["--help"], "ssm-ssh x"), (["move", "-h"], "ssm-ssh x move")])
def test_help_of_a_command_and_of_its_actions(words: list[str], usage: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        commands().parse(words)
    assert ended.value.code == 0
    assert f"usage: {usage} [-h] [--debug]" in capsys.readouterr().out
