"""The rules of names, each held against the pattern of its source."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ssm_ssh import names

if TYPE_CHECKING:
    from collections.abc import Callable

# From the documentation of EC2 and Systems Manager, useradd(8) and RFC 1123.
PATTERNS = {
    names.is_instance_id: r"(?:i-(?:[0-9a-f]{8}|[0-9a-f]{17})|mi-[0-9a-f]{17})",
    names.is_plain_user: r"[A-Za-z0-9_][A-Za-z0-9._@+-]{0,63}\$?",
    names.is_region: r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?",
    names.is_document: r"[a-zA-Z0-9_\-.:/]{3,128}",
    names.is_alias_label: r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}",
}
WORDS = st.text(alphabet="aAfz0\uff19-_.:/@+$ é\n", max_size=8) | st.from_regex(r"m?i-[0-9a-f]{7,18}", fullmatch=True)
LENGTHS = st.builds(lambda text, times: text * times, st.sampled_from("a-$:._"), st.integers(0, 130))


@pytest.mark.parametrize("check", PATTERNS, ids=lambda check: check.__name__)
@given(text=st.text() | WORDS | LENGTHS)
@example("")
@example("a" * 63 + "-")
@example("a" * 64 + "$")
@example("a" * 64 + "$$")
@example("a" * 65)
@example("a" * 128)
@example("a" * 129)
@example("i-01234567\n")
def test_a_check_agrees_with_its_pattern(check: Callable[[str], bool], text: str) -> None:
    assert check(text) == (re.fullmatch(PATTERNS[check], text) is not None)


@pytest.mark.parametrize("check", PATTERNS, ids=lambda check: check.__name__)
@given(data=st.data())
def test_a_check_accepts_what_its_pattern_describes(check: Callable[[str], bool], data: st.DataObject) -> None:
    assert check(data.draw(st.from_regex(PATTERNS[check], fullmatch=True)))


@pytest.mark.parametrize("name", ["default", "team:prod", "a b", "München", "x" * 256])
def test_profiles(name: str) -> None:
    assert names.is_profile(name)


@pytest.mark.parametrize("name", ["", " a", "a ", "a\nb", "a\x1bb", "x" * 257])
def test_what_is_no_profile(name: str) -> None:
    assert not names.is_profile(name)


@pytest.mark.parametrize("name", ["ec2-user", "HOST$", "DOMAIN\\user", "CORP\\Anna Maier", "jürgen", "a~b", "d@e.com"])
def test_users(name: str) -> None:
    assert names.is_user(name)


@pytest.mark.parametrize(
    "name",
    [
        *(
            "",
            "-x",
            " x",
            "x ",
            "x\\",
            "a\\\\b",
            "o'x",
            'a"b',
            "a/b",
            "a:b",
            "a,b",
            "$(id)",
            "a`b",
            "a;b",
            "a\nb",
            "a*",
        ),
        *("a#b", "a b", "x\u202ey", "a\u00a0b", "x" * 65, "a%b", "{{x}}", "\\x"),
    ],
)
def test_what_is_no_user(name: str) -> None:
    assert not names.is_user(name)


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        ("alice-0a1b2c3d4e5f60718", True),
        ("me@example.com-abcdefghijklmnopqrstuvwxyz", True),
        ("botocore-session-1234-0a1b2c3d4e5f60718", True),
        ("alice-0a1b2c3d", False),
        ("-0a1b2c3d4e5f60718", False),
        ("0a1b2c3d4e5f60718", False),
        ("alice-0a1b2c3d4e5f6071/", False),
        ("a" * 80 + "-0a1b2c3d4e5f60718", False),
        ("", False),
    ],
)
def test_a_whole_session_id(text: str, valid: bool) -> None:
    assert names.is_session_id(text) is valid


@pytest.mark.parametrize("text", ["", "no", "90", "90s", "10m", "1h", "99999s"])
def test_times_that_a_connection_is_shared_for(text: str) -> None:
    assert names.is_duration(text)


@pytest.mark.parametrize("text", ["yes", "0", "0m", "m", "-1", "1d", "1h30m", "100000", "1 h", "\u0663m", "ten"])
def test_no_times_that_a_connection_is_shared_for(text: str) -> None:
    assert not names.is_duration(text)
