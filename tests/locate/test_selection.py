from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssm_ssh.locate.history import KnownInstance
from ssm_ssh.locate.selection import Scope, Selection, choose, narrow
from ssm_ssh.settings.schema import SETTINGS, Origin, Settings

WEB = "i-0123456789abcdef0"
BARE = ("", "")
FILE = "/home/me/.config/ssm-ssh/config.toml:1"


def settings(**values: str | tuple[str, ...]) -> Settings:
    found = {one.name: Origin(one.default, "default") for one in SETTINGS}
    return Settings(found | {name: Origin(value, FILE) for name, value in values.items()}, Path("config.toml"))


def known(profile: str, region: str) -> KnownInstance:
    return KnownInstance(WEB, profile, region)


def test_nothing_chooses() -> None:
    assert choose(settings(), {}, named=BARE) == Selection()
    assert Selection().origin == ""


def test_each_step_gives_way_to_those_before_it() -> None:
    """A flag, the host name, the environment, memory, the defaults."""
    arguments = {
        "flags": {"profile": "flag", "region": "us-east-1"},
        "name": {"named": ("label", "us-east-2")},
        "env": {"env": {"AWS_PROFILE": "env", "AWS_REGION": "us-west-1"}},
        "memory": {"recall": lambda: known("memory", "us-west-2")},
        "defaults": {"settings": settings(default_profile="ours", default_region="eu-west-1")},
    }
    expected = {
        "flags": ("flag", "--profile", "us-east-1", "--region"),
        "name": ("label", "the host name", "us-east-2", "the host name"),
        "env": ("env", "AWS_PROFILE", "us-west-1", "AWS_REGION"),
        "memory": ("memory", "an earlier connection", "us-west-2", "an earlier connection"),
        "defaults": ("ours", FILE, "eu-west-1", FILE),
    }
    for step, wanted in expected.items():
        given_now = {key: value for part in arguments.values() for key, value in part.items()}
        found = choose(
            given_now.pop("settings", settings()),
            given_now.pop("env", {}),
            configured=lambda: ["memory"],
            **{"named": BARE, **given_now},
        )
        assert (found.profile, found.profile_from, found.region, found.region_from) == wanted
        assert found.search == ()
        del arguments[step]


def test_the_origin_in_a_few_words() -> None:
    def origin(profile: str, region: str) -> str:
        return Selection(profile_from=profile, region_from=region).origin

    assert origin("AWS_PROFILE", "the host name") == "profile from AWS_PROFILE, region from the host name"
    assert origin(FILE, FILE) == "both from the settings"
    assert origin("AWS_PROFILE", "") == "profile from AWS_PROFILE"
    assert origin("", "--region") == "region from --region"


def test_the_variables_count_as_for_the_aws_cli() -> None:
    env = {"AWS_PROFILE": "a", "AWS_DEFAULT_PROFILE": "b", "AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-2"}
    found = choose(settings(default_profile="x"), env, named=BARE)
    assert (found.profile, found.profile_from, found.region) == ("b", "AWS_DEFAULT_PROFILE", "us-east-1")
    assert found.by_environment
    assert not choose(settings(), {"AWS_PROFILE": ""}, named=BARE).by_environment


def test_keys_in_the_environment_are_a_choice_without_a_profile() -> None:
    env = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE"}
    found = choose(
        settings(default_profile="ours", default_region="eu-west-1", search=("a", "b")),
        env,
        named=BARE,
        recall=lambda: known("memory", "us-west-2"),
        configured=lambda: ["memory"],
    )
    assert found == Selection("", "AWS_ACCESS_KEY_ID", "us-west-2", "an earlier connection")
    assert "AKID" not in repr(found)
    found = choose(settings(default_region="eu-west-1", search=("a", "b")), env, named=BARE)
    assert found == Selection("", "AWS_ACCESS_KEY_ID", fallback="eu-west-1", fallback_from=FILE)


def test_memory_of_a_profile_that_is_gone_still_knows_the_region() -> None:
    found = choose(settings(default_profile="ours"), {}, named=BARE, recall=lambda: known("gone", "us-west-2"))
    assert (found.profile, found.profile_from) == ("ours", FILE)
    assert (found.region, found.region_from) == ("us-west-2", "an earlier connection")


def test_the_region_is_the_instances_whoever_asks() -> None:
    found = choose(settings(), {"AWS_PROFILE": "dev"}, named=BARE, recall=lambda: known("prod", "us-west-2"))
    assert (found.profile, found.region) == ("dev", "us-west-2")


def test_memory_is_not_asked_without_need() -> None:
    def never() -> KnownInstance:
        raise AssertionError

    choose(settings(), {"AWS_PROFILE": "a", "AWS_REGION": "us-east-1"}, named=BARE, recall=never)
    choose(settings(), {}, named=BARE, profile="a", region="us-east-1", recall=never)


def test_a_default_region_stands_back_for_a_profile_chosen_otherwise() -> None:
    ours = settings(default_profile="ours", default_region="eu-west-1")
    found = choose(ours, {"AWS_PROFILE": "dev"}, named=BARE)
    assert (found.region, found.fallback) == ("", "eu-west-1")
    assert choose(ours, {}, named=("dev", "")).fallback == "eu-west-1"
    assert choose(ours, {}, named=("", "us-east-1"))[:4] == (
        "ours",
        FILE,
        "us-east-1",
        "the host name",
    )


SEARCH = ("prod:eu-west-1,us-east-1", "dev")


@pytest.mark.parametrize(
    ("values", "env", "named", "scopes"),
    [
        ({}, {}, BARE, [("prod", "eu-west-1"), ("prod", "us-east-1"), ("dev", "")]),
        # The default is the first place to look.
        (
            {"default_profile": "ours"},
            {},
            BARE,
            [("ours", ""), ("prod", "eu-west-1"), ("prod", "us-east-1"), ("dev", "")],
        ),
        (
            {"default_profile": "dev", "default_region": "us-west-2"},
            {},
            BARE,
            [("dev", "us-west-2"), ("prod", "eu-west-1"), ("prod", "us-east-1"), ("dev", "")],
        ),
        # What is known narrows it.
        ({}, {"AWS_PROFILE": "prod"}, BARE, [("prod", "eu-west-1"), ("prod", "us-east-1")]),
        ({}, {}, ("prod", ""), [("prod", "eu-west-1"), ("prod", "us-east-1")]),
        ({}, {"AWS_REGION": "us-west-2"}, BARE, [("prod", "us-west-2"), ("dev", "us-west-2")]),
        ({}, {"AWS_PROFILE": "other"}, BARE, []),
        ({}, {"AWS_PROFILE": "prod", "AWS_REGION": "us-west-2"}, BARE, []),
        ({}, {"AWS_ACCESS_KEY_ID": "x"}, BARE, []),
    ],
)
def test_where_an_unknown_instance_is_looked_for(
    values: dict[str, str], env: dict[str, str], named: tuple[str, str], scopes: list[tuple[str, str]]
) -> None:
    found = choose(settings(search=SEARCH, **values), env, named=named)
    assert found.search == tuple(Scope(*one) for one in scopes)


def test_a_known_instance_is_not_looked_for() -> None:
    ours = settings(search=SEARCH)
    found = choose(ours, {}, named=BARE, recall=lambda: known("prod", "us-east-1"), configured=lambda: ["prod"])
    assert (found.profile, found.region, found.search) == ("prod", "us-east-1", ())
    assert choose(ours, {}).search == ()


def test_one_place_needs_no_search() -> None:
    found = choose(settings(search=("prod:eu-west-1",)), {}, named=BARE)
    assert found == Selection("prod", "search", "eu-west-1", "search")
    found = choose(settings(search=SEARCH), {"AWS_PROFILE": "dev"}, named=BARE)
    assert found == Selection("dev", "AWS_PROFILE")


pairs = st.tuples(st.sampled_from(["", "a", "b"]), st.sampled_from(["", "us-east-1", "eu-west-1"]))


@given(pairs, pairs, pairs, pairs, st.sampled_from([(), ("a",), SEARCH]))
def test_whatever_is_chosen_was_named_by_its_origin(
    flag: tuple[str, str], label: tuple[str, str], env: tuple[str, str], default: tuple[str, str], search: tuple[str]
) -> None:
    found = choose(
        settings(default_profile=default[0], default_region=default[1], search=search),
        {"AWS_PROFILE": env[0], "AWS_REGION": env[1]},
        named=label,
        profile=flag[0],
        region=flag[1],
    )
    for at, value, origin in ((0, found.profile, found.profile_from), (1, found.region, found.region_from)):
        names = ("--profile", "AWS_PROFILE") if at == 0 else ("--region", "AWS_REGION")
        named = {names[0]: flag[at], "the host name": label[at], names[1]: env[at], FILE: default[at], "": ""}
        if origin != "search":
            assert value == named[origin]
        first = flag[at] or label[at] or env[at]
        assert value == first or not first
    assert len(set(found.search)) == len(found.search) != 1


@pytest.mark.parametrize(
    "variable",
    [
        "AWS_ACCESS_KEY_ID",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    ],
)
def test_credentials_that_the_shell_was_given_come_before_defaults_memory_and_search(variable: str) -> None:
    found = choose(
        settings(default_profile="prod", default_region="eu-west-1", search=SEARCH),
        {variable: "x"},
        named=("", ""),
        recall=lambda: KnownInstance(WEB, "prod", "us-east-1"),
        configured=lambda: ("prod", "default"),
    )
    assert (found.profile, found.profile_from, found.search) == ("", variable, ())
    assert found.by_environment
    assert found.region == "us-east-1"  # a fact about the instance, whoever asks
    for env, name in (({variable: "x", "AWS_PROFILE": "dev"}, ""), ({variable: "x"}, "dev")):
        found = choose(settings(default_profile="prod"), env, named=(name, ""))
        assert found.profile == "dev"
    assert not choose(settings(), {variable: ""}).by_environment


ALL = [("prod", "eu-west-1"), ("prod", "us-east-1"), ("dev", "")]


@pytest.mark.parametrize(
    ("values", "env", "scopes"),
    [
        ({}, {}, []),
        ({}, {"AWS_PROFILE": "dev"}, []),
        ({"search": SEARCH}, {}, ALL),
        ({"search": SEARCH, "default_profile": "ours"}, {}, [("ours", ""), *ALL]),
        ({"search": SEARCH}, {"AWS_REGION": "us-west-1"}, [("prod", "us-west-1"), ("dev", "us-west-1")]),
        # The environment names the profile for every tool, so it is left to the environment.
        ({"search": SEARCH}, {"AWS_PROFILE": "prod"}, [("", "eu-west-1"), ("", "us-east-1")]),
        ({"search": SEARCH}, {"AWS_PROFILE": "other"}, []),
        ({"search": SEARCH}, {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE"}, []),
    ],
)
def test_the_environment_narrows_where_to_look_for_everything(
    values: dict[str, str | tuple[str, ...]], env: dict[str, str], scopes: list[tuple[str, str]]
) -> None:
    assert narrow(settings(**values), env) == tuple(Scope(*scope) for scope in scopes)
