"""The arguments of `ssm-ssh proxy` without argparse, held against argparse."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from ssm_ssh.cli import proxy
from ssm_ssh.errors import UsageError

ID = "i-0123456789abcdef0"
OPTIONS = [*proxy._OPTIONS, *proxy._SWITCHES]
WORDS = st.sampled_from(
    [
        ID,
        "22",
        "ec2-user",
        "",
        "--",
        "-h",
        "-1",
        "-",
        "--help",
        "--unknown",
        "--pro",
        "--profile=",
        "--dry-run=x",
        "a b",
    ]
    + OPTIONS
    + [f"{option}=v" for option in OPTIONS]
)


def test_argparse_knows_the_same_options() -> None:
    known = {option for action in proxy._parser()._actions for option in action.option_strings}
    assert known == {*OPTIONS, "-h", "--help"}


def by_argparse(argv: list[str]) -> dict[str, object] | None:
    try:
        return vars(proxy._parser().parse_args(argv))
    except (UsageError, SystemExit):
        return None


@given(st.lists(WORDS, max_size=8))
def test_what_is_read_without_argparse_is_what_argparse_reads(argv: list[str]) -> None:
    plain = proxy.plain_arguments(argv)
    if plain is not None:
        assert plain == by_argparse(argv)


@given(
    st.lists(st.tuples(st.sampled_from(list(proxy._OPTIONS)), st.sampled_from(["v", "a b", "", "x=y"])), max_size=4),
    st.lists(st.sampled_from(["i-1", "22", "me"]), min_size=1, max_size=3),
)
def test_what_setup_writes_needs_no_argparse(options: list[tuple[str, str]], words: list[str]) -> None:
    argv = [word for option in options for word in option] + words
    plain = proxy.plain_arguments(argv)
    assert plain is not None
    assert plain == by_argparse(argv)


def test_a_connection_does_not_load_argparse(tmp_path: Path) -> None:
    code = (
        "import sys; from ssm_ssh.cli.main import main; "
        f"status = main(['proxy', '--dry-run', '--region', 'eu-west-1', '{ID}', '22', 'me']); "
        "print(status, 'argparse' in sys.modules)"
    )
    env = {"HOME": str(tmp_path), "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret"}
    done = subprocess.run([sys.executable, "-I", "-c", code], env=env, capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "0 False", done.stdout + done.stderr
