"""Which profile, region, endpoints and certificates a command uses: flags, then environment, then ~/.aws/config.

The order is that of the AWS CLI:
https://docs.aws.amazon.com/cli/latest/userguide/cli-configure-envvars.html
https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ssm_ssh import names
from ssm_ssh.aws.config.ini import SharedFiles, expand
from ssm_ssh.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

# The default of every AWS SDK's standard retry mode.
DEFAULT_ATTEMPTS = 3
# Seconds. A route that needs longer to answer a SYN does not carry an SSH session either.
CONNECT_TIMEOUT = 10.0
# Seconds without a byte. StartSession normally answers within one or two.
READ_TIMEOUT = 20.0


class AwsSettings:
    """What `load` found. `env` and the files hold secrets: the repr shows none of either."""

    __slots__ = (
        "ca_bundle",
        "connect_timeout",
        "dualstack",
        "env",
        "explicit_profile",
        "files",
        "fips",
        "ignore_endpoints",
        "max_attempts",
        "origin",
        "profile",
        "read_timeout",
        "region",
    )

    def __init__(
        self,
        *,
        profile: str | None,
        explicit_profile: bool,
        region: str,
        files: SharedFiles,
        env: Mapping[str, str],
        ca_bundle: str | None = None,
        fips: bool = False,
        dualstack: bool = False,
        ignore_endpoints: bool = False,
        max_attempts: int = DEFAULT_ATTEMPTS,
        origin: str = "",
    ) -> None:
        self.profile = profile
        self.explicit_profile = explicit_profile
        self.region = region
        self.files = files
        self.env = env
        self.ca_bundle = ca_bundle
        self.fips = fips
        self.dualstack = dualstack
        self.ignore_endpoints = ignore_endpoints
        self.max_attempts = max_attempts
        self.origin = origin
        self.connect_timeout = CONNECT_TIMEOUT
        self.read_timeout = READ_TIMEOUT

    def __repr__(self) -> str:
        return f"AwsSettings(profile={self.profile!r}, region={self.region!r})"

    @property
    def profile_name(self) -> str:
        """The profile's name, `default` where none was chosen."""
        return self.profile or "default"

    @property
    def where(self) -> str:
        """Region, profile and by what they were chosen, for a person who may have meant others."""
        chosen = f": {self.origin}" if self.origin else ""
        # As for the AWS CLI: then the profile gives the region and the rest, and not the credentials.
        keys = "; keys of AWS_ACCESS_KEY_ID" if self.profile and self.keys_of_environment else ""
        return f"{self.region} (profile '{self.profile_name}'{chosen}{keys})"

    @property
    def keys_of_environment(self) -> bool:
        """Whether the environment's access key is used, whatever AWS_PROFILE says."""
        return bool(self.env.get("AWS_ACCESS_KEY_ID")) and not self.explicit_profile

    def reread(self) -> AwsSettings:
        """Return a copy with the files of ~/.aws as they are now; profile and region stay. Raises UsageError."""
        copy = AwsSettings.__new__(AwsSettings)
        for name in AwsSettings.__slots__:
            setattr(copy, name, getattr(self, name))
        copy.files = SharedFiles(self.env)
        return copy

    def endpoint_url(self, service: str) -> str | None:
        """Return the configured endpoint URL of `service` (`ssm`, `ec2-instance-connect`, ...), or None.

        AWS_ENDPOINT_URL_<SERVICE>, AWS_ENDPOINT_URL, the profile's `services` section, the profile's endpoint_url.
        The gateway (`ssmmessages`) takes only what names it: the global URL is that of an API, and an API that
        stands in for AWS tells its gateway's address itself, in StreamUrl. Raises UsageError for a `services`
        setting that names no section.
        """
        if self.ignore_endpoints:
            return None
        everywhere = service != "ssmmessages"
        key = service.replace("-", "_")
        found = self.env.get(f"AWS_ENDPOINT_URL_{key.upper()}")
        if not found and everywhere:
            found = self.env.get("AWS_ENDPOINT_URL")
        if found:
            return found
        values = self.files.profiles.get(self.profile_name, {})
        name = values.get("services")
        if name is not None:
            section = self.files.services.get(str(name))
            if not section:
                raise UsageError(
                    f"profile '{self.profile_name}' names the services section '{name}', which does not exist",
                    f"Add [services {name}] to {self.files.config_path} or remove the setting",
                )
            own = section.get(key)
            if isinstance(own, dict) and own.get("endpoint_url"):
                return own["endpoint_url"]
        url = values.get("endpoint_url")
        return url if everywhere and isinstance(url, str) and url else None


def load(
    *,
    profile: str | None = None,
    region: str | None = None,
    ca_bundle: str | None = None,
    env: Mapping[str, str] | None = None,
    files: SharedFiles | None = None,
    fallback_region: str = "",
    origin: str = "",
) -> AwsSettings:
    """Return the settings for `profile` and `region` as given by flags (None or empty: not given).

    `env` defaults to the process's environment, `files` to those that it names. `fallback_region` holds where nothing
    else names one; `origin` is what errors say of how profile and region were chosen. Raises UsageError when a
    profile, a region or a value is not usable.
    """
    env = os.environ if env is None else env
    files = files or SharedFiles(env)
    # botocore looks at AWS_DEFAULT_PROFILE first, and so does the AWS CLI.
    chosen = profile or env.get("AWS_DEFAULT_PROFILE") or env.get("AWS_PROFILE") or None
    if chosen and chosen not in files.profiles:
        raise _no_profile(chosen, files)
    values = files.profiles.get(chosen or "default", {})

    def setting(name: str, variable: str | None = None) -> str | None:
        found = (env.get(variable) if variable else None) or values.get(name)
        return found if isinstance(found, str) and found else None

    found_region = (
        region or env.get("AWS_REGION") or env.get("AWS_DEFAULT_REGION") or setting("region") or fallback_region
    )
    if not found_region:
        raise _no_region(chosen, files)
    fips = _true(setting("use_fips_endpoint", "AWS_USE_FIPS_ENDPOINT"))
    if found_region.startswith("fips-") or found_region.endswith("-fips"):
        # What the pseudo regions of older tools mean; botocore translates them in the same way.
        found_region, fips = found_region.replace("fips-", "").replace("-fips", ""), True
    # The last is that of the requests library, which botocore takes over.
    bundle = ca_bundle or setting("ca_bundle", "AWS_CA_BUNDLE") or env.get("REQUESTS_CA_BUNDLE")
    return AwsSettings(
        profile=chosen,
        explicit_profile=bool(profile),
        region=check_region(found_region),
        files=files,
        env=env,
        ca_bundle=expand(bundle, env) if bundle else None,
        fips=fips,
        dualstack=_true(setting("use_dualstack_endpoint", "AWS_USE_DUALSTACK_ENDPOINT")),
        ignore_endpoints=_true(setting("ignore_configured_endpoint_urls", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS")),
        max_attempts=_attempts(setting("max_attempts", "AWS_MAX_ATTEMPTS")),
        origin=origin,
    )


def check_region(region: str) -> str:
    """Return `region` when it can be a region's name; raises UsageError otherwise."""
    if not names.is_region(region):
        raise UsageError(f"'{region[:80]}' is not the name of a region", names.REGION_HINT)
    return region


def _true(value: str | None) -> bool:
    return value is not None and value.lower() == "true"


def _attempts(value: str | None) -> int:
    if value is None:
        return DEFAULT_ATTEMPTS
    if not (value.isascii() and value.isdigit() and 1 <= int(value[:9]) <= 1000):
        raise UsageError(f"max_attempts is '{value[:80]}'", "Set AWS_MAX_ATTEMPTS to a number from 1 to 1000")
    return int(value)


def _no_profile(profile: str, files: SharedFiles) -> UsageError:
    from ssm_ssh.aws.config.cli_hint import configure

    names = sorted(files.profiles)
    shown = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
    return UsageError(
        f"profile '{profile[:80]}' is not in {files.config_path} or {files.credentials_path}{_unread(files)}",
        f"Configured profiles: {shown}" if names else f"No profile is configured; run: {configure(profile)}",
    )


def _no_region(profile: str | None, files: SharedFiles) -> UsageError:
    from ssm_ssh.aws.config.cli_hint import set_region

    return UsageError(
        "no AWS region: there is no --region, AWS_REGION, AWS_DEFAULT_REGION, or region in profile "
        f"'{profile or 'default'}' of {files.config_path}{_unread(files)}",
        f"Set one, for example: {set_region(profile or '')}",
    )


def _unread(files: SharedFiles) -> str:
    return f" (not readable: {', '.join(files.unreadable)})" if files.unreadable else ""
