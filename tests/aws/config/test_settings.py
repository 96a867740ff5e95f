from __future__ import annotations

from pathlib import Path
from unittest import mock

import botocore.session
import pytest
from botocore.configprovider import ConfiguredEndpointProvider
from botocore.exceptions import ProfileNotFound
from hypothesis import given
from hypothesis import strategies as st

from ssm_ssh.aws.config.settings import load
from ssm_ssh.errors import UsageError

CONFIG = """
[default]
region = eu-central-1
[profile work]
region = us-west-2
ca_bundle = ~/work.pem
use_fips_endpoint = True
use_dualstack_endpoint = true
max_attempts = 7
services = mine
endpoint_url = https://all.example
[profile bare]
output = json
[profile broken]
region = eu-west-1
services = missing
[profile off]
region = eu-west-1
endpoint_url = https://all.example
ignore_configured_endpoint_urls = true
[services mine]
ssm =
  endpoint_url = https://ssm.example
ssmmessages =
  endpoint_url = https://gate.example
ec2_instance_connect =
  endpoint_url = https://eic.example
kms = nothing
"""
CREDENTIALS = """
[work]
aws_access_key_id = AKID
[keys]
aws_access_key_id = AKID
region = ap-south-1
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws/config").write_text(CONFIG)
    (tmp_path / ".aws/credentials").write_text(CREDENTIALS)
    return tmp_path


def test_flags_before_environment_before_file(home: Path) -> None:
    env = {"HOME": str(home)}
    assert load(env=env).region == "eu-central-1"
    assert load(env=env).profile is None
    assert load(profile="work", env=env).region == "us-west-2"
    env["AWS_DEFAULT_REGION"] = "eu-north-1"
    assert load(profile="work", env=env).region == "eu-north-1"
    env["AWS_REGION"] = "eu-south-1"
    assert load(profile="work", env=env).region == "eu-south-1"
    assert load(profile="work", region="me-south-1", env=env).region == "me-south-1"


def test_profile(home: Path) -> None:
    env = {"HOME": str(home), "AWS_PROFILE": "bare", "AWS_REGION": "eu-west-1"}
    assert load(env=env).profile == "bare"
    assert not load(env=env).explicit_profile
    env["AWS_DEFAULT_PROFILE"] = "work"
    assert load(env=env).profile == "work"
    assert load(profile="keys", env=env).profile == "keys"
    assert load(profile="keys", env=env).explicit_profile
    assert load(env={"HOME": str(home), "AWS_PROFILE": "", "AWS_REGION": ""}).region == "eu-central-1"


def test_everything_else_of_a_profile(home: Path) -> None:
    settings = load(profile="work", env={"HOME": str(home)})
    assert settings.fips
    assert settings.dualstack
    assert settings.max_attempts == 7
    assert settings.ca_bundle == f"{home}/work.pem"
    env = {
        "HOME": str(home),
        "AWS_USE_FIPS_ENDPOINT": "false",
        "AWS_USE_DUALSTACK_ENDPOINT": "no",
        "AWS_MAX_ATTEMPTS": "1",
        "AWS_CA_BUNDLE": "/ca.pem",
    }
    settings = load(profile="work", env=env)
    assert not settings.fips
    assert not settings.dualstack
    assert settings.max_attempts == 1
    assert settings.ca_bundle == "/ca.pem"
    assert load(profile="work", ca_bundle="/flag.pem", env=env).ca_bundle == "/flag.pem"


def test_region_of_the_credentials_file_counts(home: Path) -> None:
    assert load(profile="keys", env={"HOME": str(home)}).region == "ap-south-1"


def test_fips_pseudo_regions(home: Path) -> None:
    for name in ("fips-us-east-1", "us-east-1-fips"):
        settings = load(region=name, env={"HOME": str(home)})
        assert (settings.region, settings.fips) == ("us-east-1", True)


@pytest.mark.parametrize(
    "region", ["eu_west_1", "eu-west-1.evil.example", "EU-WEST-1", "-a", "a-", "a/b", "é", "a" * 64]
)
def test_what_is_no_region(home: Path, region: str) -> None:
    with pytest.raises(UsageError, match="not the name of a region"):
        load(region=region, env={"HOME": str(home)})


def test_missing_region_says_where_it_was_looked_for(home: Path) -> None:
    with pytest.raises(UsageError) as caught:
        load(profile="bare", env={"HOME": str(home)})
    sentence = caught.value.sentence()
    for place in (
        "ssm-ssh setup --region eu-central-1",
        "AWS_REGION",
        "AWS_DEFAULT_REGION",
        "'bare'",
        f"{home}/.aws/config",
    ):
        assert place in sentence
    assert "aws configure set region eu-central-1 --profile bare" in sentence


def test_missing_profile_says_which_there_are(home: Path) -> None:
    with pytest.raises(UsageError) as caught:
        load(profile="wrok", env={"HOME": str(home)})
    assert "'wrok'" in caught.value.message
    assert "bare, broken, default, keys, off, work" in caught.value.hint
    assert caught.value.hint.startswith("Did you mean work? ")


def test_missing_profile_without_any(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'x' is not in") as caught:
        load(profile="x", env={"HOME": str(tmp_path)})
    assert "Add [profile x] to" in caught.value.hint
    assert "docs/getting-started.md" in caught.value.hint
    assert "aws configure --profile x" in caught.value.hint


def test_many_profiles_are_counted(tmp_path: Path) -> None:
    (tmp_path / "c").write_text("".join(f"[profile p{i:02}]\n" for i in range(30)))
    with pytest.raises(UsageError) as caught:
        load(profile="x", env={"HOME": str(tmp_path), "AWS_CONFIG_FILE": str(tmp_path / "c")})
    assert "p07 and 22 more" in caught.value.hint


@pytest.mark.parametrize("value", ["0", "-1", "x", "1.5", "99999999999999999999"])
def test_attempts_are_a_number(home: Path, value: str) -> None:
    with pytest.raises(UsageError, match="max_attempts"):
        load(env={"HOME": str(home), "AWS_MAX_ATTEMPTS": value})


def test_gateway_has_no_use_for_the_global_endpoint(home: Path) -> None:
    env = {"HOME": str(home), "AWS_ENDPOINT_URL": "https://localstack.example"}
    assert load(env=env).endpoint_url("ssm") == "https://localstack.example"
    assert load(env=env).endpoint_url("ssmmessages") is None
    assert load(profile="work", env=env).endpoint_url("ssmmessages") == "https://gate.example"
    env["AWS_ENDPOINT_URL_SSMMESSAGES"] = "https://named.example"
    assert load(profile="work", env=env).endpoint_url("ssmmessages") == "https://named.example"
    assert load(profile="off", env={"HOME": str(home)}).endpoint_url("ssmmessages") is None


def test_services_section_that_is_missing(home: Path) -> None:
    with pytest.raises(UsageError, match=r"\[services missing\]|'missing'"):
        load(profile="broken", env={"HOME": str(home)}).endpoint_url("ssm")


def test_repr_shows_neither_environment_nor_files(home: Path) -> None:
    settings = load(env={"HOME": str(home), "AWS_SECRET_ACCESS_KEY": "CANARY"})
    assert "CANARY" not in repr(settings)
    assert "AKID" not in repr(settings)


ENVIRONMENT = st.fixed_dictionaries(
    {},
    optional={
        "AWS_PROFILE": st.sampled_from(["default", "work", "bare", "off", "nobody"]),
        "AWS_DEFAULT_PROFILE": st.sampled_from(["work", "keys"]),
        "AWS_DEFAULT_REGION": st.just("eu-north-1"),
        "AWS_CA_BUNDLE": st.just("/x.pem"),
        "AWS_USE_FIPS_ENDPOINT": st.sampled_from(["true", "false", "TRUE", "1"]),
        "AWS_USE_DUALSTACK_ENDPOINT": st.sampled_from(["true", "false"]),
        "AWS_MAX_ATTEMPTS": st.just("4"),
        "AWS_ENDPOINT_URL": st.just("https://env.example"),
        "AWS_ENDPOINT_URL_SSM": st.just("https://env-ssm.example"),
        "AWS_ENDPOINT_URL_EC2_INSTANCE_CONNECT": st.just("https://env-eic.example"),
        "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": st.sampled_from(["true", "false"]),
    },
)


@given(env=ENVIRONMENT, profile=st.none() | st.sampled_from(["work", "keys", "off"]))
def test_settings_are_botocores(
    tmp_path_factory: pytest.TempPathFactory, env: dict[str, str], profile: str | None
) -> None:
    folder = tmp_path_factory.getbasetemp() / "settings"
    folder.mkdir(exist_ok=True)
    (folder / "config").write_text(CONFIG.replace("~/", "/"))
    (folder / "credentials").write_text(CREDENTIALS)
    env = {
        **env,
        "HOME": str(folder),
        "AWS_CONFIG_FILE": str(folder / "config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(folder / "credentials"),
    }
    with mock.patch.dict("os.environ", env, clear=True):
        session = botocore.session.Session(profile=profile)
        try:
            scoped = session.get_scoped_config()
        except ProfileNotFound:
            with pytest.raises(UsageError):
                load(profile=profile, region="eu-west-1", env=env)
            return
        settings = load(profile=profile, region=session.get_config_variable("region") or "eu-west-1", env=env)
        assert settings.profile == session.profile
        assert settings.region == (session.get_config_variable("region") or "eu-west-1")
        assert settings.ca_bundle == session.get_config_variable("ca_bundle")
        assert settings.fips == bool(session.get_config_variable("use_fips_endpoint"))
        assert settings.dualstack == bool(session.get_config_variable("use_dualstack_endpoint"))
        assert settings.max_attempts == (session.get_config_variable("max_attempts") or 3)
        for service in ("ssm", "ec2-instance-connect", "sts"):
            provider = ConfiguredEndpointProvider(session.full_config, scoped, service)
            ignored = session.get_config_variable("ignore_configured_endpoint_urls")
            assert settings.endpoint_url(service) == (None if ignored else provider.provide())


def test_whose_keys_count_is_said_where_the_profile_does_not_tell(home: Path) -> None:
    env = {"HOME": str(home), "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_REGION": "eu-west-3"}
    both = load(env={**env, "AWS_PROFILE": "work"})
    assert both.where == "eu-west-3 (profile 'work'; keys of AWS_ACCESS_KEY_ID)"
    assert load(profile="work", region="eu-west-3", env=env).where == "eu-west-3 (profile 'work')"


def test_settings_cannot_change(tmp_path: Path) -> None:
    settings = load(region="eu-west-1", env={"HOME": str(tmp_path)})
    with pytest.raises(AttributeError, match="use replace"):
        settings.region = "eu-west-2"
    other = settings.replace(region="eu-west-2", connect_timeout=1.0)
    assert (settings.region, other.region, other.connect_timeout) == ("eu-west-1", "eu-west-2", 1.0)
    assert all(getattr(other, name) == getattr(settings, name) for name in ("profile", "env", "files", "read_timeout"))
