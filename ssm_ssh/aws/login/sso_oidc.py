"""IAM Identity Center's token service (sso-oidc): register a client, and get a token by browser or device code.

https://docs.aws.amazon.com/singlesignon/latest/OIDCAPIReference/Welcome.html
"""

from __future__ import annotations

from ssm_ssh.aws.login import cache, device_code, files
from ssm_ssh.aws.login.oauth import CALLBACK_WITHOUT_PORT
from ssm_ssh.aws.login.unsigned import Reply, Unsigned
from ssm_ssh.errors import CredentialsError, NetworkError, NotTrusted, ProxyRefused
from ssm_ssh.startup import TYPE_CHECKING
from ssm_ssh.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from typing import Any

    from ssm_ssh.aws.config.login_source import Login
    from ssm_ssh.aws.config.settings import AwsSettings

_DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"
# Polls in a row without an answer before giving up: half a minute, because each doubles the interval.
_MOST_UNREACHABLE = 5
# The codes for a registration that the service no longer knows.
_UNKNOWN_CLIENT = frozenset({"invalid_client", "unauthorized_client"})


class DeviceAuthorization:
    """A device code, and the user code and page for a person."""

    def __init__(self, answer: Mapping[str, Any], now: float) -> None:
        """Raises CredentialsError for an incomplete answer."""
        self.device_code = cache.required_text(answer, "deviceCode")
        self.user_code = printable(cache.required_text(answer, "userCode"), 40)
        self.url = printable(cache.required_text(answer, "verificationUri"), 2000)
        self.complete_url = printable(answer.get("verificationUriComplete") or self.url, 2000)
        expires, interval = answer.get("expiresIn"), answer.get("interval")
        self.wait = device_code.device_wait(
            now,
            expires_in=float(expires) if isinstance(expires, int) else 600.0,
            interval=float(interval) if isinstance(interval, int) else None,
        )


class SsoOidc:
    """The token service of one login, which stores tokens and registrations in the AWS CLI's cache."""

    def __init__(
        self,
        settings: AwsSettings,
        login: Login,
        *,
        clock: Callable[[], float],
        debug: Callable[[str], None] | None = None,
    ) -> None:
        self._service = Unsigned(settings, "sso-oidc", debug)
        self._login = login
        self._clock = clock
        self._folder: Path = files.sso_folder(settings.env)
        self._with_code = False
        self._registration: dict[str, Any] = {}

    @property
    def base(self) -> str:
        """The service's URL, for its page /authorize."""
        return self._service.base

    @property
    def client_id(self) -> str:
        """The id of the registered client."""
        return str(self._registration["clientId"])

    @property
    def scopes(self) -> tuple[str, ...]:
        """The scopes to request in the browser."""
        return self._login.scopes or cache.DEFAULT_SCOPES

    def register(self, *, with_code: bool, again: bool = False) -> None:
        """Register a client for the browser (`with_code`) or a device code, or use the cached registration.

        `again`: the service has refused the cached registration.
        """
        login = self._login
        self._with_code = with_code
        name = cache.registration_name(login.start_url, login.region, login.session, login.scopes)
        cached = files.read_document(self._folder, name)
        if not again and cache.usable_registration(cached, self._clock(), with_code=with_code):
            self._registration = cached
            return
        scopes = self.scopes if with_code else login.scopes
        request: dict[str, Any] = {
            "clientName": f"ssm-ssh-{login.session or int(self._clock())}",
            "clientType": "public",
        }
        if with_code:
            request["grantTypes"] = [cache.AUTHORIZATION_CODE, cache.REFRESH_TOKEN]
            request["redirectUris"] = [CALLBACK_WITHOUT_PORT]
            request["issuerUrl"] = login.start_url
        if scopes:
            request["scopes"] = list(scopes)
        reply = self._service.call("RegisterClient", "/client/register", request, {})
        if reply.code:
            raise self._failed("RegisterClient", reply)
        self._registration = cache.registration(reply.values, scopes=scopes, with_code=with_code)
        files.write_document(self._folder, name, self._registration)

    def start_device(self) -> DeviceAuthorization:
        """Return a new device code."""
        reply = self._start_device()
        if reply.code in _UNKNOWN_CLIENT:
            self.register(with_code=False, again=True)
            reply = self._start_device()
        if reply.code:
            raise self._failed("StartDeviceAuthorization", reply)
        return DeviceAuthorization(reply.values, self._clock())

    def poll_device(self, authorization: DeviceAuthorization, sleep: Callable[[float], None]) -> dict[str, Any]:
        """Return the token once a person has entered the code.

        Raises CredentialsError when the code has expired or the person refused, and what a call raises.
        """
        wait = authorization.wait
        unreachable = 0
        while (pause := wait.pause(self._clock())) is not None:
            sleep(pause)
            try:
                outcome = self._poll_once(authorization)
                unreachable = 0
            except NetworkError as error:
                unreachable += 1
                if unreachable >= _MOST_UNREACHABLE or isinstance(error, (NotTrusted, ProxyRefused)):
                    raise
                outcome = device_code.UNREACHABLE
            if isinstance(outcome, dict):
                return self._token(outcome)
            wait = wait.after(outcome, self._clock())
        raise _expired()

    def redeem(self, code: str, *, verifier: str, redirect_uri: str) -> dict[str, Any]:
        """Return the token for the authorization `code` of the browser."""
        reply = self._create_token(cache.AUTHORIZATION_CODE, code=code, codeVerifier=verifier, redirectUri=redirect_uri)
        if reply.code:
            raise self._failed("CreateToken", reply)
        return self._token(reply.values)

    def keep(self, token: Mapping[str, Any]) -> Path:
        """Store `token` where all AWS tools look for it; return the file. Raises StateError."""
        name = cache.sso_token_name(self._login.start_url, self._login.session)
        files.write_document(self._folder, name, token)
        return self._folder / name

    def _start_device(self) -> Reply:
        request = {
            "clientId": self._registration["clientId"],
            "clientSecret": self._registration["clientSecret"],
            "startUrl": self._login.start_url,
        }
        return self._service.call("StartDeviceAuthorization", "/device_authorization", request, {})

    def _poll_once(self, authorization: DeviceAuthorization) -> dict[str, Any] | str:
        reply = self._create_token(_DEVICE_CODE, deviceCode=authorization.device_code)
        if not reply.code:
            return reply.values
        if reply.code in (device_code.PENDING, device_code.SLOWER):
            return reply.code
        if reply.status >= 500:
            return device_code.UNREACHABLE
        raise self._failed("CreateToken", reply)

    def _create_token(self, grant: str, **fields: str) -> Reply:
        request = {
            "clientId": self._registration["clientId"],
            "clientSecret": self._registration["clientSecret"],
            "grantType": grant,
            **fields,
        }
        return self._service.call("CreateToken", "/token", request, {})

    def _token(self, answer: Mapping[str, Any]) -> dict[str, Any]:
        login = self._login
        return cache.sso_token(
            answer, self._registration, start_url=login.start_url, region=login.region, now=self._clock()
        )

    def _failed(self, operation: str, reply: Reply) -> CredentialsError:
        if reply.code == "expired_token":
            return _expired()
        if reply.code == "access_denied":
            return CredentialsError("the login was denied in the browser", "Log in again and allow the access")
        if reply.code in _UNKNOWN_CLIENT and operation == "CreateToken":
            return CredentialsError(
                "IAM Identity Center no longer knows this client", "Log in again with --new-registration"
            )
        reason = f": {reply.description}" if reply.description else ""
        return CredentialsError(
            f"{operation} at {self._service.endpoint.host} failed with {printable(reply.code, 60)}{reason}",
            "Check sso_start_url and sso_region",
        )


def _expired() -> CredentialsError:
    return CredentialsError("the login was not confirmed in time", "Log in again and confirm it in the browser")
