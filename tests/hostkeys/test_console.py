from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssm_ssh.errors import AccessDenied, AwsError, ProtocolError
from ssm_ssh.hostkeys.console import host_keys, read
from ssm_ssh.lab.machines import console
from ssm_ssh.ssh.hostkey import Shown
from tests.ssh.streams import ed25519

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Calls, FakeAws

GOOD, OTHER = ed25519(1), ed25519(2)
NONE = Shown(frozenset())


def block(*lines: str, prefix: str = "", end: str = "\r\n") -> str:
    return "".join(f"{prefix}{line}{end}" for line in (console.BEGIN, *lines, console.END))


def found(text: str) -> Shown:
    return read(text.encode())


def test_the_block_of_a_first_boot_is_found() -> None:
    text = console.first_boot("ip-10-0-0-1", "Linux", [GOOD.line, OTHER.line])
    assert found(text) == Shown(frozenset({GOOD, OTHER}))


@pytest.mark.parametrize(
    "prefix",
    [
        "",
        "cloud-init[1423]: ",
        "ec2: ",
        "<14>Jan  1 00:00:08 ec2: ",
        "<14>Jan 11 00:00:08 cloud-init: ",
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r\r\n"])
def test_prefixes_of_cloud_init_and_its_logger_are_its_own(prefix: str, end: str) -> None:
    assert found(block(GOOD.line + " root@h", prefix=prefix, end=end)) == Shown(frozenset({GOOD}))


@pytest.mark.parametrize(
    "prefix",
    [
        "[  612.400112] ",
        "[  612.400112] cloud-init[1]: ",
        "[  612.400112] ec2: ",
        " ",
        "x",
        "bash[12]: ",
        # `logger -t ec2`, by anybody, as syslog daemons and journald pass it on
        "<14>Jan  1 00:00:08 ip-10-0-0-1 ec2: ",
        "Jan  1 00:00:08 ip-10-0-0-1 cloud-init[1]: ",
        "Jan 11 00:00:08 cloud-init[1]: ",
        "ec2[99]: ",
        "cloud-init: x",
        "Message from syslogd ",
        "\x1b[2K",
    ],
)
def test_other_prefixes_make_no_block(prefix: str) -> None:
    assert found(block(GOOD.line, prefix=prefix)) == NONE


@pytest.mark.parametrize("kind", ["kmsg", "separators"])
def test_text_in_the_kernel_log_changes_nothing(kind: str) -> None:
    genuine = console.first_boot("h", "Linux", [GOOD.line])
    forged = console.forged(kind, [OTHER.line])
    assert found(genuine + forged) == Shown(frozenset({GOOD}))
    assert found(forged + "\r\n" + genuine) == Shown(frozenset({GOOD}))
    assert found(forged) == NONE


@pytest.mark.parametrize("separator", ["\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029", "\r"])
def test_only_a_newline_ends_a_line(separator: str) -> None:
    assert found(f"[ 1.0] x{separator}" + separator.join((console.BEGIN, OTHER.line, console.END, "\n"))) == NONE


def test_blocks_that_differ_count_as_none() -> None:
    both = found(console.first_boot("h", "Linux", [GOOD.line]) + console.forged("block", [OTHER.line]))
    assert both.keys == frozenset()
    assert "contradicting" in both.doubt
    more = found(block(GOOD.line) + block(GOOD.line, OTHER.line))
    assert more.doubt


def test_the_same_block_again_changes_nothing() -> None:
    assert found(block(GOOD.line, OTHER.line) + block(OTHER.line, GOOD.line)).keys == {GOOD, OTHER}


def test_the_kernel_may_speak_between_the_lines() -> None:
    text = block("[    7.1] random: crng init done", GOOD.line, "", "[   17.123] x " + OTHER.line)
    assert found(text) == Shown(frozenset({GOOD}))


@pytest.mark.parametrize(
    "line",
    [
        f"@cert-authority * {GOOD.line}",
        f"* {GOOD.line}",
        GOOD.line[:30] + "[   12.3] foo: bar",
        GOOD.line[:30],
        console.BEGIN,
        "login: ",
        GOOD.line + "\x0b" + OTHER.line,
    ],
)
def test_a_block_with_anything_else_in_it_is_doubtful(line: str) -> None:
    assert found(block(GOOD.line, line)).keys == frozenset()
    assert found(block(GOOD.line, line)).doubt
    assert found(block(GOOD.line) + block(GOOD.line, line)).keys == frozenset()


def test_a_block_without_end_is_doubtful() -> None:
    assert found(block(GOOD.line).replace(console.END, "")).doubt
    assert found(block(GOOD.line) + console.BEGIN).doubt


def test_the_end_of_a_block_without_its_beginning_is_ignored() -> None:
    assert found(f"{OTHER.line}\n{console.END}\n") == NONE
    assert found(f"{OTHER.line}\n{console.END}\n" + block(GOOD.line)) == Shown(frozenset({GOOD}))


def test_more_keys_than_any_instance_has_are_doubtful() -> None:
    assert found(block(*(ed25519(n).line for n in range(33)))).doubt


@given(st.binary())
def test_any_output_is_read(output: bytes) -> None:
    read(output)


LINES = st.sampled_from(
    [console.BEGIN, console.END, GOOD.line, OTHER.line, f"[ 1.0] {console.BEGIN}", f"x {GOOD.line}", "", "boot"]
)


@given(st.lists(LINES), st.sampled_from(["\n", "\r\n"]))
def test_keys_come_only_from_blocks_that_agree(lines: list[str], end: str) -> None:
    result = found(end.join(lines))
    assert not (result.keys and result.doubt)
    if result.keys:
        assert result.keys <= {GOOD, OTHER}
        assert console.BEGIN in lines
        assert console.END in lines


# --- the calls --------------------------------------------------------------------------------------------------------


def answered(answer: Callable[..., bytes], text: str | None) -> bytes:
    output = "" if text is None else f"<output>{base64.b64encode(text.encode()).decode()}</output>"
    return answer(200, f"<R><instanceId>i-1</instanceId>{output}</R>".encode())


def refused(answer: Callable[..., bytes], code: str) -> bytes:
    return answer(400, f"<R><Errors><Error><Code>{code}</Code></Error></Errors></R>".encode())


def test_one_call_is_enough_if_the_block_is_shown(calls: Calls, aws: FakeAws, answer: Callable[..., bytes]) -> None:
    aws.answers = [answered(answer, block(GOOD.line))]
    assert host_keys(calls.api, "i-1").keys == {GOOD}
    assert len(aws.requests) == 1


def test_a_doubtful_console_is_not_asked_again(calls: Calls, aws: FakeAws, answer: Callable[..., bytes]) -> None:
    aws.answers = [answered(answer, console.BEGIN)]
    assert host_keys(calls.api, "i-1").doubt
    assert len(aws.requests) == 1


@pytest.mark.parametrize("first", [None, "boot"])
def test_the_latest_output_is_requested_if_the_buffered_one_shows_nothing(
    calls: Calls, aws: FakeAws, answer: Callable[..., bytes], first: str | None
) -> None:
    aws.answers = [answered(answer, first), answered(answer, block(GOOD.line))]
    assert host_keys(calls.api, "i-1").keys == {GOOD}
    assert b"Latest=true" in aws.requests[1].body


def test_an_instance_without_latest_output_is_silent(calls: Calls, aws: FakeAws, answer: Callable[..., bytes]) -> None:
    aws.answers = [answered(answer, "boot"), refused(answer, "UnsupportedOperation")]
    assert host_keys(calls.api, "i-1") == NONE


def test_errors_are_not_taken_for_silence(calls: Calls, aws: FakeAws, answer: Callable[..., bytes]) -> None:
    aws.answers = [answered(answer, "boot"), refused(answer, "UnauthorizedOperation")]
    with pytest.raises(AccessDenied):
        host_keys(calls.api, "i-1")
    aws.answers = [answered(answer, None), refused(answer, "Odd")]
    with pytest.raises(AwsError):
        host_keys(calls.api, "i-1")


def test_output_that_is_not_base64_is_an_error(calls: Calls, aws: FakeAws, answer: Callable[..., bytes]) -> None:
    aws.answers = [answer(200, b"<R><output>A</output></R>")]
    with pytest.raises(ProtocolError):
        host_keys(calls.api, "i-1")
