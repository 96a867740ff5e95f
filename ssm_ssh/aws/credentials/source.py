"""AWS credentials: static keys of the environment and the shared files directly, all others through botocore.

The order is that of botocore's default chain, which the AWS CLI uses:
https://docs.aws.amazon.com/cli/latest/userguide/cli-chap-authentication.html#cli-chap-authentication-precedence
Importing botocore takes longer than everything else before the first byte, so static keys are read without it.
"""

from __future__ import annotations

import re
import time

from ssm_ssh.aws.credentials.access_key import checked_credentials
from ssm_ssh.errors import CredentialsError, SsmSshError
from ssm_ssh.startup import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from ssm_ssh.aws.config.settings import AwsSettings
    from ssm_ssh.aws.credentials.access_key import Credentials

# Seconds before their end at which credentials are renewed: AWS may check a signature a little later.
RENEWAL_MARGIN = 120.0
# Profile settings whose provider precedes the static keys of a file in botocore's chain.
_BEFORE_CREDENTIALS_FILE = ("role_arn", "web_identity_token_file", "sso_account_id", "sso_role_name")
_BEFORE_CONFIG_FILE = (*_BEFORE_CREDENTIALS_FILE, "login_session", "credential_process")
# The format in which nearly all tools write AWS_CREDENTIAL_EXPIRATION; others need a parser that is slow to import.
_USUAL_TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:Z|[+-]\d\d:\d\d)"


class CredentialSource:
    """The source of a program's credentials for as long as it runs. Threads may share it.

    Only the first load may ask a person for an MFA code: later, the terminal belongs to the SSH session.
    """

    def __init__(
        self,
        settings: AwsSettings,
        clock: Callable[[], float] = time.time,
        *,
        isolate: bool = False,
        may_ask: bool = True,
    ) -> None:
        """`isolate`: run botocore in a helper process, so that this process need not import it.

        `may_ask`: whether there is a person who may be asked.
        """
        import threading

        self._settings = settings
        self._clock = clock
        self._isolate = isolate
        self._may_ask = may_ask
        self._lock = threading.Lock()
        self._current: Credentials | None = None
        self._chain: Callable[[], Credentials] | None = None

    def __repr__(self) -> str:
        return f"CredentialSource({self._settings!r})"

    def get(self) -> Credentials:
        """Return valid credentials, renewed if necessary. Raises CredentialsError and NetworkError."""
        with self._lock:
            now = self._clock()
            current = self._current
            if current is None or (current.expires is not None and current.expires - RENEWAL_MARGIN <= now):
                current = self._renew(now)
                if current.expires is not None and current.expires <= now:
                    raise _expired(current)
                self._current = current
            return current

    def refresh(self, refused: Credentials) -> Credentials | None:
        """Return other credentials than those that AWS `refused` as expired, or None if there are no others.

        Static keys are read again: a login tool may have renewed the file since.
        """
        with self._lock:
            if self._current is not None and not self._current.same_key(refused):
                return self._current
            self._chain = None
            renewed = self._load(first=False)
            if renewed.same_key(refused):
                return None
            self._current = renewed
            return renewed

    def _renew(self, now: float) -> Credentials:
        current = self._current
        try:
            return self._load(first=current is None)
        except SsmSshError:
            if current is None or current.expires is None or current.expires <= now:
                raise
            return current  # still valid for a moment, which may suffice

    def _load(self, *, first: bool) -> Credentials:
        if not first and self._chain is None:
            self._settings = self._settings.reread()
        credentials = static_credentials(self._settings)
        if credentials is not None:
            return credentials
        if self._chain is None:
            if self._isolate:
                from ssm_ssh.aws.credentials.helper_process import open_chain
            else:
                from ssm_ssh.aws.credentials.botocore_chain import open_chain

            self._chain = open_chain(self._settings, may_ask=first and self._may_ask)
        return self._chain()


def get(settings: AwsSettings) -> Credentials:
    """Return the credentials of `settings`. Raises CredentialsError and NetworkError."""
    return CredentialSource(settings).get()


def static_credentials(settings: AwsSettings) -> Credentials | None:
    """Return static credentials, or None if botocore's chain has to decide."""
    env = settings.env
    # As in botocore: the keys of the environment win, unless the profile was named by a flag.
    if env.get("AWS_ACCESS_KEY_ID") and not settings.explicit_profile:
        return _from_environment(env)
    if not settings.explicit_profile and env.get("AWS_WEB_IDENTITY_TOKEN_FILE"):
        return None
    name = settings.profile_name
    merged = settings.files.profiles.get(name, {})
    if any(key in merged for key in _BEFORE_CREDENTIALS_FILE):
        return None
    credentials = _from_section(settings.files.credentials.get(name, {}), settings.files.credentials_path, name)
    if credentials is not None or any(key in merged for key in _BEFORE_CONFIG_FILE):
        return credentials
    return _from_section(settings.files.own_profiles.get(name, {}), settings.files.config_path, name)


def _from_environment(env: Mapping[str, str]) -> Credentials:
    if not env.get("AWS_SECRET_ACCESS_KEY"):
        raise CredentialsError(
            "AWS_ACCESS_KEY_ID is set but AWS_SECRET_ACCESS_KEY is not", "Set both, or unset AWS_ACCESS_KEY_ID"
        )
    end = env.get("AWS_CREDENTIAL_EXPIRATION")
    return checked_credentials(
        env["AWS_ACCESS_KEY_ID"],
        env["AWS_SECRET_ACCESS_KEY"],
        # botocore has the same order; the first is the older name.
        env.get("AWS_SECURITY_TOKEN") or env.get("AWS_SESSION_TOKEN") or None,
        expires=_timestamp(end) if end else None,
        source="the environment",
    )


def _from_section(values: Mapping[str, object], path: str, profile: str) -> Credentials | None:
    access_key, secret_key = values.get("aws_access_key_id"), values.get("aws_secret_access_key")
    if access_key is None:
        return None
    if not isinstance(access_key, str) or not isinstance(secret_key, str) or not access_key or not secret_key:
        from ssm_ssh.aws.config.cli_hint import configure

        raise CredentialsError(
            f"profile '{profile}' in {path} has an incomplete access key",
            f"Set aws_access_key_id and aws_secret_access_key there, or run: {configure(profile)}",
        )
    token = values["aws_security_token"] if "aws_security_token" in values else values.get("aws_session_token")
    return checked_credentials(
        access_key,
        secret_key,
        token if isinstance(token, str) and token else None,
        source=f"profile '{profile}' in {path}",
    )


def _timestamp(text: str) -> float:
    """Return the value of AWS_CREDENTIAL_EXPIRATION in seconds since the epoch; without a zone it is UTC."""
    from datetime import datetime, timezone

    try:
        usual = re.fullmatch(_USUAL_TIME, text, re.ASCII)
        moment = datetime.fromisoformat(text.replace("Z", "+00:00")) if usual else _any_time(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()
    except (ValueError, OverflowError):
        raise CredentialsError(
            "AWS_CREDENTIAL_EXPIRATION is not a time", "Set it as 2026-01-31T12:00:00Z, or unset it"
        ) from None


def _any_time(text: str) -> datetime:
    """Parse `text` as botocore does. Raises ValueError, for an unknown zone too, and OverflowError."""
    import warnings

    from dateutil import parser  # type: ignore[import-untyped]

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            moment: datetime = parser.parse(text)
        except (Warning, TypeError):
            raise ValueError(text) from None
    return moment


def _expired(credentials: Credentials) -> CredentialsError:
    return CredentialsError(
        f"the AWS credentials from {credentials.source} have expired", "Renew them and connect again"
    )
