"""The folders of ssm-ssh are those that platformdirs names, in every environment."""

from __future__ import annotations

import sys
from pathlib import Path

import platformdirs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from platformdirs.macos import MacOS
from platformdirs.unix import Unix

from ssm_ssh.errors import UsageError
from ssm_ssh.storage.paths import config_folder, data_folder, state_folder

VARIABLES = ("XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME")
TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=12)
ABSOLUTE = TEXT.map(lambda text: f"/{text}")
# What a variable may hold: nothing, a folder, or what is no absolute path.
VALUE = (
    st.none() | st.sampled_from(("", " ", "relative/x", "~/x", "$HOME/x", "/", "//", "/a/", "/a//b/../c")) | ABSOLUTE
)


@given(
    home=ABSOLUTE | st.none(),
    # Versions of platformdirs differ in what they make of blanks at either end.
    values=st.tuples(*3 * [VALUE.filter(lambda value: value is None or value == value.strip())]),
    system=st.sampled_from([("linux", Unix), ("darwin", MacOS)]),
)
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_the_folders_are_those_of_platformdirs(
    monkeypatch: pytest.MonkeyPatch,
    home: str | None,
    values: tuple[str | None, ...],
    system: tuple[str, type[Unix] | type[MacOS]],
) -> None:
    platform, kind = system
    with monkeypatch.context() as patch:
        for name, value in zip(("HOME", *VARIABLES), (home, *values), strict=True):
            patch.delenv(name, raising=False)
            if value is not None:
                patch.setenv(name, value)
        patch.setattr(sys, "platform", platform)
        expected = kind("ssm-ssh", appauthor=False)
        assert data_folder() == expected.user_data_path
        assert state_folder() == expected.user_state_path
        assert config_folder() == expected.user_config_path


def test_this_system_is_one_of_the_two() -> None:
    assert platformdirs.PlatformDirs is (MacOS if sys.platform == "darwin" else Unix)


@pytest.mark.parametrize("home", ["", "relative", "~"])
def test_a_home_that_depends_on_the_current_folder_is_refused(monkeypatch: pytest.MonkeyPatch, home: str) -> None:
    monkeypatch.setenv("HOME", home)
    for folder in (data_folder, state_folder, config_folder):
        with pytest.raises(UsageError, match=f"HOME is {home or 'empty'}, which is not an absolute path"):
            folder()


def test_without_home_the_password_database_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOME")
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    assert data_folder() == Path.home() / ".local/share/ssm-ssh" or sys.platform == "darwin"


def test_without_home_and_password_entry_there_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(_: int) -> None:
        raise KeyError

    monkeypatch.delenv("HOME")
    monkeypatch.setattr("pwd.getpwuid", unknown)
    with pytest.raises(UsageError, match="there is no HOME"):
        data_folder()
