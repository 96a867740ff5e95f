"""The arguments of `ssm-ssh proxy` without argparse, held against argparse."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
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


@pytest.mark.parametrize(
    "words",
    [
        ("--region", "eu-west-1", "i-0123"),
        ("--region", "Eu West", ID),
        ("--unknown", ID),
    ],
)
def test_an_error_of_a_dry_run_is_text_on_stderr(tmp_path: Path, words: tuple[str, ...]) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "ssm_ssh", "proxy", "--dry-run", *words],
        env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
        cwd=Path(__file__).parents[2],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert run.returncode == 1
    assert run.stdout == b""
    assert run.stderr.startswith(b"ssm-ssh: ")
    assert run.stderr.decode().count("\n") == 1


def test_an_unexpected_error_of_a_dry_run_is_text_on_stderr(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_options: object) -> int:
        raise RuntimeError("broken")

    monkeypatch.setattr(proxy, "_proxy", fails)
    assert proxy.run(["--dry-run", ID]) == 1
    out, err = capfd.readouterr()
    assert out == ""
    assert "ssm-ssh: unexpected error: " in err
