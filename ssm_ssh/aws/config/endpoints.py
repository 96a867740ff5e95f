"""The endpoints of services: AWS's host names by partition, and the overrides that users configure.

The table follows the endpoint rules that AWS publishes with botocore; tests compare both for every region.
https://docs.aws.amazon.com/general/latest/gr/rande.html
"""

from __future__ import annotations

import re

from ssm_ssh.errors import UsageError
from ssm_ssh.startup import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from ssm_ssh.aws.config.settings import AwsSettings


class Partition(NamedTuple):
    """A set of regions with separate accounts and host names; `regions` is the pattern of their names."""

    name: str
    regions: str
    suffix: str
    dual_suffix: str


_AWS = Partition("aws", r"(us|eu|ap|sa|ca|me|af|il|mx)-\w+-\d+", "amazonaws.com", "api.aws")
_PARTITIONS = (
    _AWS,
    Partition("aws-cn", r"cn-\w+-\d+", "amazonaws.com.cn", "api.amazonwebservices.com.cn"),
    Partition("aws-us-gov", r"us-gov-\w+-\d+", "amazonaws.com", "api.aws"),
    Partition("aws-eusc", r"eusc-(de)-\w+-\d+", "amazonaws.eu", "api.amazonwebservices.eu"),
    Partition("aws-iso", r"us-iso-\w+-\d+", "c2s.ic.gov", "api.aws.ic.gov"),
    Partition("aws-iso-b", r"us-isob-\w+-\d+", "sc2s.sgov.gov", "api.aws.scloud"),
    Partition("aws-iso-e", r"eu-isoe-\w+-\d+", "cloud.adc-e.uk", "api.cloud-aws.adc-e.uk"),
    Partition("aws-iso-f", r"us-isof-\w+-\d+", "csp.hci.ic.gov", "api.aws.hci.ic.gov"),
)
# In GovCloud the ordinary endpoints of these services are FIPS endpoints.
_GOV_FIPS = frozenset({"ssm", "ssmmessages", "sts", "ec2", "oidc", "logs"})
# Services whose host names begin with another name than their endpoint settings.
_HOST_PREFIX = {"sso-oidc": "oidc"}
# The domains of sign-in by partition, which are those of the console.
_SIGN_IN = {
    "aws": "signin.aws.amazon.com",
    "aws-cn": "signin.amazonaws.cn",
    "aws-us-gov": "signin.amazonaws-us-gov.com",
    "aws-eusc": "signin.amazonaws-eusc.eu",
    "aws-iso": "signin.c2shome.ic.gov",
    "aws-iso-b": "signin.sc2shome.sgov.gov",
    "aws-iso-e": "signin.csphome.adc-e.uk",
    "aws-iso-f": "signin.csphome.hci.ic.gov",
}


class Endpoint(NamedTuple):
    """The address of a service; `override`: the user configured it."""

    scheme: str
    host: str
    port: int
    path: str
    override: bool

    @property
    def authority(self) -> str:
        """The value of the Host header: without a default port, with an IPv6 address in brackets."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.scheme == "https" else 80) else f"{host}:{self.port}"


def partition(region: str) -> Partition:
    """Return the partition of `region`; as in botocore, an unknown region belongs to `aws`."""
    return next((known for known in _PARTITIONS if re.fullmatch(known.regions, region)), _AWS)


def is_region(name: str) -> bool:
    """Return whether `name` follows the patterns of region names, as future regions will too."""
    return any(re.fullmatch(known.regions, name) for known in _PARTITIONS)


def host(service: str, region: str, *, fips: bool = False, dualstack: bool = False) -> str:
    """Return AWS's host name for `service` in `region`."""
    where = partition(region)
    if service == "signin":  # one site, without variants for FIPS and dual stack
        return f"{region}.{_SIGN_IN[where.name]}"
    if service == "iam":
        from ssm_ssh.aws.config.global_endpoints import IAM

        return IAM[where.name].fips_host if fips else IAM[where.name].host
    service = _HOST_PREFIX.get(service, service)
    gov = where.name == "aws-us-gov" and not dualstack and service in _GOV_FIPS
    name = f"{service}-fips" if fips and not gov else service
    return f"{name}.{region}.{where.dual_suffix if dualstack else where.suffix}"


def signing_region(service: str, region: str) -> str:
    """Return the region that a request to `service` is signed for: `region`, but for IAM, which is global."""
    if service != "iam":
        return region
    from ssm_ssh.aws.config.global_endpoints import IAM

    return IAM[partition(region).name].region


def resolve(settings: AwsSettings, service: str) -> Endpoint:
    """Return the configured endpoint of `service`, else AWS's. Raises UsageError for a bad URL."""
    url = settings.endpoint_url(service)
    if url:
        return parse_override(url, service)
    name = host(service, settings.region, fips=settings.fips, dualstack=settings.dualstack)
    return Endpoint("https", name, 443, "/", override=False)


def stream_hosts(region: str) -> tuple[str, ...]:
    """Return the host names that a StreamUrl of `region` may have: standard, FIPS, and both with dual stack."""
    return tuple(
        dict.fromkeys(
            host("ssmmessages", region, fips=fips, dualstack=dualstack)
            for dualstack in (False, True)
            for fips in (False, True)
        )
    )


def parse_override(url: str, service: str) -> Endpoint:
    """Parse a configured `url`.

    Raises UsageError unless it is https (or wss), or unencrypted to a literal loopback address: requests and responses
    carry session tokens.
    """
    from urllib.parse import urlsplit

    where = f"the endpoint URL of {service}"
    if "\\" in url or not url.isascii() or not url.isprintable() or " " in url:
        raise UsageError(f"{where} contains characters that no URL has", "Use https://HOST[:PORT]")
    try:
        parts = urlsplit(url)
        name, port = parts.hostname or "", parts.port
    except ValueError:
        name, port, parts = "", None, urlsplit("")
    scheme = {"https": "https", "wss": "https", "http": "http", "ws": "http"}.get(parts.scheme)
    if not scheme or not name or parts.query or parts.fragment or "@" in parts.netloc or port == 0:
        raise UsageError(f"{where} cannot be used", "Use https://HOST[:PORT] without user, query or fragment")
    if scheme == "http" and not loopback(name):
        raise UsageError(f"{where} is not encrypted", "Use https://; http:// is allowed for 127.0.0.1 and [::1]")
    return Endpoint(scheme, name, port or (443 if scheme == "https" else 80), parts.path or "/", override=True)


def loopback(name: str) -> bool:
    """Return whether `name` is a literal loopback address, and not a name such as localhost."""
    from ssm_ssh.transport.stream_url import is_loopback

    return is_loopback(name)
