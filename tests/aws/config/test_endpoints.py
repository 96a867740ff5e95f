from __future__ import annotations

import re

import botocore.session
import pytest
from botocore.endpoint_provider import EndpointProvider
from hypothesis import given
from hypothesis import strategies as st

from ssm_ssh.aws.config.endpoints import (
    Endpoint,
    host,
    loopback,
    parse_override,
    partition,
    resolve,
    signing_region,
    stream_hosts,
)
from ssm_ssh.aws.config.settings import load
from ssm_ssh.errors import UsageError

SERVICES = ["ssm", "ec2-instance-connect", "sts", "ec2", "kms", "sso-oidc"]
LOADER = botocore.session.Session().get_component("data_loader")
PARTITIONS = LOADER.load_data("partitions")
REGIONS = [name for part in PARTITIONS["partitions"] for name in part["regions"] if not name.endswith("-global")]
RULES = {
    name: EndpointProvider(LOADER.load_service_model(name, "endpoint-rule-set-1"), PARTITIONS) for name in SERVICES
}
FUTURE = [f"{region[:-1]}9" for region in REGIONS] + ["me-northwest-7", "xx-somewhere-1", "il-south-12"]


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("fips", [False, True])
@pytest.mark.parametrize("dualstack", [False, True])
def test_hosts_are_those_of_botocores_rules(service: str, fips: bool, dualstack: bool) -> None:
    assert len(REGIONS) > 40
    for region in REGIONS + FUTURE:
        extra = {"UseGlobalEndpoint": False} if service == "sts" else {}
        rules = RULES[service].resolve_endpoint(Region=region, UseFIPS=fips, UseDualStack=dualstack, **extra)
        assert f"https://{host(service, region, fips=fips, dualstack=dualstack)}" == rules.url


@pytest.mark.parametrize("fips", [False, True])
def test_iam_is_where_botocore_has_it_and_signs_for_its_region(fips: bool) -> None:
    rules = EndpointProvider(LOADER.load_service_model("iam", "endpoint-rule-set-1"), PARTITIONS)
    for region in REGIONS:
        theirs = rules.resolve_endpoint(Region=region, UseFIPS=fips, UseDualStack=False)
        assert f"https://{host('iam', region, fips=fips, dualstack=True)}" == theirs.url
        assert signing_region("iam", region) == theirs.properties["authSchemes"][0]["signingRegion"]
        assert signing_region("ssm", region) == region


def test_logs_are_where_botocore_has_them() -> None:
    rules = EndpointProvider(LOADER.load_service_model("logs", "endpoint-rule-set-1"), PARTITIONS)
    for region in REGIONS:
        theirs = rules.resolve_endpoint(Region=region, UseFIPS=False, UseDualStack=False)
        assert f"https://{host('logs', region)}" == theirs.url


def test_sign_in_is_where_botocore_has_it() -> None:
    rules = EndpointProvider(LOADER.load_service_model("signin", "endpoint-rule-set-1"), PARTITIONS)
    for region in REGIONS:
        url = rules.resolve_endpoint(Region=region, UseFIPS=False, UseDualStack=False, IsControlPlane=False).url
        assert f"https://{host('signin', region)}" == url


@given(st.data())
def test_partition_of_any_region_that_its_pattern_matches(data: st.DataObject) -> None:
    theirs = data.draw(st.sampled_from(PARTITIONS["partitions"]))
    region = data.draw(st.from_regex(re.compile(theirs["regionRegex"], re.ASCII), fullmatch=True)).strip()
    assert partition(region).name == theirs["id"]


def test_gateway() -> None:
    assert stream_hosts("eu-central-1")[0] == "ssmmessages.eu-central-1.amazonaws.com"
    assert "ssmmessages-fips.us-east-1.amazonaws.com" in stream_hosts("us-east-1")
    assert "ssmmessages.us-east-1.api.aws" in stream_hosts("us-east-1")
    assert stream_hosts("cn-north-1")[0] == "ssmmessages.cn-north-1.amazonaws.com.cn"
    assert stream_hosts("us-gov-west-1")[0] == "ssmmessages.us-gov-west-1.amazonaws.com"
    for region in REGIONS:
        assert all(f".{region}." in name for name in stream_hosts(region))


@pytest.mark.parametrize(
    ("url", "expected", "authority"),
    [
        ("https://h", Endpoint("https", "h", 443, "/", True), "h"),
        ("https://H.example:8443/x", Endpoint("https", "h.example", 8443, "/x", True), "h.example:8443"),
        ("https://h:443/", Endpoint("https", "h", 443, "/", True), "h"),
        ("wss://h", Endpoint("https", "h", 443, "/", True), "h"),
        ("http://127.0.0.1:4566", Endpoint("http", "127.0.0.1", 4566, "/", True), "127.0.0.1:4566"),
        ("http://[::1]:80", Endpoint("http", "::1", 80, "/", True), "[::1]"),
        ("https://[2001:db8::1]:9", Endpoint("https", "2001:db8::1", 9, "/", True), "[2001:db8::1]:9"),
    ],
)
def test_overrides(url: str, expected: Endpoint, authority: str) -> None:
    assert parse_override(url, "ssm") == expected
    assert parse_override(url, "ssm").authority == authority


@pytest.mark.parametrize(
    "url",
    [
        "h",
        "",
        "ftp://h",
        "https://",
        "https://u:p@h",
        "https://h?x=1",
        "https://h#x",
        "https://good\\@evil.example/",
        "https://h:0",
        "https://h:99999",
        "https://h:x",
        "https://h\r\nX: y",
        "https://h h",
        "https://[::1",
        "http://localhost:4566",
        "http://127.0.0.1.evil.example",
        "http://10.0.0.1",
        "http://0x7f000001",
        "http://127.1",
    ],
)
def test_unusable_overrides(url: str) -> None:
    with pytest.raises(UsageError):
        parse_override(url, "ssm")


@given(st.text())
def test_any_override_is_usable_or_refused(url: str) -> None:
    try:
        endpoint = parse_override(url, "ssm")
    except UsageError:
        return
    assert endpoint.scheme == "https" or loopback(endpoint.host)
    assert 1 <= endpoint.port <= 65535


def test_resolve_prefers_the_configured_one(tmp_path: object) -> None:
    env = {"HOME": str(tmp_path), "AWS_REGION": "us-gov-east-1", "AWS_USE_FIPS_ENDPOINT": "true"}
    assert resolve(load(env=env), "ssm").host == "ssm.us-gov-east-1.amazonaws.com"
    assert (
        resolve(load(env=env), "ec2-instance-connect").host == "ec2-instance-connect-fips.us-gov-east-1.amazonaws.com"
    )
    env["AWS_ENDPOINT_URL_SSM"] = "https://vpce-1.example"
    assert resolve(load(env=env), "ssm") == Endpoint("https", "vpce-1.example", 443, "/", True)
