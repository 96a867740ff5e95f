"""Arguments that need no argparse."""

from __future__ import annotations

import pytest

from ssm_ssh.cli.simple_arguments import read

OPTIONS, SWITCHES = ("--profile", "--log-file"), ("--debug",)


def test_options_come_before_words() -> None:
    assert read(["--profile", "p", "--log-file=x", "--debug", "a", "b"], OPTIONS, SWITCHES) == (
        {"profile": "p", "log_file": "x", "debug": True},
        ["a", "b"],
    )


def test_what_is_not_given_is_none_or_false() -> None:
    assert read([], OPTIONS, SWITCHES) == ({"profile": None, "log_file": None, "debug": False}, [])


@pytest.mark.parametrize(
    "argv",
    [["--what"], ["--profile"], ["--profile", "-x"], ["a", "--debug"], ["--debug=yes"], ["-h"], ["--help"], ["--"]],
)
def test_all_else_is_left_to_argparse(argv: list[str]) -> None:
    assert read(argv, OPTIONS, SWITCHES) is None
