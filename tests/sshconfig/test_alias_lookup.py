"""One alias is found without a parser of ssh_config, and means what the file's own reader says."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssm_ssh.sshconfig import alias_lookup, managed_file
from ssm_ssh.sshconfig.alias_lookup import find_in
from ssm_ssh.sshconfig.managed_file import Alias, Managed

IDS = st.text("0123456789abcdef", min_size=17, max_size=17).map("i-".__add__)
NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,8}", fullmatch=True)
WORDS = st.sampled_from(["", "prod", "a b", "--region"])
ALIASES = st.lists(
    st.builds(Alias, NAMES, IDS, st.sampled_from(["", "ec2-user"]), WORDS, st.sampled_from(["", "eu-west-1"])),
    max_size=5,
    unique_by=lambda alias: alias.name.lower(),
)


def rendered(aliases: tuple[Alias, ...]) -> str:
    return managed_file.render(Managed(("/usr/bin/ssm-ssh",), (Path("/key"),), Path("/known"), aliases=aliases))


@given(ALIASES)
def test_every_alias_is_found_as_it_was_written(aliases: list[Alias]) -> None:
    text = rendered(tuple(aliases))
    assert [find_in(text, alias.name) for alias in aliases] == aliases
    assert find_in(text, "another-name") is None


def test_case_does_not_matter_where_only_one_is_meant() -> None:
    alias = Alias("Web-1", "i-0123456789abcdef0")
    assert find_in(rendered((alias,)), "web-1") == alias


def test_a_file_of_the_user_and_a_damaged_file_have_no_aliases() -> None:
    text = rendered((Alias("web", "i-0123456789abcdef0"),))
    assert find_in("Host web\n  HostName i-0123456789abcdef0\n", "web") is None
    assert find_in(text.replace("i-0123456789abcdef0", "i-zzz"), "web") is None


def test_without_a_file_there_is_no_alias(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSM_SSH_LAB", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert alias_lookup.find_alias("web") is None
    assert alias_lookup.find_alias("not a label") is None
    (tmp_path / ".ssh").mkdir()
    alias = Alias("web", "i-0123456789abcdef0", "ec2-user", "prod", "eu-west-1")
    (tmp_path / ".ssh" / "ssm-ssh.config").write_text(rendered((alias,)))
    assert alias_lookup.find_alias("web") == alias
