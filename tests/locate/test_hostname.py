from __future__ import annotations

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ssm_ssh.aws.config.endpoints import is_region
from ssm_ssh.errors import UsageError
from ssm_ssh.locate.hostname import interpret, parse, suffixes
from ssm_ssh.sshconfig.patterns import is_ours

WEB = "i-0123456789abcdef0"
PROFILES = ["default", "prod", "Dev", "acme.prod", "twice", "TWICE", "eu-west-3"]
REGIONS = ["us-east-1", "eu-west-1", "ap-southeast-2", "us-gov-west-1", "cn-north-1", "eusc-de-east-1"]


def read(name: str, profiles: list[str] = PROFILES) -> tuple[str, str, str]:
    """Return instance id, profile and region."""
    parsed = parse(name)
    assert parsed.spelled == name
    return parsed.instance_id, *interpret(parsed, lambda: profiles, is_region)


@pytest.mark.parametrize(
    ("rest", "profile", "region"),
    [
        ("eu-west-1", "", "eu-west-1"),
        ("prod", "prod", ""),
        ("eu-west-1.prod", "prod", "eu-west-1"),
        ("prod.eu-west-1", "prod", "eu-west-1"),
        ("dev", "Dev", ""),
        ("us-gov-west-1.dev", "Dev", "us-gov-west-1"),
        ("acme.prod", "acme.prod", ""),
        ("acme.prod.eu-west-1", "acme.prod", "eu-west-1"),
        ("eu-west-1.acme.prod", "acme.prod", "eu-west-1"),
        # A region's name is the region, whatever profiles are called.
        ("eu-west-3", "", "eu-west-3"),
        ("eu-west-1.eu-west-3", "eu-west-3", "eu-west-1"),
    ],
)
def test_labels_in_any_order(rest: str, profile: str, region: str) -> None:
    for instance in (WEB, "mi-0123456789abcdef0", "i-01234567"):
        name = f"{instance}.{rest}"
        assert read(name) == (instance, profile, region)


def test_a_bare_id_asks_for_no_profiles() -> None:
    def never() -> list[str]:
        raise AssertionError

    assert interpret(parse(WEB), never, is_region) == ("", "")


@pytest.mark.parametrize("name", ["github.com", "i-love.example.com", "", ".", "web"])
def test_a_name_without_an_instance_is_refused_whole(name: str) -> None:
    with pytest.raises(UsageError, match=re.escape(f"'{name}' is not an instance id")):
        parse(name)


def test_case_is_of_no_account() -> None:
    assert read("I-0123456789ABCDEF0.EU-West-1.DEV") == (WEB, "Dev", "eu-west-1")


@pytest.mark.parametrize(
    ("rest", "words"),
    [
        ("staging", ["'staging'", "neither a region nor a configured profile", "prod"]),
        ("eu-west-1.staging", ["'staging'"]),
        ("prod.dev", ["'prod.dev'"]),
        ("twice", ["'TWICE' or 'twice'", "lower case", "AWS_PROFILE="]),
        ("twice.us-east-1", ["'TWICE' or 'twice'"]),
        ("", ["neither"]),
        (".", ["neither"]),
        ("prod.", ["neither"]),
        ("x\x1b[2J", ["neither"]),
    ],
)
def test_what_means_nothing_or_too_much(rest: str, words: list[str]) -> None:
    with pytest.raises(UsageError) as error:
        read(f"{WEB}.{rest}")
    for word in words:
        assert word in error.value.sentence()
    assert error.value.sentence().isprintable()


def test_two_ways_to_take_a_name_apart() -> None:
    with pytest.raises(UsageError, match=r"profile 'a.eu-west-1' or profile 'a' in eu-west-1"):
        read(f"{WEB}.a.eu-west-1", ["a", "a.eu-west-1"])


def test_no_profile_at_all() -> None:
    with pytest.raises(UsageError) as error:
        read(f"{WEB}.prod", [])
    assert "No profile is configured" in error.value.hint


labels = st.from_regex(r"[A-Za-z0-9_-]{1,12}(\.[A-Za-z0-9_-]{1,12})?", fullmatch=True)


@given(st.lists(labels, min_size=1, max_size=6), st.data(), st.sampled_from([*REGIONS, ""]), st.booleans())
def test_each_profile_that_is_alone_in_its_spelling_is_found(
    profiles: list[str], data: st.DataObject, region: str, first: bool
) -> None:
    lower = [one.lower() for one in profiles]
    assume(len(set(lower)) == len(lower))
    assume(not any(is_region(label) for one in lower for label in one.split(".")))
    profile = data.draw(st.sampled_from(profiles))
    parts = [region, profile] if first else [profile, region]
    name = ".".join([WEB, *filter(None, parts)]).lower()
    assert read(name, profiles) == (WEB, profile, region)
    assert is_ours(name, suffixes([profile]))


@given(st.text(max_size=60), st.lists(st.text(max_size=12), max_size=4))
def test_any_name_is_read_or_refused(rest: str, profiles: list[str]) -> None:
    for name in (rest, f"{WEB}.{rest}"):
        try:
            found = read(name, profiles)
        except UsageError as error:
            assert error.sentence().isprintable()
        else:
            assert found[1] in ("", *profiles)


def test_suffixes_say_as_much_as_they_can() -> None:
    found = suffixes(["Prod", "with space", "prod", "ünicode", "a.b"])
    assert all(re.fullmatch(r"[a-z0-9?*_.-]+", one) for one in found)
    for name in ("us-east-1", "prod", "prod.us-east-1", "us-gov-west-1.prod", "a.b"):
        assert is_ours(f"{WEB}.{name}", found), name
    for name in ("example.com", "prod.example.com", "internal", "eu-west-1.compute.internal"):
        assert not is_ours(f"{WEB}.{name}", found), name
    assert not is_ours("i-love.prod", found)


def test_a_host_name_is_shown_as_it_was_spelled() -> None:
    assert repr(parse("I-0123456789ABCDEF0.Prod")) == "HostName('I-0123456789ABCDEF0.Prod')"
