"""Settings and credentials beside botocore's own, for generated environments and files.

What differs on purpose is listed in docs/aws-settings.md, and `differential.expected` restates it.
"""

from __future__ import annotations

import os
import warnings
from datetime import datetime, timezone
from pathlib import Path
from unittest import mock

import pytest
from dateutil.parser import parse
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from ssm_ssh.aws.config.endpoints import resolve
from ssm_ssh.aws.config.ini import SharedFiles
from ssm_ssh.aws.config.settings import AwsSettings, load
from ssm_ssh.aws.credentials.source import CredentialSource
from ssm_ssh.errors import CredentialsError, SsmSshError, UsageError
from ssm_ssh.locate.resolver import aws_settings
from ssm_ssh.locate.selection import choose
from ssm_ssh.settings.schema import SETTINGS, Origin, Settings
from tests.aws.differential import SERVICES, Answer, Case, cases, edges, expected

DEFAULTS = Settings({one.name: Origin(one.default, "default") for one in SETTINGS}, Path("config.toml"))
# `tests/long` takes more.
EXAMPLES = int(os.environ.get("DIFFERENTIAL_EXAMPLES", "500"))
_STATIC = {"env": "the environment", "shared-credentials-file": "profile '", "config-file": "profile '"}


def ours(case: Case, env: dict[str, str], region: str | None) -> AwsSettings:
    """Return what a connection would use, where ssm-ssh itself has no settings and no memory."""
    choice = choose(DEFAULTS, env, profile=case.flag or "")
    return aws_settings(choice._replace(fallback=region or ""), env, SharedFiles(env))


def keys(found: AwsSettings) -> tuple[str, str, str | None, str, float | None] | None:
    try:
        got = CredentialSource(found).get()
    except SsmSshError:
        return None
    return got.access_key, got.secret_key, got.token, got.source, got.expires


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("differential")


@given(case=cases())
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.reuse, Phase.generate, Phase.shrink],
)
def test_everything_is_chosen_as_botocore_chooses_it(folder: Path, case: Case) -> None:
    env = case.write(folder)
    with edges():
        theirs = expected(case, env)
        with mock.patch.dict(os.environ, env, clear=True):
            if theirs is None:
                with pytest.raises(UsageError, match="is not in"):
                    ours(case, env, "eu-west-1")
                return
            found = ours(case, env, "eu-central-1")
            compare(found, theirs)


def compare(found: AwsSettings, theirs: Answer) -> None:
    assert found.region == (theirs.region or "eu-central-1")
    assert (found.fips, found.dualstack, found.ca_bundle) == (theirs.fips, theirs.dualstack, theirs.bundle)
    if theirs.region:
        for service in SERVICES:
            try:
                endpoint = resolve(found, service)
            except UsageError:
                assert service not in theirs.endpoints
            else:
                assert f"{endpoint.scheme}://{endpoint.authority}" == theirs.endpoints[service]
    got = keys(found)
    assert (got is None) == (theirs.keys is None), (got, theirs.keys)
    if got and theirs.keys:
        assert got[:3] == theirs.keys[:3]
        assert got[4] == theirs.keys[4]
        method = theirs.keys[3]
        assert got[3].startswith((method, _STATIC.get(method, method)))


@given(
    moment=st.datetimes(datetime(2027, 1, 1), datetime(2099, 1, 1), timezones=st.just(timezone.utc)),
    form=st.sampled_from(
        [
            "%Y-%m-%dT%H:%M:%SZ",
            "%Y-%m-%dT%H:%M:%S+00:00",
            "%Y-%m-%d %H:%M:%S%z",
            "%Y-%m-%dT%H:%M:%S.%fZ",
            "%Y-%m-%dT%H:%MZ",
            "%Y%m%dT%H%M%SZ",
            "%Y%m%dT%H%MZ",
            "%a, %d %b %Y %H:%M:%S GMT",
            "%a %b %d %H:%M:%S UTC %Y",
            "%d %B %Y %I:%M:%S %p UTC",
            "%m/%d/%Y %H:%M:%S -0700",
            " %Y-%m-%dT%H:%M:%S+05:30 ",
            "%Y-%m-%dT%H:%M:%S-0330",
            "%s",
            "%Y-%m-%d",
            "%Y-%m-%dT%H:%M:%S Mars/Olympus",
            "in %H hours",
        ]
    ),
)
@settings(deadline=None)
def test_the_end_of_credentials_is_read_as_botocore_reads_it(moment: datetime, form: str) -> None:
    text = moment.strftime(form)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs = parse(text)
    except (ValueError, OverflowError):
        theirs = None
    env = {"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "s", "AWS_CREDENTIAL_EXPIRATION": text}
    source = CredentialSource(load(region="eu-west-1", env=env), clock=lambda: 1.0)
    if theirs is None or (theirs.tzinfo is None and "Mars" in text):
        with pytest.raises(CredentialsError, match="AWS_CREDENTIAL_EXPIRATION is not a time"):
            source.get()
    else:
        # botocore cannot compare a time without a zone with the clock; here it is UTC.
        aware = theirs if theirs.tzinfo else theirs.replace(tzinfo=timezone.utc)
        assert source.get().expires == aware.timestamp()
