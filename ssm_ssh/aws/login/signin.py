"""AWS Sign-In, the service of `login_session` profiles: temporary keys for a person who signs in to the console.

https://docs.aws.amazon.com/signin/latest/APIReference/Welcome.html; pages and the format of
the pasted code, which the model does not describe, follow the AWS CLI v2.
"""

from __future__ import annotations

import base64
import os

from ssm_ssh.aws.credentials import dpop
from ssm_ssh.aws.login import cache, files
from ssm_ssh.aws.login.oauth import sign_in_authorize_url
from ssm_ssh.aws.login.unsigned import Reply, Unsigned
from ssm_ssh.errors import CredentialsError
from ssm_ssh.startup import TYPE_CHECKING
from ssm_ssh.text import printable
from ssm_ssh.values import json_object, text_member

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from typing import Any

    from ssm_ssh.aws.config.login_source import Login
    from ssm_ssh.aws.config.settings import AwsSettings
    from ssm_ssh.aws.login.oauth import Challenge

_SAME_DEVICE = "arn:aws:signin:::devtools/same-device"
_CROSS_DEVICE = "arn:aws:signin:::devtools/cross-device"
_TOKEN_PATH = "/v1/token"  # noqa: S105 - a path


class SignIn:
    """One sign-in of a person, with the browser on this computer or on another (`remote`)."""

    def __init__(
        self,
        settings: AwsSettings,
        login: Login,
        *,
        remote: bool,
        clock: Callable[[], float],
        debug: Callable[[str], None] | None = None,
    ) -> None:
        self._service = Unsigned(settings, "signin", debug)
        self._region = settings.region
        self._login = login
        self._clock = clock
        self._folder = files.sign_in_folder(settings.env)
        self._client_id = _CROSS_DEVICE if remote else _SAME_DEVICE
        self._key = dpop.new_key()

    @property
    def confirmation_uri(self) -> str:
        """The page that shows the code to a browser on another computer."""
        return f"{self._service.base}/v1/sessions/confirmation"

    def url(self, redirect_uri: str, secrets: Challenge) -> str:
        """Return the URL for the browser."""
        return sign_in_authorize_url(
            self._service.base, client_id=self._client_id, redirect_uri=redirect_uri, secrets=secrets
        )

    def redeem(self, code: str, *, verifier: str, redirect_uri: str) -> dict[str, Any]:
        """Return the document for the cache in exchange for the authorization `code`.

        Raises CredentialsError when the code is refused, or when another person than the profile names signed in.
        """
        request = {
            "clientId": self._client_id,
            "grantType": cache.AUTHORIZATION_CODE,
            "code": code,
            "codeVerifier": verifier,
            "redirectUri": redirect_uri,
        }
        url = self._service.base + _TOKEN_PATH
        header = dpop.proof(self._key, url, now=self._clock(), token_id=os.urandom(16).hex())
        reply = self._service.call("CreateOAuth2Token", _TOKEN_PATH, request, {"DPoP": header})
        if reply.code:
            raise self._failed(reply)
        session = _subject(cache.required_text(reply.values, "idToken"))
        if session != self._login.session:
            raise CredentialsError(
                f"you signed in as {printable(session, 200)}, but profile '{self._login.profile}' belongs to "
                f"{printable(self._login.session, 200)}",
                "Sign in as the latter, or set login_session in ~/.aws/config to the former",
            )
        return cache.sign_in_token(
            reply.values,
            client_id=self._client_id,
            account=session.split(":")[4],
            dpop_key=self._key.pem(),
            region=self._region,
            now=self._clock(),
        )

    def keep(self, document: Mapping[str, Any]) -> Path:
        """Store the document where all AWS tools look for it; return the file. Raises StateError."""
        name = cache.sign_in_name(self._login.session)
        files.write_document(self._folder, name, document)
        return self._folder / name

    def _failed(self, reply: Reply) -> CredentialsError:
        if reply.code == "AUTHCODE_EXPIRED":
            return CredentialsError("the code of the sign-in has expired", "Log in again within a few minutes")
        if reply.code == "INSUFFICIENT_PERMISSIONS":
            return CredentialsError(
                "the sign-in is not allowed to get credentials",
                "Ask for signin:AuthorizeOAuth2Access and CreateOAuth2Token",
            )
        reason = f": {reply.description}" if reply.description else ""
        return CredentialsError(
            f"CreateOAuth2Token at {self._service.endpoint.host} failed with {printable(reply.code, 60)}{reason}",
            "Log in again; check this computer's clock",
        )


def _subject(token: str) -> str:
    """Return the ARN of the signed-in person. The token came over TLS, so its signature adds nothing."""
    parts = token.split(".")
    try:
        payload = json_object(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, LookupError):
        payload = None
    subject = text_member(payload or {}, "sub")
    if subject.count(":") < 5:
        raise CredentialsError("the answer to the sign-in does not name the person", "Log in again")
    return subject
