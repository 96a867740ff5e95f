"""Credentials of botocore's chain: SSO, roles, MFA, processes, containers and instance metadata.

botocore uses the AWS CLI's cache, so that a role assumed, or an MFA code given, for the CLI serves here too. This
module is imported only when such credentials are needed.
"""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress

import botocore.credentials
import botocore.exceptions as failures
import botocore.session
from botocore.config import Config
from botocore.credentials import create_credential_resolver
from botocore.utils import JSONFileCache

from ssm_ssh.aws.config.cli_hint import configure, whoami
from ssm_ssh.aws.config.ini import expand
from ssm_ssh.aws.config.login_source import profile_with_login, renewal_hint
from ssm_ssh.aws.credentials.access_key import Credentials, checked_credentials
from ssm_ssh.aws.credentials.dpop import CrtEc
from ssm_ssh.aws.credentials.mfa import ask
from ssm_ssh.aws.credentials.relogin import offer_login
from ssm_ssh.errors import CredentialsError, LoginRequired, NetworkError, SsmSshError
from ssm_ssh.startup import TYPE_CHECKING
from ssm_ssh.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ssm_ssh.aws.config.settings import AwsSettings


def open_chain(settings: AwsSettings, *, may_ask: bool) -> Callable[[], Credentials]:
    """Return a function that returns current credentials; botocore renews them before they expire.

    `may_ask`: whether a person may be asked on the terminal, for an MFA code or to log in again. Both this call and
    the function raise CredentialsError and NetworkError. Unlike `settings`, botocore reads the environment of this
    process.
    """
    _sign_without_awscrt()
    if not may_ask or profile_with_login(settings.files, settings.profile_name) is None:
        return _open(settings, may_ask=may_ask)
    try:
        current = _open(settings, may_ask=True)
        current()
    except LoginRequired:
        if not offer_login(settings, lambda: _login_missing(settings)):
            raise
        return _open(settings, may_ask=True)
    return current


def _login_missing(settings: AwsSettings) -> bool:
    try:
        _open(settings, may_ask=False)()
    except LoginRequired:
        return True
    except SsmSshError:
        pass
    return False


def _open(settings: AwsSettings, *, may_ask: bool) -> Callable[[], Credentials]:
    try:
        session = _session(settings)
        cache: Any = _Cache(expand("~/.aws/cli/cache", settings.env))
        resolver = create_credential_resolver(session, cache=cache, region_name=settings.region)
        _keep_off_stdin(resolver, ask if may_ask else _cannot_ask)
        loaded = resolver.load_credentials()
    except SsmSshError:
        raise
    except Exception as error:
        raise _explain(error, settings) from None
    if loaded is None:
        raise _missing(settings)

    def current() -> Credentials:
        try:
            frozen = loaded.get_frozen_credentials()
        except SsmSshError:
            raise
        except Exception as error:
            raise _explain(error, settings) from None
        if not frozen.access_key or not frozen.secret_key:
            raise _missing(settings)
        end = getattr(loaded, "_expiry_time", None)
        return checked_credentials(
            frozen.access_key,
            frozen.secret_key,
            frozen.token or None,
            expires=end.timestamp() if end is not None else None,
            source=f"{loaded.method} (profile '{settings.profile_name}')",
        )

    return current


def _sign_without_awscrt() -> None:
    """Let botocore renew a sign-in (login_session) without awscrt, if that is not installed.

    Tests check that botocore still uses these names. A botocore without sign-in ignores them.
    """
    if getattr(botocore.credentials, "EC", None) is None:
        botocore.credentials.EC = CrtEc  # type: ignore[attr-defined]  # of a newer botocore than its types


def _session(settings: AwsSettings) -> botocore.session.Session:
    # For botocore a profile given as an argument excludes the keys of the environment, and a profile of AWS_PROFILE
    # does not. It must be told which of the two this is.
    session = botocore.session.Session(
        profile=settings.profile if settings.explicit_profile else None,
        session_vars=None if settings.explicit_profile else {"profile": (None, None, settings.profile, None)},
    )
    session.set_config_variable("region", settings.region)
    if settings.ca_bundle:
        session.set_config_variable("ca_bundle", settings.ca_bundle)
    session.set_default_client_config(
        Config(
            connect_timeout=settings.connect_timeout,
            read_timeout=settings.read_timeout,
            retries={"total_max_attempts": settings.max_attempts, "mode": "standard"},
        )
    )
    return session


class _Cache(JSONFileCache):
    """The AWS CLI's cache. In a read-only home directory nothing is cached."""

    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        self._folder = folder

    def __setitem__(self, key: str, value: Any) -> None:  # noqa: ANN401 - as in botocore
        with suppress(OSError):
            os.makedirs(self._folder, mode=0o700, exist_ok=True)  # noqa: PTH103
            super().__setitem__(key, value)


def _keep_off_stdin(resolver: Any, prompter: Callable[[str], str]) -> None:  # noqa: ANN401 - reaches into botocore
    """Keep botocore's prompt and its child processes away from stdin, which carries the bytes that ssh sends.

    botocore has parameters for both but does not pass them on. Tests check that it still uses these names.
    """
    roles = resolver.get_provider("assume-role")
    roles._prompter = prompter
    builder = roles._profile_provider_builder
    make = builder._create_process_provider

    def silent(provider: Any) -> Any:  # noqa: ANN401
        provider._popen = _start
        return provider

    silent(resolver.get_provider("custom-process"))
    builder._create_process_provider = lambda profile_name: silent(make(profile_name))


class _Program(subprocess.Popen[bytes]):
    """A profile's `credential_process`, which ends when the wait for its answer is abandoned."""

    def communicate(self, *args: Any, **kwargs: Any) -> tuple[bytes, bytes]:  # noqa: ANN401 - as in subprocess
        try:
            return super().communicate(*args, **kwargs)
        except BaseException:
            self.terminate()  # not killed: it may have to restore the terminal
            raise


def _start(arguments: list[str], **how: Any) -> subprocess.Popen[bytes]:  # noqa: ANN401
    return _Program(arguments, stdin=subprocess.DEVNULL, **how)


def _cannot_ask(_prompt: str) -> str:
    raise CredentialsError(
        "the role's session has ended, and the next needs an MFA code", "Close this connection and connect again"
    )


def _missing(settings: AwsSettings) -> CredentialsError:
    name = settings.profile_name
    unread = f" (not readable: {', '.join(settings.files.unreadable)})" if settings.files.unreadable else ""
    return CredentialsError(
        f"no AWS credentials in the environment, for profile '{name}' in {settings.files.config_path} and "
        f"{settings.files.credentials_path}, or from container or instance metadata{unread}",
        f"Choose another profile with AWS_PROFILE, or add [{name}] with aws_access_key_id and aws_secret_access_key "
        f"to {settings.files.credentials_path}, or run: {configure(settings.profile or '')}",
    )


def _explain(error: Exception, settings: AwsSettings) -> SsmSshError:
    """Return the error for an exception of a provider."""
    name = settings.profile_name
    reason = printable(error)
    if isinstance(error, (failures.SSOError, failures.TokenRetrievalError)):
        return LoginRequired(
            f"the SSO session of profile '{name}' has expired or does not exist",
            renewal_hint(settings),
        )
    if isinstance(error, failures.LoginInsufficientPermissions):
        return CredentialsError(
            f"the sign-in of profile '{name}' may not get credentials", "Ask for signin:CreateOAuth2Token"
        )
    if isinstance(error, failures.LoginError):
        return LoginRequired(f"the login of profile '{name}' has expired or does not exist", renewal_hint(settings))
    if isinstance(error, failures.RefreshWithMFAUnsupportedError):
        return CredentialsError(
            "the role's session has ended, and the next needs an MFA code",
            "Close this connection and connect again",
        )
    if isinstance(error, failures.ClientError):
        return _from_sts(error, settings)
    if isinstance(error, failures.SSLError):
        return CredentialsError(
            f"the TLS certificate of the credential service did not verify: {reason}", "Check AWS_CA_BUNDLE"
        )
    if isinstance(error, (failures.ConnectionError, failures.HTTPClientError)):
        return NetworkError(f"the credential service cannot be reached: {reason}", "Check the network and HTTPS_PROXY")
    return CredentialsError(
        f"no credentials for profile '{name}': {reason or type(error).__name__}",
        f"Check it with: {whoami(name)}",
    )


def _from_sts(error: failures.ClientError, settings: AwsSettings) -> CredentialsError:
    name = settings.profile_name
    details = error.response.get("Error", {})
    code, message = printable(details.get("Code", "")), printable(details.get("Message", ""))
    operation = printable(getattr(error, "operation_name", ""))
    if operation == "CreateOAuth2Token":
        return LoginRequired(f"the login of profile '{name}' cannot be renewed: {code}", renewal_hint(settings))
    if code in {"ExpiredToken", "ExpiredTokenException"}:
        hint = renewal_hint(settings)
    elif "MultiFactorAuthentication" in message:
        hint = "Wait for the next MFA code: this one was wrong, old or used before"
    elif operation == "GetRoleCredentials":
        hint = f"Check sso_account_id and sso_role_name in profile '{name}'"
    elif code in {"AccessDenied", "AccessDeniedException"}:
        from ssm_ssh.aws.credentials.denial import read_denial

        message = read_denial(str(details.get("Message", ""))).text or message
        hint = f"Check role_arn in profile '{name}' and the role's trust policy"
    else:
        hint = f"Check it with: {whoami(name)}"
    return CredentialsError(f"{operation} for profile '{name}' failed: {code}: {message}", hint)
