"""The command as a user runs it, in a home of its own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.sshconfig.home import Home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def test_it_says_what_it_did_and_then_that_there_is_nothing_to_do(home: Home) -> None:
    home.write("Host web\n")
    said = home.run("setup")
    for part in (
        "Made",
        "Changed",
        "Saved the previous configuration as",
        "other hosts have the same settings as before",
    ):
        assert part in said
    before = home.contents()
    *_, compatibility, last = said.splitlines()
    assert compatibility.endswith("see docs/compatibility.md")
    assert last.startswith("Next: ")
    nothing, next_step = home.run("setup").splitlines()
    assert nothing == "Nothing to do: ssh is set up and up to date."
    assert next_step.startswith("Next: ")
    assert home.contents() == before
    assert "Removed" in home.run("setup", "--remove")
    assert "Nothing to remove" in home.run("setup", "--remove")
    assert home.contents() == {"config": b"Host web\n"}


def test_a_dry_run_prints_a_diff_and_leaves_everything(home: Home) -> None:
    home.write(b"Host web\x1b[31m\r\n")
    said = home.run("setup", "--dry-run")
    assert f"--- {home.config}\n+++ {home.config}\n" in said
    assert f"+{home.line.decode()}\\r\n" in said
    assert "--- /dev/null\n" in said
    assert "\x1b" not in said
    assert home.contents() == {"config": b"Host web\x1b[31m\r\n"}
    assert not (home.path / ".local" / "share").exists(), "a key was made"
    home.run("setup")
    said = home.run("setup", "--remove", "--dry-run")
    assert f"-{home.line.decode()}\\r\n" in said
    assert home.line in home.config.read_bytes()


def test_the_way_stays_until_another_is_asked_for(home: Home) -> None:
    home.write("Host web\n")
    home.run("setup", "--inline")
    assert set(home.contents()) == {"config"}
    assert "Nothing to do" in home.run("setup")
    home.run("setup", "--no-inline")
    assert home.config.read_bytes() == home.line + b"\nHost web\n"
    home.run("setup", "--remove")
    assert home.contents() == {"config": b"Host web\n"}


def test_defaults_go_to_the_settings(home: Home) -> None:
    (home.path / ".aws").mkdir()
    (home.path / ".aws" / "config").write_text(
        "[profile prod]\nregion = eu-west-3\naws_access_key_id = AKIDSETUP\naws_secret_access_key = S3cret\n"
    )
    home.run("setup", "--profile", "prod", "--region", "eu-west-1", "--search", "prod:eu-west-1,eu-west-2")
    settings = home.path / ".config" / "ssm-ssh" / "config.toml"
    assert 'default_profile = "prod"' in settings.read_text()
    assert "eu-west-1 (from " in home.run("status")
    home.run("setup")
    assert 'default_region = "eu-west-1"' in settings.read_text()
    home.run("setup", "--region", "")
    assert "default_region" not in settings.read_text()


def test_a_dry_run_shows_the_change_of_the_settings(home: Home) -> None:
    settings = home.path / ".config" / "ssm-ssh" / "config.toml"
    fresh = home.run("setup", "--dry-run", "--region", "eu-west-1")
    assert f"--- /dev/null\n+++ {settings}\n" in fresh
    assert '+default_region = "eu-west-1"\n' in fresh
    assert f"+++ {home.place.managed}\n" in fresh
    assert not settings.exists()
    assert home.contents() == {}
    home.run("setup")
    assert "Nothing to do" in home.run("setup", "--dry-run")
    shown = home.run("setup", "--dry-run", "--region", "eu-west-1")
    assert '+default_region = "eu-west-1"\n' in shown
    assert "Nothing to do" not in shown
    assert not settings.exists()


def test_a_change_of_the_settings_alone_is_not_nothing(home: Home) -> None:
    home.run("setup", "--region", "eu-west-1")
    settings = home.path / ".config" / "ssm-ssh" / "config.toml"
    said = home.run("setup", "--region", "eu-west-2")
    assert said.startswith(f"Changed {settings}\nNext: ")
    assert "Nothing to do" in home.run("setup", "--region", "eu-west-2")


def test_several_places_to_search_may_be_given_at_once(home: Home) -> None:
    (home.path / ".aws").mkdir()
    (home.path / ".aws" / "config").write_text("[profile prod]\n[profile dev]\n[profile 'my own']\n")
    settings = home.path / ".config" / "ssm-ssh" / "config.toml"
    home.run("setup", "--search", "prod:eu-west-1,us-east-1 dev")
    assert 'search = ["prod:eu-west-1,us-east-1", "dev"]' in settings.read_text()
    home.run("setup", "--search", "my own", "--search", "dev")
    assert 'search = ["my own", "dev"]' in settings.read_text()
    home.run("setup", "--search", "")
    assert not settings.exists()


@pytest.mark.parametrize(
    ("time", "words"),
    [("10m", "too long for sockets in it. Run: ssm-ssh setup --share no"), ("often", "share is 'often'")],
)
def test_a_connection_that_cannot_be_shared_changes_nothing(home: Home, time: str, words: str) -> None:
    long = Home(home.path.parent / ("x" * 60) / "home")
    assert words in long.run("setup", "--share", time, expect=2)
    assert not (long.path / ".config").exists()
    assert not (long.path / ".ssh" / "ssm-ssh.config").exists()


def test_a_profile_that_is_not_there_changes_nothing(home: Home) -> None:
    assert "profile 'prod' is not in" in home.run("setup", "--profile", "prod", expect=2)
    said = home.run("setup", "--search", "prdo:eu-west-1", expect=2)
    assert "profile 'prdo' is not in" in said
    assert "not the name of a region" in home.run("setup", "--region", "Eu West", expect=2)
    assert home.contents() == {}
    assert not (home.path / ".config").exists()


def test_a_profile_to_search_must_be_configured(home: Home) -> None:
    (home.path / ".aws").mkdir()
    (home.path / ".aws" / "config").write_text("[profile prod]\n")
    said = home.run("setup", "--search", "prod prdo:eu-west-1", expect=2)
    assert "profile 'prdo' is not in" in said
    assert "Did you mean prod?" in said
    assert home.contents() == {}
    assert not (home.path / ".config").exists()


def test_an_unknown_region_is_stored_with_a_warning(home: Home) -> None:
    (home.path / ".aws").mkdir()
    (home.path / ".aws" / "config").write_text("[profile prod]\n")
    said = home.run("setup", "--region", "eu-centrl-1", "--search", "prod:eu-wset-1,eu-west-1")
    assert "Warning: the region 'eu-centrl-1' is not a known one. Did you mean eu-central-1" in said
    assert "Warning: the region 'eu-wset-1' is not a known one. Did you mean eu-west-1" in said
    assert said.count("is not a known one") == 2
    assert 'default_region = "eu-centrl-1"' in (home.path / ".config" / "ssm-ssh" / "config.toml").read_text()
    assert "Warning" not in home.run("setup", "--region", "eu-central-1")


def test_what_ssh_rejects_is_said_in_one_line(home: Home) -> None:
    home.write("\ufeffHost web\n")
    said = home.run("setup", expect=2)
    assert said.startswith("ssm-ssh: ssh does not accept its configuration as it is, so nothing was changed: ")
    assert said.count("\n") == 1


def test_a_home_that_is_not_the_users_own_is_refused(home: Home) -> None:
    said = home.run("setup", expect=2, SSM_SSH_LAB="")
    assert "ssh uses the password database" in said
    assert home.contents() == {}


def test_without_ssh_it_says_so(home: Home) -> None:
    assert "no ssh on the PATH" in home.run("setup", expect=2, PATH=str(home.path / "nowhere"))


def test_under_sudo_it_says_whose_configuration_it_was(home: Home) -> None:
    said = home.run("setup", SUDO_USER="alice")
    assert ("not that of alice" in said) == (os.geteuid() == 0)


def test_folders_that_a_shell_sets_are_set_for_the_program_too(home: Home) -> None:
    home.run("setup", XDG_DATA_HOME=str(home.path / "d a t a"))
    command = home.ssh.ask("i-0a1b2c3d").value("proxycommand")
    assert command.startswith(f'/usr/bin/env "XDG_DATA_HOME={home.path}/d a t a" "')
    assert str(home.path / "d a t a") in home.ssh.ask("i-0a1b2c3d").value("identityfile")
