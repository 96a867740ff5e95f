"""Settings and credentials beside botocore's own, for generated environments and files.

What differs on purpose is listed in docs/aws-settings.md, and `differential.expected` restates it.
"""

from __future__ import annotations

import os
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from ssm_ssh.aws.credentials import CredentialSource
from ssm_ssh.aws.endpoints import resolve
from ssm_ssh.aws.ini import SharedFiles
from ssm_ssh.aws.settings import AwsSettings
from ssm_ssh.choice import choose
from ssm_ssh.errors import SsmSshError, UsageError
from ssm_ssh.locate import aws_settings
from ssm_ssh.settings import SETTINGS, Origin, Settings
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
