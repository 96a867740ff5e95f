from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssm_ssh.sshconfig import patterns
from tests.sshconfig.home import SSH

IDS = re.compile(r"i-(?:[0-9a-f]{8}|[0-9a-f]{17})|mi-[0-9a-f]{17}")
FOREIGN = (
    "github.com",
    "i-foo",
    "i-love.example.com",
    "i-lovee.example.com",  # 17 characters behind the dash
    "i-internal",
    "i-bad-cafe",
    "i-0123_567",
    "i-0a'b2c3d",
    "i-0123456789abcdef",
    "mi-0a1b2c3d",
    "i-0123456789abcdef0.example.com",
    "i-0123456789abcdef0.eu-west-1.compute.internal",
    "i-0123456789abcdef0.eu-west-1.compute.amazonaws.com",
)
SUFFIXES = ("??-*-?", "??-*-?.*", "prod")
SUFFIXED = (
    "i-0123456789abcdef0.eu-west-1",
    "mi-0123456789abcdef0.us-gov-west-1.prod",
    "i-0123456789abcdef0.prod",
)


@given(st.one_of(st.from_regex(IDS, fullmatch=True), st.from_regex(r"m?i-[0-9a-z.-]{7,18}", fullmatch=True)))
def test_instance_ids_are_ours_and_nothing_else_made_of_such_letters(name: str) -> None:
    assert patterns.is_ours(name) == (IDS.fullmatch(name) is not None)


@pytest.mark.parametrize("name", FOREIGN)
def test_what_only_looks_like_an_id_is_not_ours(name: str) -> None:
    assert not patterns.is_ours(name, SUFFIXES)


@pytest.mark.parametrize("name", SUFFIXED)
def test_a_suffix_may_follow_where_it_is_asked_for(name: str) -> None:
    assert not patterns.is_ours(name)
    assert patterns.is_ours(name, SUFFIXES)
    assert not patterns.is_ours("i-love.example.cc.eu-west-1", SUFFIXES), "a dot among the digits"


@pytest.mark.parametrize("suffix", ["", "a b", "Prod", 'x"', "a..b", "x,y"])
def test_what_cannot_be_a_suffix_is_refused(suffix: str) -> None:
    with pytest.raises(ValueError, match="suffix"):
        patterns.suffix_patterns([suffix])


def test_ssh_itself_agrees(tmp_path: Path) -> None:
    config = tmp_path / "config"
    lists = (patterns.id_patterns(), *patterns.suffix_patterns(SUFFIXES))
    config.write_text("".join(f'Match host "{one}"\n  User ours\n' for one in lists) + "Match all\n  User others\n")
    for name in ("i-0123456789abcdef0", "I-0A1B2C3D", "mi-0123456789abcdef0", *SUFFIXED, *FOREIGN):
        said = subprocess.run([SSH, "-F", config, "-G", name], capture_output=True, text=True).stdout
        # ssh refuses a quote in a host name since 9.6, and such a name is nobody's then.
        user = "user ours\n" in said
        assert user == patterns.is_ours(name, SUFFIXES), name


def test_no_line_is_longer_than_old_versions_read() -> None:
    profiles = [f"profile-number-{number}" for number in range(40)]
    suffixes = ["*-*-?", *(f"{one}{more}" for one in profiles for more in ("", ".*-*-?"))]
    lists = patterns.suffix_patterns(suffixes)
    assert len(lists) > 1
    assert max(map(len, [patterns.id_patterns(), *lists])) < 4000
    assert patterns.is_ours("i-0123456789abcdef0.profile-number-39.eu-west-1", suffixes)


_ANY = st.text("ab.*?!\n", max_size=8)


@given(_ANY, st.text("ab*?", max_size=8))
def test_matching_is_that_of_a_glob_without_sets(name: str, pattern: str) -> None:
    def slow(n: str, p: str) -> bool:
        if not p:
            return not n
        if p[0] == "*":
            return any(slow(n[i:], p[1:]) for i in range(len(n) + 1))
        return bool(n) and p[0] in ("?", n[0]) and slow(n[1:], p[1:])

    assert patterns.matches(name, pattern) == slow(name, pattern)
