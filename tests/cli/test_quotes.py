"""Quotes that a program without a shell leaves around the arguments of `ssm-ssh proxy`."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssm_ssh.cli import proxy, quotes
from ssm_ssh.errors import UsageError
from ssm_ssh.names import check_user

ID = "i-0123456789abcdef0"
QUOTES = st.sampled_from(["'", '"'])
# What setup writes, and what users write themselves; `--debug=` and the like are never quoted.
VALUES = st.text("abcXYZ019.-_@/:", min_size=1).filter(lambda text: not text.startswith("-"))


def unquoted(argv: list[str], profiles: tuple[str, ...] = (), files: tuple[str, ...] = (".",)) -> dict[str, object]:
    """Return what `ssm-ssh proxy` makes of `argv`, which the plain parser and argparse must agree on."""
    words = quotes.rejoin(argv)
    plain = proxy.plain_arguments(words)
    by_argparse = vars(proxy._parser().parse_args(words))
    assert plain in (None, by_argparse)
    return quotes.unquote(by_argparse, lambda: profiles, files.__contains__)


@given(VALUES, VALUES, VALUES, QUOTES)
def test_a_pair_around_each_argument_means_nothing(host: str, port: str, user: str, quote: str) -> None:
    words = [f"{quote}{word}{quote}" for word in (host, port, user)]
    assert unquoted(words) == unquoted([host, port, user])


@given(st.dictionaries(st.sampled_from(proxy._OPTIONS), VALUES), QUOTES, st.booleans())
def test_a_pair_around_the_value_of_an_option_means_nothing(options: dict[str, str], quote: str, equals: bool) -> None:
    bare = [word for option, value in options.items() for word in (option, value)]
    if equals:
        words = [f"{option}={quote}{value}{quote}" for option, value in options.items()]
    else:
        words = [word for option, value in options.items() for word in (option, f"{quote}{value}{quote}")]
    assert unquoted([*words, ID], files=()) == unquoted([*bare, ID])


@given(st.lists(st.text("ab'\" -=/.@1"), min_size=1, max_size=6))
def test_only_quotes_and_blanks_between_words_are_ever_touched(argv: list[str]) -> None:
    assert "".join(quotes.rejoin(argv)).replace(" ", "") == "".join(argv).replace(" ", "")
    if not any(word[:1] in "'\"" or '="' in word or "='" in word for word in argv):
        assert quotes.rejoin(argv) == argv


@pytest.mark.parametrize(
    "line",
    [
        f"""--search "prod:eu-west-1 dev" '{ID}' '22' 'me'""",
        f"""--search 'prod:eu-west-1 dev' "{ID}" 22 me""",
        f"""--search="prod:eu-west-1 dev" --dry-run {ID} 22 me""",
    ],
)
def test_a_line_that_was_split_at_its_blanks(line: str) -> None:
    assert unquoted(line.split()) == unquoted(shlex.split(line))


def test_a_value_never_becomes_an_option() -> None:
    assert unquoted([ID, "22", "'--log-file=/tmp/x'"]) == {**unquoted([ID, "22"]), "user": "--log-file=/tmp/x"}
    assert unquoted(["--profile", '"--region"', ID])["profile"] == "--region"
    assert quotes.rejoin(["'a", "--debug", "b'"]) == ["'a", "--debug", "b'"]


@pytest.mark.parametrize("user", ["''me''", "'\"me\"'", "'me", "me'", "'", "''", "o'brien", "'x' -l 'root'"])
def test_a_user_with_a_quote_is_refused_as_before(user: str) -> None:
    value = unquoted([ID, "22", user])["user"]
    assert isinstance(value, str)
    with pytest.raises(UsageError):
        check_user(value)


def test_what_means_something_with_its_quotes_keeps_them() -> None:
    argv = ["--profile", '"p"', "--search", "'p' q", "--key", "'k'", "--log-file", "'l'", ID]
    assert unquoted(argv, profiles=('"p"', "'p'"), files=("'k'", ".")) == {
        **unquoted([ID]),
        "profile": '"p"',
        "search": "'p' q",
        "key": "'k'",
        "log_file": "'l'",
    }


def test_a_program_that_starts_it_without_a_shell(tmp_path: Path) -> None:
    env = {"HOME": str(tmp_path), "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret"}

    def plan(*words: str) -> str:
        command = [sys.executable, "-m", "ssm_ssh", "proxy", "--dry-run", *words]
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60).stdout

    wanted = plan("--region", "eu-west-1", ID, "22", "me")
    assert "StartSession" in wanted
    assert plan("--region", '"eu-west-1"', f"'{ID}'", "'22'", "'me'") == wanted
    # argparse reads options behind the words.
    assert plan(f"'{ID}'", "'22'", "'me'", '--region="eu-west-1"') == wanted
