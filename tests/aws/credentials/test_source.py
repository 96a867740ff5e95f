from __future__ import annotations

from pathlib import Path
from unittest import mock

import botocore.session
import pytest
from botocore.exceptions import PartialCredentialsError
from hypothesis import given, settings
from hypothesis import strategies as st

from ssm_ssh.aws.config.settings import load
from ssm_ssh.aws.credentials import source as module
from ssm_ssh.aws.credentials.access_key import Credentials
from ssm_ssh.aws.credentials.source import CredentialSource, get
from ssm_ssh.errors import CredentialsError

ENV_KEYS = {"AWS_ACCESS_KEY_ID": "AKIDENV", "AWS_SECRET_ACCESS_KEY": "secret-env"}


def write(folder: Path, config: str = "", credentials: str = "") -> dict[str, str]:
    (folder / "config").write_text(config)
    (folder / "credentials").write_text(credentials)
    return {
        "HOME": str(folder),
        "AWS_CONFIG_FILE": str(folder / "config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(folder / "credentials"),
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_REGION": "eu-west-1",
    }


def keys(name: str, *, token: bool = False) -> str:
    text = f"aws_access_key_id = AKID-{name}\naws_secret_access_key = secret-{name}\n"
    return text + (f"aws_session_token = token-{name}\n" if token else "")


def test_environment(tmp_path: Path) -> None:
    found = get(load(env={**write(tmp_path), **ENV_KEYS, "AWS_SESSION_TOKEN": "token"}))
    assert (found.access_key, found.secret_key, found.token) == ("AKIDENV", "secret-env", "token")
    assert found.expires is None
    assert found.source == "the environment"


def test_environment_wins_over_aws_profile_but_not_over_the_flag(tmp_path: Path) -> None:
    env = {**write(tmp_path, credentials=f"[p]\n{keys('p')}"), **ENV_KEYS, "AWS_PROFILE": "p"}
    assert get(load(env=env)).access_key == "AKIDENV"
    assert get(load(profile="p", env=env)).access_key == "AKID-p"


def test_half_a_key(tmp_path: Path) -> None:
    with pytest.raises(CredentialsError, match="AWS_SECRET_ACCESS_KEY is not"):
        get(load(env={**write(tmp_path), "AWS_ACCESS_KEY_ID": "AKID"}))
    with pytest.raises(CredentialsError, match=r"'p' in .* has an incomplete access key"):
        get(load(profile="p", env=write(tmp_path, credentials="[p]\naws_access_key_id = AKID\n")))


def test_credentials_file_before_config_file(tmp_path: Path) -> None:
    env = write(tmp_path, config=f"[profile p]\n{keys('config')}", credentials=f"[p]\n{keys('own', token=True)}")
    assert get(load(profile="p", env=env)).token == "token-own"
    env = write(tmp_path, config=f"[profile p]\n{keys('config')}")
    assert get(load(profile="p", env=env)).access_key == "AKID-config"


STATIC = st.sampled_from(["", keys("x"), keys("x", token=True), keys("x") + "aws_security_token = older\n"])


@settings(deadline=None)
@given(
    config=STATIC,
    credentials=STATIC,
    name=st.sampled_from(["default", "p"]),
    named=st.sampled_from(["flag", "AWS_PROFILE", "AWS_DEFAULT_PROFILE", None]),
    environment=st.fixed_dictionaries(
        {},
        optional={
            "AWS_ACCESS_KEY_ID": st.sampled_from(["AKIDENV", ""]),
            "AWS_SECRET_ACCESS_KEY": st.sampled_from(["secret-env", ""]),
            "AWS_SESSION_TOKEN": st.sampled_from(["token", ""]),
            "AWS_SECURITY_TOKEN": st.sampled_from(["older-env", ""]),
        },
    ),
)
def test_precedence_is_botocores(
    *,
    tmp_path_factory: pytest.TempPathFactory,
    config: str,
    credentials: str,
    name: str,
    named: str | None,
    environment: dict[str, str],
) -> None:
    folder = tmp_path_factory.getbasetemp() / "credentials"
    folder.mkdir(exist_ok=True)
    section = "default" if name == "default" else f"profile {name}"
    env = write(
        folder,
        config=f"[{section}]\n{config.replace('-x', '-config')}",
        credentials=f"[{name}]\n{credentials.replace('-x', '-own')}",
    )
    env.update(environment)
    if named and named != "flag":
        env[named] = name
    profile = name if named == "flag" else None
    with mock.patch.dict("os.environ", env, clear=True):
        chosen = load(profile=profile, env=env)
        try:
            theirs = botocore.session.Session(profile=profile).get_credentials()
        except PartialCredentialsError:
            with pytest.raises(CredentialsError):
                module.static_credentials(chosen)
            return
        ours = module.static_credentials(chosen)
        if theirs is None:
            assert ours is None
        else:
            assert ours is not None
            assert (ours.access_key, ours.secret_key, ours.token) == (
                theirs.access_key,
                theirs.secret_key,
                theirs.token,
            )


@pytest.mark.parametrize(
    "line",
    [
        "role_arn = arn",
        "web_identity_token_file = /t",
        "sso_account_id = 1",
        "credential_process = x",
        "login_session = x",
    ],
)
def test_what_needs_botocore_is_left_to_it(tmp_path: Path, line: str) -> None:
    env = write(tmp_path, config=f"[profile p]\n{line}\n{keys('config')}")
    assert module.static_credentials(load(profile="p", env=env)) is None


def test_keys_of_the_credentials_file_come_before_a_process(tmp_path: Path) -> None:
    env = write(tmp_path, config="[profile p]\ncredential_process = false\n", credentials=f"[p]\n{keys('own')}")
    assert get(load(profile="p", env=env)).access_key == "AKID-own"


def test_web_identity_of_the_environment_goes_to_botocore(tmp_path: Path) -> None:
    env = {**write(tmp_path, credentials=f"[default]\n{keys('own')}"), "AWS_WEB_IDENTITY_TOKEN_FILE": "/t"}
    assert module.static_credentials(load(env=env)) is None
    assert module.static_credentials(load(profile="default", env=env)) is not None


def test_expiry_of_the_environment(tmp_path: Path) -> None:
    env = {**write(tmp_path), **ENV_KEYS, "AWS_CREDENTIAL_EXPIRATION": "2026-01-31T12:00:00Z"}
    end = 1769860800.0
    assert CredentialSource(load(env=env), clock=lambda: end - 1000).get().expires == end
    with pytest.raises(CredentialsError, match="the environment have expired"):
        CredentialSource(load(env=env), clock=lambda: end + 1).get()
    with pytest.raises(CredentialsError, match="AWS_CREDENTIAL_EXPIRATION"):
        get(load(env={**env, "AWS_CREDENTIAL_EXPIRATION": "tomorrow"}))


@pytest.mark.parametrize("stray", ["\r", "\n", " x", "é", "\x1b"])
@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"])
def test_keys_that_were_copied_badly(tmp_path: Path, name: str, stray: str) -> None:
    env = {**write(tmp_path), **ENV_KEYS, "AWS_SESSION_TOKEN": "token"}
    env[name] += stray
    with pytest.raises(CredentialsError, match="from the environment contains"):
        get(load(env=env))


def test_refresh_reads_the_file_again(tmp_path: Path) -> None:
    env = write(tmp_path, credentials=f"[default]\n{keys('old', token=True)}")
    source = CredentialSource(load(env=env))
    old = source.get()
    assert source.refresh(old) is None
    write(tmp_path, credentials=f"[default]\n{keys('new', token=True)}")
    new = source.refresh(old)
    assert new is not None
    assert new.token == "token-new"
    assert source.get() is new
    assert source.refresh(old) is new


def test_a_refresh_leaves_the_settings_that_others_share(tmp_path: Path) -> None:
    shared = load(env=write(tmp_path, credentials=f"[default]\n{keys('old')}"))
    before = shared.files
    source = CredentialSource(shared)
    old = source.get()
    write(tmp_path, credentials=f"[default]\n{keys('new')}")
    new = source.refresh(old)
    assert new is not None
    assert new.access_key == "AKID-new"
    assert shared.files is before


def test_repr_is_silent() -> None:
    shown = repr(Credentials("CANARY1", "CANARY2", "CANARY3", source="here"))
    assert shown == "Credentials(source='here')"


def test_a_failed_renewal_leaves_what_is_still_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    source = CredentialSource(load(env=write(tmp_path)), clock=lambda: now[0])

    def load_credentials(*, first: bool) -> Credentials:
        if first:
            return Credentials("A", "S", "T", expires=1000.0, source="role")
        raise CredentialsError("no MFA now")

    monkeypatch.setattr(source, "_load", load_credentials)
    first = source.get()
    now[0] = 950.0
    assert source.get() is first
    now[0] = 1000.0
    with pytest.raises(CredentialsError, match="no MFA now"):
        source.get()
