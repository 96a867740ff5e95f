"""How far a command has come, and what may be said about it."""

from __future__ import annotations

import pytest

from ssm_ssh.command import progress
from ssm_ssh.command.frames import Data
from ssm_ssh.command.progress import Progress
from ssm_ssh.command.script import Way
from ssm_ssh.errors import AccessDenied, AgentTooOld, AwsError, DocumentMissing, NetworkError, ProtocolError

DOCUMENT = "AWS-StartNonInteractiveCommand"


def test_without_a_terminal_both_streams_have_to_be_complete() -> None:
    told = Progress(Way.APART, "t")
    assert told.stdout(b"@ssm-ssh1\n1YQ==\n#3\n1.1\n=\n") == [Data(1, b"a")]
    assert (told.ready, told.status, told.complete) == (True, 3, False)
    assert told.stderr(b"2Yg==\n2.1\n=\n") == [Data(2, b"b")]
    assert told.complete


@pytest.mark.parametrize("way", [Way.FRAMED, Way.TERMINAL])
def test_a_terminal_has_one_stream(way: Way) -> None:
    told = Progress(way, "t")
    told.stdout(b"@ssm-ssh1\n")
    assert told.ready
    told.stdout(b"-\n#0\n=\n" if way is Way.FRAMED else b"\033_ssm-ssh;t;0\033\\")
    assert (told.complete, told.status, told.input_closed) == (True, 0, way is Way.FRAMED)


def test_what_the_agent_says_instead_is_kept_as_one_printable_line() -> None:
    told = Progress(Way.APART, "t")
    told.stderr(b"exec: sh: not found\x1b[0m\n" + b"x" * 5000)
    assert told.why_not_begun().startswith("exec: sh: not found")
    assert "\x1b" not in told.why_not_begun()
    told.stdout(b"@ssm-ssh1\n")
    told.stderr(b"later\n")
    assert "later" not in told.why_not_begun()


def test_the_script_has_begun_once_something_of_it_has_come_in_either_stream() -> None:
    told = Progress(Way.APART, "t")
    assert not told.begun
    told.stderr(b"fork/exec sh: no such file or directory")
    assert not told.begun
    told = Progress(Way.APART, "t")
    told.stderr(b"2aG")
    assert told.begun
    told = Progress(Way.APART, "t")
    told.stdout(b"@ssm-ssh1\n")
    assert told.begun


def test_a_refusal_of_the_script_is_kept() -> None:
    told = Progress(Way.FRAMED, "t")
    told.stdout(b"!bm8=\n")
    assert told.not_run == "no"
    assert "i-1 has not run the command: no" in progress.not_run("i-1", told.not_run).message
    assert "no reason" in progress.not_run("i-1", "").message


@pytest.mark.parametrize(
    ("error", "missing"),
    [
        (DocumentMissing("x"), True),
        (AgentTooOld("x"), True),
        (AccessDenied(f"not authorized on document/{DOCUMENT}", operation="StartSession"), True),
        (AccessDenied("not authorized on instance/i-1", operation="StartSession"), False),
        (AccessDenied(f"not authorized on document/{DOCUMENT}", operation="ResumeSession"), False),
        (AwsError("no such parameter", code="InvalidParameters", operation="StartSession"), True),
        (AwsError("no such parameter", code="ValidationException", operation="StartSession"), True),
        (AwsError("x", code="InternalServerError", operation="StartSession"), False),
        (AwsError("x", code="ValidationException", operation="ResumeSession"), False),
        (NetworkError("x"), False),
        (ProtocolError("x"), False),
        (ValueError("x"), False),
    ],
)
def test_another_way_is_tried_only_where_this_one_is_missing(error: BaseException, missing: bool) -> None:
    assert progress.is_missing(error, DOCUMENT) == missing


def test_what_is_unknown_is_not_claimed() -> None:
    assert "is unknown" in progress.unknown("i-1", None).message
    assert progress.unknown("i-1", NetworkError("gone.")).message.endswith("is unknown: gone")
    mute = progress.unknown("i-1", progress.mute("i-1"))
    assert mute.message.endswith("the SSM Agent on i-1 has passed nothing on since the connection broke")
    assert "ended at once" in progress.never_ran("i-1", "").message
    assert "no sh" in progress.never_ran("i-1", "no sh").message
    assert "may still run" in progress.runs_on("i-1")
    assert "stdout cannot be written: full" in progress.unwritten("i-1", "stdout", "full").message


@pytest.mark.parametrize(("argv", "told"), [(["df -h | wc"], True), (["no-such"], False), (["a b", "c"], False)])
def test_a_line_for_a_shell_is_recognized(argv: list[str], told: bool) -> None:
    hint = progress.not_a_line(argv)
    assert bool(hint) == told
    if hint is not None:
        assert "sh -c 'df -h | wc'" in hint.sentence()
