"""Two profiles that have instances of the same names, three regions: each way of choosing, and each wrong choice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ssm_ssh.aws.api.client import Api
from ssm_ssh.aws.services.sessions import start_session
from ssm_ssh.errors import TargetNotConnected, UsageError
from ssm_ssh.locate import history
from ssm_ssh.locate.history import KnownInstance
from ssm_ssh.locate.hostname import parse
from ssm_ssh.locate.resolver import Located, locate
from ssm_ssh.settings.schema import load
from tests.fleet import Fleet, Instance, an_id, running

REGIONS = ("eu-west-1", "us-east-1", "ap-south-1")
PLACES = [(profile, region) for profile in ("Prod", "dev") for region in REGIONS]
IDS = {place: an_id(number) for number, place in enumerate(PLACES, 1)}
SEARCH = {"SSM_SSH_SEARCH": f"Prod:{','.join(REGIONS)} dev:{','.join(REGIONS)}"}


class Home:
    """A home with both profiles, and the six places with an instance `web` each."""

    def __init__(self, fleet: Fleet, folder: Path) -> None:
        self.env = fleet.environment(folder, {"Prod": "eu-west-1", "dev": None, "default": "us-east-1"})
        fleet.places = {
            (f"AK{profile.upper()}", region): [Instance(IDS[profile, region], "web")] for profile, region in PLACES
        }
        self.fleet = fleet

    def locate(self, host: str, *, profile: str = "", region: str = "", **env: str) -> Located:
        whole = self.env | env
        return locate(parse(host), load(None, whole), profile=profile, region=region, env=whole)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    for name in ("CONFIG", "STATE", "DATA"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name))
    monkeypatch.setenv("HOME", str(tmp_path))
    with running() as fleet:
        yield Home(fleet, tmp_path)


@pytest.mark.parametrize("place", PLACES)
def test_each_way_of_choosing(home: Home, place: tuple[str, str]) -> None:
    instance, (profile, region) = IDS[place], place
    wanted = (profile, region)
    ways = [
        home.locate(f"{instance}.{region}.{profile}".lower()),
        home.locate(f"{instance}.{profile}.{region}".lower()),
        home.locate(f"{instance}.{region}", AWS_PROFILE=profile),
        home.locate(f"{instance}.{profile}".lower(), AWS_REGION=region),
        home.locate(instance, AWS_PROFILE=profile, AWS_REGION=region),
        home.locate(instance, AWS_PROFILE=profile, AWS_DEFAULT_REGION=region),
        home.locate(instance, profile=profile, region=region, AWS_PROFILE="default"),
        home.locate(instance, SSM_SSH_DEFAULT_PROFILE=profile, SSM_SSH_DEFAULT_REGION=region),
        home.locate(instance, SSM_SSH_SEARCH=f"{profile}:{region}"),
    ]
    assert home.fleet.calls == []
    assert [(one.aws.profile, one.aws.region) for one in ways] == [wanted] * len(ways)
    found = home.locate(instance, **SEARCH)
    assert (found.aws.profile, found.aws.region, found.aws.origin) == (*wanted, "both from search")
    found = home.locate(instance, **SEARCH)
    assert (found.aws.profile, found.aws.region, found.aws.origin) == (*wanted, "both from an earlier connection")
    assert len(home.fleet.calls) <= len(PLACES)  # those of the first search, which did not wait for the last of them
    assert history.recall(instance) == KnownInstance(instance, *wanted, "ubuntu")


def test_what_is_known_narrows_the_search(home: Home) -> None:
    instance = IDS["Prod", "us-east-1"]
    found = home.locate(instance, AWS_PROFILE="Prod", **SEARCH)
    assert (found.aws.region, found.aws.origin) == ("us-east-1", "profile from AWS_PROFILE, region from search")
    assert not found.aws.explicit_profile
    # Once the instance has been found, a region that has not been asked yet is not asked any more.
    asked = {(one.key, one.region) for one in home.fleet.calls}
    assert ("AKPROD", "us-east-1") in asked <= {("AKPROD", region) for region in REGIONS}


def test_a_profile_brings_its_region(home: Home) -> None:
    assert home.locate(IDS["Prod", "eu-west-1"], AWS_PROFILE="Prod").aws.region == "eu-west-1"
    assert home.locate(f"{IDS['Prod', 'eu-west-1']}.prod").aws.region == "eu-west-1"
    assert home.locate(an_id(9)).aws.region == "us-east-1"
    found = home.locate(an_id(9), AWS_PROFILE="Prod", SSM_SSH_DEFAULT_REGION="ap-south-1")
    assert found.aws.region == "eu-west-1"
    found = home.locate(an_id(9), AWS_PROFILE="dev", SSM_SSH_DEFAULT_REGION="ap-south-1")
    assert found.aws.region == "ap-south-1"


def test_the_default_is_looked_at_first_where_there_is_a_search(home: Home) -> None:
    defaults = {"SSM_SSH_DEFAULT_PROFILE": "Prod", "SSM_SSH_DEFAULT_REGION": "eu-west-1"}
    found = home.locate(IDS["dev", "us-east-1"], **defaults, SSM_SSH_SEARCH="dev:us-east-1")
    assert (found.aws.profile, found.aws.region, found.aws.origin) == ("dev", "us-east-1", "both from search")
    found = home.locate(IDS["Prod", "eu-west-1"], **defaults, SSM_SSH_SEARCH="dev:us-east-1")
    assert (found.aws.profile, found.aws.region) == ("Prod", "eu-west-1")


def test_an_instance_that_is_nowhere(home: Home) -> None:
    with pytest.raises(TargetNotConnected) as error:
        home.locate(an_id(99), **SEARCH)
    for profile, region in PLACES:
        assert f"{profile} in {region}: not there" in error.value.message
    assert history.recall(an_id(99)) is None


@pytest.mark.parametrize(
    ("env", "host", "said"),
    [
        ({"AWS_PROFILE": "Prod"}, "", "eu-west-1 (profile 'Prod': profile from AWS_PROFILE)"),
        ({}, ".us-east-1", "us-east-1 (profile 'default': region from the host name)"),
        ({"AWS_REGION": "ap-south-1"}, ".dev", "(profile 'dev': profile from the host name, region from AWS_REGION)"),
        ({"SSM_SSH_DEFAULT_PROFILE": "Prod"}, "", "(profile 'Prod': profile from SSM_SSH_DEFAULT_PROFILE)"),
    ],
)
def test_a_wrong_choice_says_what_was_tried(home: Home, env: dict[str, str], host: str, said: str) -> None:
    home.fleet.answers["StartSession"] = lambda _: (400, "TargetNotConnected")
    found = home.locate(an_id(99) + host, **env)
    with pytest.raises(TargetNotConnected) as error:
        start_session(Api(found.aws), found.name.instance_id, "AWS-StartSSHSession", {})
    assert said in error.value.sentence()
    assert "region or profile" in error.value.sentence()


@pytest.mark.parametrize(
    ("host", "env", "said"),
    [
        (".staging", {}, "'staging' in the host name is neither"),
        ("", {"AWS_PROFILE": "staging"}, "profile 'staging' is not in"),
        ("", {"SSM_SSH_DEFAULT_PROFILE": "staging"}, "profile 'staging' is not in"),
        ("", {"AWS_PROFILE": "dev"}, "no AWS region"),
        ("", {"AWS_REGION": "eu west"}, "is not the name of a region"),
    ],
)
def test_what_cannot_be(home: Home, host: str, env: dict[str, str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        home.locate(an_id(1) + host, **env)


def test_memory_that_cannot_be_written_is_no_reason_to_fail(home: Home, tmp_path: Path) -> None:
    folder = tmp_path / "STATE" / "ssm-ssh"
    folder.mkdir(parents=True, mode=0o755)
    folder.chmod(0o755)
    for _ in range(2):
        assert home.locate(IDS["dev", "us-east-1"], **SEARCH).aws.profile == "dev"
    folder.rmdir()


def test_without_leave_to_search_nobody_is_asked(home: Home) -> None:
    found = locate(parse(an_id(1)), load(None, home.env | SEARCH), env=home.env | SEARCH, may_search=False)
    assert len(found.selection.search) == len(PLACES)
    assert home.fleet.calls == []
