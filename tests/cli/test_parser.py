from __future__ import annotations

import argparse
import subprocess
import sys

import pytest

from ssm_ssh.cli.parser import Arguments, seconds
from ssm_ssh.errors import UsageError


def test_a_wrong_call_is_one_line_and_no_exit() -> None:
    with pytest.raises(UsageError, match="unrecognized arguments: --what") as caught:
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


@pytest.mark.parametrize("text", ["-1", "86401", "x", "nan"])
def test_a_duration_that_cannot_be(text: str) -> None:
    with pytest.raises((ValueError, argparse.ArgumentTypeError)):
        seconds(text)
