# Over 350 lines: the generated files and what botocore makes of them belong together.
"""Environments and ~/.aws files at random, and what botocore makes of them, with nothing of the network.

Edges are replaced, not rules: a role that is assumed, a token that is exchanged, a container and a process give keys
that tell by what they were got. Two chains that ask in another order, or with other keys, give other answers.
"""

from __future__ import annotations

import contextlib
import json
import os
from typing import TYPE_CHECKING, Any, NamedTuple
from unittest import mock

import botocore.credentials
import botocore.session
from botocore.configprovider import ConfiguredEndpointProvider
from botocore.endpoint import EndpointCreator
from botocore.endpoint_provider import EndpointProvider
from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SERVICES = ("ssm", "ec2-instance-connect", "ec2", "kms", "sts")
PROFILES = ("default", "p", "q", "team:x")
_FAR = "2096-01-31T12:00:00Z"
# As tools write the time at which credentials end.
SPELLINGS = (
    "2096-01-31 12:00:00+00:00",
    "2096-01-31T13:00:00+0100",
    "2096-01-31T12:00Z",
    "2096-01-31T12:00:00.123456789Z",
    "20960131T120000Z",
    "Tue, 31 Jan 2096 12:00:00 GMT",
    "Tue Jan 31 12:00:00 UTC 2096",
    "31 January 2096 12:00 Z",
    "2096-01-31T12:00:00 -0500",
)

_LOADER = botocore.session.Session().get_component("data_loader")
_RULES = {
    name: EndpointProvider(_LOADER.load_service_model(name, "endpoint-rule-set-1"), _LOADER.load_data("partitions"))
    for name in SERVICES
}


class Case(NamedTuple):
    """A user's environment, the two files, and the profile of a flag (None: no flag)."""

    env: dict[str, str]
    config: str
    credentials: str
    flag: str | None

    def write(self, folder: Path) -> dict[str, str]:
        """Put the files into `folder` and return the whole environment."""
        (folder / "config").write_text(self.config)
        (folder / "credentials").write_text(self.credentials)
        return {
            "HOME": str(folder),
            "AWS_CONFIG_FILE": str(folder / "config"),
            "AWS_SHARED_CREDENTIALS_FILE": str(folder / "credentials"),
            **self.env,
        }


def _some(**values: list[str]) -> st.SearchStrategy[dict[str, str]]:
    """Return dictionaries with some of the names, most of them absent."""
    entry = st.sampled_from(sorted(values)).flatmap(
        lambda name: st.tuples(st.just(name), st.sampled_from(values[name]))
    )
    return st.lists(entry, max_size=3).map(dict)


_KEYS = {
    "aws_access_key_id": ["AKIDFILE"],
    "aws_secret_access_key": ["secret-file"],
    "aws_session_token": ["token-file"],
    "aws_security_token": ["older-file"],
}
_BOOLEAN = ["true", "false", "TRUE", "True", "yes", "1", ""]
_REGIONS = ["eu-west-1", "us-gov-west-1", "cn-north-1", "fips-us-east-1", "us-east-1-fips", "eu-isoe-west-1"]
_WAYS = {
    "role_arn": ["arn:aws:iam::1:role/r"],
    "source_profile": [*PROFILES, "missing"],
    "credential_source": ["Environment", "EcsContainer", "Ec2InstanceMetadata", "Elsewhere"],
    "external_id": ["x"],
    "mfa_serial": ["arn:mfa"],
    "web_identity_token_file": ["/token-of-profile"],
    "credential_process": ["/give one", "/give broken", ""],
    "sso_account_id": ["1"],
    "sso_role_name": ["r"],
    "sso_start_url": ["https://x"],
    "sso_region": ["eu-west-1"],
    "sso_session": ["s", "missing"],
}
_SETTINGS = {
    "region": [*_REGIONS, ""],
    "ca_bundle": ["/profile.pem", ""],
    "use_fips_endpoint": _BOOLEAN,
    "use_dualstack_endpoint": _BOOLEAN,
    "ignore_configured_endpoint_urls": _BOOLEAN,
    "endpoint_url": ["https://profile.example", ""],
    "services": ["mine", "empty", "missing"],
}
_COMPLETE = (
    {"aws_access_key_id": "AKIDFULL", "aws_secret_access_key": "secret-full"},
    {"role_arn": "arn:aws:iam::1:role/full", "source_profile": "q"},
    {"role_arn": "arn:aws:iam::1:role/full", "web_identity_token_file": "/token-of-profile"},
    {"role_arn": "arn:aws:iam::1:role/full", "credential_source": "EcsContainer"},
    {"sso_account_id": "1", "sso_role_name": "full", "sso_start_url": "https://x", "sso_region": "eu-west-1"},
    {"sso_account_id": "1", "sso_role_name": "full", "sso_session": "s"},
    {"credential_process": "/give full"},
    {"role_arn": "arn:aws:iam::1:role/second", "source_profile": "p", "region": "us-gov-west-1"},
    {"role_arn": "arn:aws:iam::1:role/full", "source_profile": "q", "region": "cn-north-1"},
    {"region": "eu-west-1", "services": "mine"},
    {},
)
_SECTIONS = """
[sso-session s]
sso_start_url = https://s
sso_region = us-east-1
[services mine]
ssm =
  endpoint_url = https://mine-ssm.example
ec2_instance_connect =
  endpoint_url = https://mine-eic.example
sts =
  other = x
[services empty]
"""
_ENV = {
    "AWS_PROFILE": [*PROFILES, "missing", ""],
    "AWS_DEFAULT_PROFILE": [*PROFILES, ""],
    "AWS_ACCESS_KEY_ID": ["AKIDENV", ""],
    "AWS_SECRET_ACCESS_KEY": ["secret-env", ""],
    "AWS_SESSION_TOKEN": ["token-env", ""],
    "AWS_SECURITY_TOKEN": ["older-env", ""],
    "AWS_CREDENTIAL_EXPIRATION": [_FAR, "", *SPELLINGS, "2001-01-31T12:00:00Z", "soon"],
    "AWS_WEB_IDENTITY_TOKEN_FILE": ["/token-of-env", ""],
    "AWS_ROLE_ARN": ["arn:aws:iam::1:role/env"],
    "AWS_ROLE_SESSION_NAME": ["me"],
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": ["/role", "/broken"],
    "AWS_CONTAINER_CREDENTIALS_FULL_URI": ["http://127.0.0.1/full"],
    "AWS_CONTAINER_AUTHORIZATION_TOKEN": ["sesame", "two\nlines"],
}
_ENV_SETTINGS = {
    "AWS_REGION": ["ap-south-1", ""],
    "AWS_DEFAULT_REGION": [*_REGIONS, ""],
    "AWS_CA_BUNDLE": ["/env.pem", ""],
    "REQUESTS_CA_BUNDLE": ["/requests.pem", ""],
    "AWS_USE_FIPS_ENDPOINT": _BOOLEAN,
    "AWS_USE_DUALSTACK_ENDPOINT": _BOOLEAN,
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": _BOOLEAN,
    "AWS_ENDPOINT_URL": ["https://env.example", ""],
    "AWS_ENDPOINT_URL_SSM": ["https://env-ssm.example", ""],
    "AWS_ENDPOINT_URL_EC2_INSTANCE_CONNECT": ["https://env-eic.example", ""],
    "AWS_ENDPOINT_URL_EC2": ["https://env-ec2.example"],
}
_GIVEN = (
    {"AWS_ACCESS_KEY_ID": "AKIDGIVEN", "AWS_SECRET_ACCESS_KEY": "secret-given"},
    {"AWS_WEB_IDENTITY_TOKEN_FILE": "/token-given", "AWS_ROLE_ARN": "arn:aws:iam::1:role/given"},
    {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1/given"},
    {},
    {},
    {},
)


def _text(sections: dict[str, dict[str, str]], named: str) -> str:
    lines = []
    for profile, values in sections.items():
        lines += [f"[{named if profile != 'default' else ''}{profile}]"]
        lines += [f"{name} = {value}" for name, value in values.items()]
    return "\n".join(lines) + "\n"


def _mixed(
    whole: tuple[dict[str, str], ...], *parts: st.SearchStrategy[dict[str, str]]
) -> st.SearchStrategy[dict[str, str]]:
    """Return dictionaries that start as one of `whole` and are changed by what each of `parts` gives."""
    changes = st.tuples(st.sampled_from(whole), *parts)
    return changes.map(lambda all_of_them: {name: value for one in all_of_them for name, value in one.items()})


def cases() -> st.SearchStrategy[Case]:
    """Return the cases: complete ways to credentials, and odd settings among them."""
    profile = _mixed(_COMPLETE, _some(**_WAYS, **_KEYS), _some(**_SETTINGS))
    source = _mixed((_COMPLETE[0], _COMPLETE[0], _COMPLETE[6], {}), _some(**_KEYS), _some(**_SETTINGS))
    config = st.fixed_dictionaries({"q": source}, optional=dict.fromkeys(("default", "p", "team:x"), profile))
    own = st.dictionaries(st.sampled_from(PROFILES), _mixed((_COMPLETE[0], {}, {}), _some(**_KEYS)), max_size=2)
    return st.builds(
        Case,
        _mixed(_GIVEN, _some(**_ENV), _some(**_ENV_SETTINGS)),
        config.map(lambda sections: _text(sections, "profile ") + _SECTIONS),
        own.map(lambda sections: _text(sections, "")),
        st.sampled_from([None, None, *PROFILES]),
    )


# --- the edges --------------------------------------------------------------------------------------------------------


class _Client:
    """STS and SSO: the keys that they give tell what was asked, and with which keys."""

    def __init__(self, service: str, **how: object) -> None:
        self._by = f"{service}/{how.get('aws_access_key_id', '')}"

    def _keys(self, what: str, asked: dict[str, object]) -> dict[str, Any]:
        text = f"{what}({json.dumps(asked, sort_keys=True, default=str)})by({self._by})"
        text = "".join(c if c.isalnum() else "_" for c in text)
        return {"AccessKeyId": text, "SecretAccessKey": "s", "SessionToken": "t", "Expiration": _FAR}

    def assume_role(self, **asked: object) -> dict[str, Any]:
        asked["RoleSessionName"] = ""  # holds the time
        return {"Credentials": self._keys("role", asked)}

    def assume_role_with_web_identity(self, **asked: object) -> dict[str, Any]:
        asked["RoleSessionName"] = ""
        return {"Credentials": self._keys("web", asked)}

    def get_role_credentials(self, **asked: object) -> dict[str, Any]:
        keys = self._keys("sso", asked)
        return {
            "roleCredentials": {
                "accessKeyId": keys["AccessKeyId"],
                "secretAccessKey": "s",
                "sessionToken": "t",
                "expiration": 3978936000000,
            }
        }


class _Process:
    def __init__(self, command: list[str], **how: object) -> None:
        del how
        self._name = "".join(command[-1:])
        self.returncode = int(self._name == "broken")

    def communicate(self) -> tuple[bytes, bytes]:
        answer = {"Version": 1, "AccessKeyId": f"PROCESS{self._name}", "SecretAccessKey": "s"}
        return json.dumps(answer).encode(), b"broken"


def _container(_fetcher: object, uri: str, headers: dict[str, str] | None = None) -> dict[str, str]:
    if uri.endswith("/broken"):
        raise botocore.exceptions.MetadataRetrievalError(error_msg="broken")
    token = (headers or {}).get("Authorization", "")
    key = "".join(c if c.isalnum() else "_" for c in f"CONTAINER{uri}{token}")
    return {"AccessKeyId": key, "SecretAccessKey": "s", "Token": "t", "Expiration": _FAR}


class _Token:
    token = "sso-token"

    def get_frozen_token(self) -> _Token:
        return self


@contextlib.contextmanager
def edges() -> Iterator[None]:
    """Replace the network, processes, caches and the terminal, for botocore's chain and for ours."""
    from ssm_ssh.aws.credentials import botocore_chain

    patches = [
        mock.patch.object(botocore.session.Session, "create_client", lambda _, service, **how: _Client(service, **how)),
        # Ten times faster, and clients alone have a use for them.
        mock.patch.object(botocore.session.Session, "_register_builtin_handlers"),
        mock.patch.object(botocore.credentials.ContainerMetadataFetcher, "retrieve_full_uri", _container),
        mock.patch.object(
            botocore.credentials.InstanceMetadataFetcher, "retrieve_iam_role_credentials", return_value={}
        ),
        mock.patch.object(botocore.credentials, "FileWebIdentityTokenLoader", lambda path: lambda: f"token of {path}"),
        mock.patch.object(
            botocore.credentials.AssumeRoleWithWebIdentityProvider.__init__,
            "__defaults__",
            (None, False, lambda path: lambda: f"token of {path}"),
        ),
        mock.patch.object(botocore.credentials.ProcessProvider.__init__, "__defaults__", (_Process,)),
        mock.patch.object(botocore.credentials.SSOTokenLoader, "__call__", return_value={"accessToken": "t"}),
        mock.patch.object(botocore.credentials.SSOTokenProvider, "load_token", return_value=_Token()),
        mock.patch.object(
            botocore.credentials.AssumeRoleProvider.__init__, "__defaults__", (lambda _: "123456", None, None)
        ),
        mock.patch.object(botocore_chain, "ask", return_value="123456"),
        mock.patch.object(botocore_chain, "_start", _Process),
        mock.patch.object(botocore_chain, "_Cache", side_effect=lambda _: {}),
    ]
    with contextlib.ExitStack() as stack:
        for patch in patches:
            stack.enter_context(patch)
        yield


# --- botocore's answer ------------------------------------------------------------------------------------------------


class Answer(NamedTuple):
    """What was chosen; None where that failed. `keys`: access key, secret key, token, method, expiry."""

    keys: tuple[str, str, str | None, str, float | None] | None
    region: str | None
    fips: bool
    dualstack: bool
    bundle: str | None
    endpoints: dict[str, str | None]


def botocores(flag: str | None) -> Answer | None:
    """Return what botocore makes of os.environ; None where it cannot even begin (no such profile)."""
    session = botocore.session.Session(profile=flag)
    try:
        scoped = session.get_scoped_config()
    except botocore.exceptions.ProfileNotFound:
        return None
    region = session.get_config_variable("region")
    fips = bool(session.get_config_variable("use_fips_endpoint"))
    if region and (region.startswith("fips-") or region.endswith("-fips")):  # ClientArgsCreator, for pseudo regions
        region, fips = region.replace("fips-", "").replace("-fips", ""), True
    dualstack = bool(session.get_config_variable("use_dualstack_endpoint"))
    ignored = session.get_config_variable("ignore_configured_endpoint_urls")
    endpoints = {}
    for service in SERVICES:
        with contextlib.suppress(botocore.exceptions.BotoCoreError):
            provider = ConfiguredEndpointProvider(session.full_config, scoped, service)
            url = None if ignored else provider.provide()
            endpoints[service] = url or _rules(service, region, fips, dualstack)
    return Answer(_keys(session), region, fips, dualstack, _bundle(session), endpoints)


def _keys(session: botocore.session.Session) -> tuple[str, str, str | None, str, float | None] | None:
    try:
        found = session.get_credentials()
        frozen = found.get_frozen_credentials() if found else None
    except Exception:
        return None
    if found is None or frozen is None:
        return None
    end = getattr(found, "_expiry_time", None)
    return (
        frozen.access_key,
        frozen.secret_key,
        frozen.token,
        found.method,
        None if end is None else end.timestamp(),
    )


def _rules(service: str, region: str | None, fips: bool, dualstack: bool) -> str | None:
    if not region:
        return None
    extra = {"UseGlobalEndpoint": False} if service == "sts" else {}
    return _RULES[service].resolve_endpoint(Region=region, UseFIPS=fips, UseDualStack=dualstack, **extra).url


def _bundle(session: botocore.session.Session) -> str | None:
    creator = EndpointCreator(None)
    try:
        # Empty, it is a mistake for botocore.
        verify = creator._get_verify_value(session.get_config_variable("ca_bundle") or None)
    except botocore.exceptions.InvalidConfigError:
        return None
    return None if verify is True else verify


def expected(case: Case, env: dict[str, str]) -> Answer | None:
    """Return botocore's answer, with the differences that docs/aws-settings.md lists."""
    # An empty variable counts as not there, except where it is botocore's chain that reads it.
    clean = {name: value for name, value in env.items() if value or name == "AWS_WEB_IDENTITY_TOKEN_FILE"}
    # AWS_REGION is the AWS CLI v2's and that of every other SDK; botocore does not read it.
    if "AWS_REGION" in clean:
        clean["AWS_DEFAULT_REGION"] = clean["AWS_REGION"]
    with mock.patch.dict(os.environ, clean, clear=True):
        return botocores(case.flag)
