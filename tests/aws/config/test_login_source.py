from __future__ import annotations

from pathlib import Path

import pytest

from ssm_ssh.aws.config.ini import SharedFiles
from ssm_ssh.aws.config.login_source import SIGN_IN, SSO, Login, login_command, login_of, renewal_hint
from ssm_ssh.aws.config.settings import load
from ssm_ssh.errors import UsageError

URL = "https://x.awsapps.com/start"
SESSION = f"[sso-session corp]\nsso_start_url = {URL}\nsso_region = eu-west-1\nsso_registration_scopes = a:b, c:d\n"
CONFIG = f"""\
[default]
sso_session = corp
[profile sso]
sso_session = corp
sso_account_id = 123456789012
sso_role_name = ops
{SESSION}
[profile inline]
sso_start_url = {URL}
sso_region = us-east-1
sso_account_id = 123456789012
sso_role_name = ops
[profile signed-in]
login_session = arn:aws:iam::123456789012:user/me
region = eu-central-1
[profile role]
role_arn = arn:aws:iam::123456789012:role/r
source_profile = middle
[profile middle]
role_arn = arn:aws:iam::123456789012:role/m
source_profile = sso
[profile round]
role_arn = arn:aws:iam::123456789012:role/r
source_profile = about
[profile about]
role_arn = arn:aws:iam::123456789012:role/r
source_profile = round
[profile itself]
role_arn = arn:aws:iam::123456789012:role/r
source_profile = itself
aws_access_key_id = AKID
aws_secret_access_key = secret
[profile web]
role_arn = arn:aws:iam::123456789012:role/r
web_identity_token_file = /nonexistent
[profile keys]
region = eu-central-1
[profile two words]
sso_session = corp
[profile -dash]
sso_session = corp
[profile lost]
sso_session = gone
[profile half]
sso_account_id = 123456789012
sso_role_name = ops
"""


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws/config").write_text(CONFIG)
    (tmp_path / ".aws/credentials").write_text("[keys]\naws_access_key_id = A\naws_secret_access_key = S\n")
    return {"HOME": str(tmp_path), "AWS_REGION": "eu-west-1"}


CORP = Login(SSO, "sso", "corp", URL, "eu-west-1", ("a:b", "c:d"))


@pytest.mark.parametrize(
    ("profile", "login"),
    [
        ("sso", CORP),
        ("default", CORP._replace(profile="default")),
        ("inline", Login(SSO, "inline", "", URL, "us-east-1")),
        ("signed-in", Login(SIGN_IN, "signed-in", "arn:aws:iam::123456789012:user/me", region="eu-central-1")),
        ("middle", CORP),
        ("role", CORP),
        ("round", None),
        ("itself", None),
        ("web", None),
        ("keys", None),
        ("absent", None),
    ],
)
def test_the_login_of_a_profile(env: dict[str, str], profile: str, login: Login | None) -> None:
    assert login_of(SharedFiles(env), profile) == login


@pytest.mark.parametrize(("profile", "words"), [("lost", "[sso-session gone]"), ("half", "sso_start_url")])
def test_incomplete_settings_are_named(env: dict[str, str], profile: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        login_of(SharedFiles(env), profile)
    assert words in caught.value.message


@pytest.mark.parametrize(
    ("profile", "command"),
    [
        ("role", "ssm-ssh login sso"),
        ("default", "ssm-ssh login"),
        ("two words", "ssm-ssh login 'two words'"),
        ("lost", "ssm-ssh login lost"),
        ("-dash", "ssm-ssh login -- -dash"),
        ("keys", ""),
    ],
)
def test_the_command_names_the_profile_to_log_in_to(env: dict[str, str], profile: str, command: str) -> None:
    # "two words" is no profile of botocore's unless quoted, hence not one here.
    text = CONFIG.replace("[profile two words]", '[profile "two words"]')
    Path(env["HOME"], ".aws/config").write_text(text)
    assert login_command(SharedFiles(env), profile) == command


def test_expired_keys_of_the_environment_are_not_renewed_by_a_login(env: dict[str, str]) -> None:
    env |= {"AWS_ACCESS_KEY_ID": "A", "AWS_PROFILE": "sso"}
    assert "AWS_SESSION_TOKEN" in renewal_hint(load(env=env))
    assert renewal_hint(load(env=env, profile="role")) == "Run: ssm-ssh login sso"
    assert renewal_hint(load(env=env, profile="keys")) == "Renew the credentials of profile 'keys'"


def test_who_assumes_an_expired_role_is_told_whose_credentials_to_renew(tmp_path: Path) -> None:
    role = "role_arn = arn:aws:iam::1:role/x\n"
    (tmp_path / "config").write_text(
        f"[profile keys]\n[profile ops]\n{role}source_profile = keys\n"
        f"[profile far]\n{role}source_profile = ops\n[profile env]\n{role}credential_source = Environment\n"
        f"[profile self]\n{role}source_profile = self\n[profile a]\n{role}source_profile = b\n"
        f"[profile b]\n{role}source_profile = a\n"
    )
    env = {"AWS_CONFIG_FILE": str(tmp_path / "config"), "AWS_REGION": "eu-west-1", "HOME": str(tmp_path)}
    for profile, source in (("far", "keys"), ("ops", "keys"), ("keys", "keys"), ("self", "self"), ("a", "a")):
        assert renewal_hint(load(env=env, profile=profile)) == f"Renew the credentials of profile '{source}'"
    assert "AWS_SESSION_TOKEN" in renewal_hint(load(env=env, profile="env"))
