"""The profile, region, endpoints and certificates of a command: from flags, then environment, then ~/.aws/config.

The order is that of the AWS CLI:
https://docs.aws.amazon.com/cli/latest/userguide/cli-configure-envvars.html
https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html
"""

from __future__ import annotations

import os

from ssm_ssh import names
from ssm_ssh.aws.config.ini import SharedFiles, expand
from ssm_ssh.errors import UsageError
from ssm_ssh.startup import TYPE_CHECKING
from ssm_ssh.values import text_member

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

# The default of every AWS SDK's standard retry mode.
DEFAULT_ATTEMPTS = 3
# Seconds. A route that needs longer to answer a SYN does not carry an SSH session either.
CONNECT_TIMEOUT = 10.0
# Seconds without a byte. StartSession normally answers within one or two.
READ_TIMEOUT = 20.0


class AwsSettings:
    """The settings that `load` returns. They do not change, so that threads and providers may share them.

    `env` and the files hold secrets, which the repr does not show.
    """

    ca_bundle: str | None
    connect_timeout: float
    dualstack: bool
    env: Mapping[str, str]
    explicit_profile: bool
    files: SharedFiles
    fips: bool
    ignore_endpoints: bool
    max_attempts: int
    origin: str
    profile: str | None
    read_timeout: float
    region: str

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
        connect_timeout: float = CONNECT_TIMEOUT,
        read_timeout: float = READ_TIMEOUT,
    ) -> None:
        values = locals()
        for name in self.__slots__:
            object.__setattr__(self, name, values[name])

    def __setattr__(self, name: str, _value: object) -> None:
        raise AttributeError(f"AwsSettings.{name} cannot change: use replace()")

    def __repr__(self) -> str:
        return f"AwsSettings(profile={self.profile!r}, region={self.region!r})"

    def replace(self, **changes: Any) -> AwsSettings:  # noqa: ANN401 - the values of the constructor
        """Return these settings with `changes`."""
        return AwsSettings(**{**{name: getattr(self, name) for name in self.__slots__}, **changes})

    @property
    def profile_name(self) -> str:
        """The profile's name, `default` if none was chosen."""
        return self.profile or "default"

    @property
    def where(self) -> str:
        """Region, profile and what chose them, for a person who may have meant others."""
        chosen = f": {self.origin}" if self.origin else ""
        # As in the AWS CLI, the profile then gives the region and other settings, but not the credentials.
        keys = "; keys of AWS_ACCESS_KEY_ID" if self.profile and self.keys_of_environment else ""
        return f"{self.region} (profile '{self.profile_name}'{chosen}{keys})"

    @property
    def keys_of_environment(self) -> bool:
        """Whether the access key of the environment takes precedence over AWS_PROFILE."""
        return bool(self.env.get("AWS_ACCESS_KEY_ID")) and not self.explicit_profile

    def reread(self) -> AwsSettings:
        """Return these settings with the current contents of the shared files. Raises UsageError."""
        return self.replace(files=SharedFiles(self.env))

    def endpoint_url(self, service: str) -> str | None:
        """Return the configured endpoint URL of `service` (`ssm`, `ec2-instance-connect`, ...), or None.

        The order is AWS_ENDPOINT_URL_<SERVICE>, AWS_ENDPOINT_URL, the profile's `services` section, the profile's
        endpoint_url. Only settings for the gateway (`ssmmessages`) apply to it: a global URL is that of an API, and an
        API that replaces AWS names its gateway in StreamUrl. Raises UsageError for a `services` setting without its
        section.
        """
        if self.ignore_endpoints:
            return None
        everywhere = service != "ssmmessages"
        key = service.replace("-", "_")
        url = self.env.get(f"AWS_ENDPOINT_URL_{key.upper()}")
        if not url and everywhere:
            url = self.env.get("AWS_ENDPOINT_URL")
        if url:
            return url
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
        return text_member(values, "endpoint_url") or None if everywhere else None


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

    `env` defaults to the process's environment, `files` to those that it names. `fallback_region` is used if nothing
    else names a region. `origin` tells in errors how profile and region were chosen. Raises UsageError when a
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
        return (env.get(variable) if variable else None) or text_member(values, name) or None

    region = region or env.get("AWS_REGION") or env.get("AWS_DEFAULT_REGION") or setting("region") or fallback_region
    if not region:
        raise _no_region(chosen, files)
    fips = _true(setting("use_fips_endpoint", "AWS_USE_FIPS_ENDPOINT"))
    if region.startswith("fips-") or region.endswith("-fips"):
        # The pseudo regions of older tools; botocore translates them in the same way.
        region, fips = region.replace("fips-", "").replace("-fips", ""), True
    # The last variable belongs to the requests library; botocore reads it too.
    bundle = ca_bundle or setting("ca_bundle", "AWS_CA_BUNDLE") or env.get("REQUESTS_CA_BUNDLE")
    return AwsSettings(
        profile=chosen,
        explicit_profile=bool(profile),
        region=check_region(region),
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
    """Return `region` if it can be the name of a region. Raises UsageError otherwise."""
    if not names.is_region(region):
        from ssm_ssh.aws.config.regions import suggestion

        raise UsageError(f"'{region[:80]}' is not the name of a region", suggestion(region) or names.REGION_HINT)
    return region


def _true(value: str | None) -> bool:
    return value is not None and value.lower() == "true"


def _attempts(value: str | None) -> int:
    if value is None:
        return DEFAULT_ATTEMPTS
    if not (value.isascii() and value.isdigit() and 1 <= int(value[:9]) <= 1000):
        raise UsageError(f"max_attempts is '{value[:80]}'", "Set it, or AWS_MAX_ATTEMPTS, to a number from 1 to 1000")
    return int(value)


def _no_profile(profile: str, files: SharedFiles) -> UsageError:
    from ssm_ssh.aws.config.cli_hint import configure
    from ssm_ssh.suggest import did_you_mean

    names = sorted(files.profiles)
    shown = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
    return UsageError(
        f"profile '{profile[:80]}' is not in {files.config_path} or {files.credentials_path}{_unread(files)}",
        f"{did_you_mean(profile, names)} Configured profiles: {shown}".strip()
        if names
        else f"Add [profile {profile[:80]}] to {files.config_path} and its keys to {files.credentials_path} "
        f"(docs/getting-started.md shows both), or run: {configure(profile)}",
    )


def _no_region(profile: str | None, files: SharedFiles) -> UsageError:
    from ssm_ssh.aws.config.cli_hint import set_region

    return UsageError(
        "no AWS region: none in AWS_REGION, AWS_DEFAULT_REGION or profile "
        f"'{profile or 'default'}' of {files.config_path}{_unread(files)}",
        f"Run: ssm-ssh setup --region eu-central-1, or set AWS_REGION, or run: {set_region(profile or '')}",
    )


def _unread(files: SharedFiles) -> str:
    return f" (not readable: {', '.join(files.unreadable)})" if files.unreadable else ""
