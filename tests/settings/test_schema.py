from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as effort
from hypothesis import strategies as st

from ssm_ssh import names
from ssm_ssh.errors import StateError, UsageError
from ssm_ssh.settings.schema import SETTINGS, Place, load, parse_place, parse_tag, store


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    for one in SETTINGS:
        monkeypatch.delenv(one.variable, raising=False)
    from ssm_ssh.storage.paths import config_folder

    folder = config_folder()
    folder.mkdir(parents=True, mode=0o700)
    return folder / "config.toml"


def test_without_a_file_the_defaults_hold(file: Path) -> None:
    found = load()
    assert found.path == file
    assert {one.name: found.value(one.name) for one in SETTINGS} == {one.name: one.default for one in SETTINGS}
    assert {found.origin(one.name) for one in SETTINGS} == {"default"}


def test_without_a_file_nothing_is_imported_for_it(file: Path) -> None:
    program = "import sys; from ssm_ssh.settings.schema import load; load(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=os.environ)
    assert not {"tomllib", "tomli", "json", "argparse"} & set(done.stdout.split())


def test_flag_then_environment_then_file(file: Path) -> None:
    file.write_text('# mine\npush = "none"\nresume_limit = 60\n\nsearch = ["a:eu-west-1",\n  "b"]\n')
    env = {"SSM_SSH_PUSH": "eic", "SSM_SSH_SEARCH": "", "SSM_SSH_DOCUMENT": "Mine"}
    found = load({"push": "auto", "resume_limit": None, "host": "is no setting"}, env)
    assert (found.text("push"), found.origin("push")) == ("auto", "--push")
    assert (found.text("document"), found.origin("document")) == ("Mine", "SSM_SSH_DOCUMENT")
    assert (found.seconds("resume_limit"), found.origin("resume_limit")) == (60.0, f"{file}:3")
    assert found.places("search") == (Place("a", ("eu-west-1",)), Place("b", ()))
    assert found.origin("search") == f"{file}:5"
    assert load(None, env).text("push") == "eic"
    assert load({}, {}).text("push") == "none"


def test_lists_are_words_in_the_environment(file: Path) -> None:
    found = load(None, {"SSM_SSH_SEARCH": " prod:eu-west-1,us-east-1  dev ", "SSM_SSH_SYNC_TAGS": "Env=a,b Team"})
    assert found.places("search") == (Place("prod", ("eu-west-1", "us-east-1")), Place("dev", ()))
    assert found.words("sync_tags") == ("Env=a,b", "Team")


@pytest.mark.parametrize(
    ("content", "line", "words"),
    [
        ('push = "always"\n', 1, ["push is 'always'", "auto, eic"]),
        ("\n\nresume_limit = -1", 3, ["resume_limit is '-1'", "0 to 86400"]),
        ("resume_limit = nan", 1, ["'nan'", "0 to 86400"]),
        ("resume_limit = true", 1, ["'True'"]),
        ('search = "a:eu-west-1,EU"', 1, ["PROFILE:REGION"]),
        ("search = [true]", 1, ["PROFILE:REGION"]),
        ("search = {a = 1}", 1, ["PROFILE:REGION"]),
        ('default_region = "a b"', 1, ["eu-central-1"]),
        ("user = true", 1, ["user is 'True'"]),
        ("default_profile = 1.5", 1, ["default_profile is '1.5'"]),
        ('default_profile = ["a"]', 1, ["default_profile is"]),
        ("push = false", 1, ["push is 'False'", "none"]),
        ("push_after_denied = 2", 1, ["push_after_denied is '2'", "no, yes"]),
        ("key_age = false", 1, ["key_age is 'False'"]),
        ("push = ''", 1, ["push is ''"]),
        ("a = 1\npsuh = 1", 1, ["'a'", "is not a setting", "push"]),
        ("psuh = 1", 1, ["'psuh'", "is not a setting. Did you mean push?"]),
        ("push = 'eic'\n[table]\nx = 1", 2, ["'table'", "not a setting"]),
        ("push = 'eic'\n'x y'.z = 1", 2, ["'x y'", "not a setting"]),
        ("push = 'eic'\nthis is not TOML", 2, ["not TOML"]),
        ('push = "eic', 1, ["not TOML"]),
        ("push = 'eic'\nsearch = [", 2, ["not TOML"]),
        ("x = " + "[" * 100_000, 1, ["not TOML"]),
        ('push = "\x1b[2J"', 1, ["not TOML"]),
        ('push = "\\u001b[2J\\n"', 1, ["push is '[2J'"]),
    ],
)
def test_a_bad_value_names_file_line_and_what_is_allowed(file: Path, content: str, line: int, words: list[str]) -> None:
    file.write_text(content)
    with pytest.raises(UsageError) as error:
        load()
    said = error.value.sentence(2000)
    assert f"{file}:{line}" in said
    for word in words:
        assert word in said


@pytest.mark.parametrize(
    ("content", "name", "value"),
    [
        ("push_after_denied = true", "push_after_denied", "yes"),
        ("push_after_denied = false", "push_after_denied", "no"),
        ("push_after_denied = 'Yes'", "push_after_denied", "yes"),
        ("push_after_denied = 1", "push_after_denied", "yes"),
        ("default_profile = 123456789012", "default_profile", "123456789012"),
        ("user = 1000", "user", "1000"),
        ("search = [123456789012, 'b']", "search", ("123456789012", "b")),
        ("search = 'a b:eu-west-1'", "search", ("a", "b:eu-west-1")),
        ("sync_tags = 'Team'", "sync_tags", ("Team",)),
        ("resume_limit = '60'", "resume_limit", 60.0),
        ("key_age = 0.0", "key_age", 0.0),
    ],
)
def test_a_value_may_be_written_in_any_type_that_leaves_no_doubt(
    file: Path, content: str, name: str, value: object
) -> None:
    file.write_text(content)
    assert load().value(name) == value


@pytest.mark.parametrize(("word", "value"), [("true", "yes"), ("1", "yes"), ("on", "yes"), ("OFF", "no"), ("0", "no")])
def test_words_for_yes_and_no_in_the_environment(file: Path, word: str, value: str) -> None:
    assert load(None, {"SSM_SSH_PUSH_AFTER_DENIED": word}).text("push_after_denied") == value


def test_bytes_that_are_not_text(file: Path) -> None:
    file.write_bytes(b"push = 'eic'\n# \xff\n")
    with pytest.raises(UsageError, match=r"config.toml:2 is not UTF-8"):
        load()


@pytest.mark.parametrize(("variable", "value"), [("SSM_SSH_PUSH", "x"), ("SSM_SSH_RESUME_LIMIT", "soon")])
def test_a_bad_environment_is_named(file: Path, variable: str, value: str) -> None:
    with pytest.raises(UsageError, match=f"'{value}' by {variable}"):
        load(None, {variable: value})


def test_a_bad_flag_is_named(file: Path) -> None:
    with pytest.raises(UsageError, match="'1e9' by --resume-limit"):
        load({"resume_limit": "1e9"}, {})


def test_a_file_of_others_is_refused(file: Path) -> None:
    file.write_text("")
    file.chmod(0o646)
    with pytest.raises(UsageError, match="written by everybody"):
        load()
    file.unlink()
    file.mkdir()
    with pytest.raises(UsageError, match=r"config\.toml"):
        load()
    file.rmdir()
    os.mkfifo(file)
    with pytest.raises(UsageError, match="not a plain file"):
        load()


def test_store_keeps_what_it_does_not_change(file: Path) -> None:
    before = '# keep me\n  push = "none" # and me\n\nsearch = [\n  "a", # gone\n]\n# end'
    file.write_text(before)
    file.chmod(0o640)
    assert store({"search": ["b:eu-west-1"], "default_profile": "Prod"})
    assert file.read_text() == (
        '# keep me\n  push = "none" # and me\n\nsearch = ["b:eu-west-1"]\n# end\ndefault_profile = "Prod"\n'
    )
    assert file.stat().st_mode & 0o777 == 0o640
    assert not store({"search": ["b:eu-west-1"], "default_profile": "Prod", "user": None})
    assert store({"search": None, "default_profile": None})
    assert file.read_text() == '# keep me\n  push = "none" # and me\n\n# end\n'
    assert list(file.parent.iterdir()) == [file]


def test_store_keeps_the_comment_of_a_changed_line_and_unknown_keys(file: Path) -> None:
    file.write_bytes(
        b'future = { a = 1 }\r\npush = "none"  # for now\r\nuser = "u"\r\n\r\n[later] # on\r\nx = [1,\r\n 2]\r\n'
    )
    assert store({"push": "eic", "resume_limit": 60.0})
    assert file.read_bytes() == (
        b'future = { a = 1 }\r\npush = "eic"  # for now\r\nuser = "u"\r\nresume_limit = 60\n\r\n'
        b"[later] # on\r\nx = [1,\r\n 2]\r\n"
    )


def test_only_an_edit_imports_tomlkit(file: Path) -> None:
    file.write_text('push = "eic"\n')
    program = (
        "import os, sys; from ssm_ssh.settings.schema import load, store; load(); before = 'tomlkit' in sys.modules; "
        "store({'push': 'none'}); print(before, 'tomlkit' in sys.modules)"
    )
    env = {"HOME": str(file.parent), "XDG_CONFIG_HOME": os.environ["XDG_CONFIG_HOME"]}
    done = subprocess.run([sys.executable, "-I", "-c", program], env=env, capture_output=True, text=True, timeout=60)
    assert done.stdout == "False True\n", done.stderr


def test_store_makes_and_removes_the_file(file: Path) -> None:
    file.parent.rmdir()
    assert not store({"push": None})
    assert not file.exists()
    assert store({"push": "eic", "resume_limit": 60.0})
    assert file.stat().st_mode & 0o777 == 0o600
    assert load().text("push") == "eic"
    assert store({"push": None, "resume_limit": None})
    assert not file.exists()


def test_store_writes_where_a_link_leads(file: Path, tmp_path: Path) -> None:
    real = tmp_path / "dotfiles.toml"
    real.write_text("")
    file.symlink_to(real)
    assert store({"push": "eic"})
    assert file.is_symlink()
    assert real.read_text() == 'push = "eic"\n'


def test_store_edits_a_name_that_is_written_in_an_unusual_way(file: Path) -> None:
    file.write_text('"pu\\u0073h" = "none"\n')
    assert store({"push": "eic"})
    assert load(None, {}).text("push") == "eic"
    assert file.read_text() == '"pu\\u0073h" = "eic"\n'


def test_store_leaves_a_layout_alone_that_comes_out_wrong(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = 'push = "none"\n'
    file.write_text(content)
    for wrong in ("push = [", 'push = "none"\n', 'push = "eic"\nuser = "u"\n'):
        monkeypatch.setattr("tomlkit.dumps", lambda _, wrong=wrong: wrong)
        with pytest.raises(UsageError, match="cannot be edited safely") as error:
            store({"push": "eic"})
        assert 'push = "eic"' in error.value.hint
        assert file.read_text() == content
    with pytest.raises(UsageError, match="cannot be edited safely") as error:
        store({"push": None})
    assert error.value.hint == "Remove there yourself: push"


def test_store_refuses_what_load_would(file: Path) -> None:
    with pytest.raises(UsageError, match="push is 'x'"):
        store({"push": "x"})
    file.parent.rmdir()
    file.parent.write_text("")
    with pytest.raises(StateError):
        store({"push": "eic"})


texts = st.text(st.characters(blacklist_categories=("Cs",)), max_size=20)
comments = st.lists(
    st.text(st.characters(blacklist_categories=("Cs", "Cc")), max_size=10).map("# {}".format)
    | st.sampled_from(["", 'push = "none"', "resume_limit = 3.5", 'search = ["x",\n "y"]', "user='u'"]),
    max_size=6,
)


@effort(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(comments, st.sampled_from(["\n", "\r\n"]), texts.filter(names.is_profile))
def test_what_is_stored_is_read_and_undone_to_the_byte(file: Path, lines: list[str], end: str, profile: str) -> None:
    lines = [one for number, one in enumerate(lines) if one not in lines[:number]]
    content = "".join(one + end for one in lines).encode()
    file.write_bytes(content)
    try:
        load({}, {})
    except UsageError:
        return
    assert store({"default_profile": profile})
    assert load({}, {}).text("default_profile") == profile
    assert store({"default_profile": None})
    if content.strip():
        assert file.read_bytes() == content
    else:
        assert not file.exists()


def test_places_and_tags() -> None:
    assert parse_place("a:b:eu-west-1") == Place("a:b", ("eu-west-1",))
    assert parse_place("team:prod") == Place("team:prod", ())
    assert parse_place("team:EU:prod") == Place("team:EU:prod", ())
    assert parse_place("team:prod:us-gov-east-1,cn-north-1") == Place("team:prod", ("us-gov-east-1", "cn-north-1"))
    assert parse_tag("Env=a,b") == ("Env", ("a", "b"))
    assert parse_tag("Env") == ("Env", ())
    for bad in ("", ":", ":eu-west-1", "a:", "a:,", "a:eu-west-1,EU", "a:eu-west-1 b", " a", "a\n"):
        with pytest.raises(ValueError, match="not a place"):
            parse_place(bad)
    for bad in ("", "=a", "a=", "a\nb"):
        with pytest.raises(ValueError, match="not a tag"):
            parse_tag(bad)


def test_each_setting_takes_its_own_default_and_has_names_of_its_own() -> None:
    assert all(one.check(one.default) == one.default for one in SETTINGS)
    assert len({one.variable for one in SETTINGS} | {one.flag for one in SETTINGS}) == 2 * len(SETTINGS)
