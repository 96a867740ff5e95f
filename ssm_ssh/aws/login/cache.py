"""The documents in which AWS tools keep a login: names and content of the files under ~/.aws, no files themselves.

They are the AWS CLI's and botocore's own, so that all share one login. Facts from botocore's `SSOTokenProvider`,
`SSOTokenLoader` and `LoginCredentialFetcher`, and from the AWS CLI v2's token fetchers.
"""

from __future__ import annotations

import hashlib
import json
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from ssm_ssh.errors import CredentialsError

if TYPE_CHECKING:
    from collections.abc import Mapping

# What clients of the AWS CLI ask for where an sso-session names no scopes.
DEFAULT_SCOPES = ("sso:account:access",)
AUTHORIZATION_CODE, REFRESH_TOKEN = "authorization_code", "refresh_token"
# Seconds before its end at which a registration is not used any more; that of the AWS CLI.
_REGISTRATION_MARGIN = 15 * 60.0
# Seconds since the epoch, of the year 9999: what comes later no datetime can hold.
_LATEST = 253402300799.0


def sso_token_name(start_url: str, session: str) -> str:
    """Return the file name of a token: by the sso-session's name, or by the start URL where there is none."""
    return f"{hashlib.sha1((session or start_url).encode(), usedforsecurity=False).hexdigest()}.json"


def registration_name(start_url: str, region: str, session: str, scopes: tuple[str, ...]) -> str:
    """Return the file name of a client's registration, which is the AWS CLI's too."""
    identity = {
        "tool": "botocore",
        "startUrl": start_url,
        "region": region,
        "scopes": list(scopes) or None,
        "session_name": session or None,
    }
    text = json.dumps(identity, sort_keys=True)
    return f"{hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()}.json"


def sign_in_name(session: str) -> str:
    """Return the file name of a sign-in, `session` being the ARN that `login_session` names."""
    return f"{hashlib.sha256(session.encode()).hexdigest()}.json"


def registration(answer: Mapping[str, Any], *, scopes: tuple[str, ...], with_code: bool) -> dict[str, Any]:
    """Return the document of a registration from RegisterClient's answer. Raises CredentialsError if that lacks it."""
    document: dict[str, Any] = {
        "clientId": text_in(answer, "clientId"),
        "clientSecret": text_in(answer, "clientSecret"),
        "expiresAt": timestamp(_seconds_in(answer, "clientSecretExpiresAt")),
    }
    if scopes:
        document["scopes"] = list(scopes)
    if with_code:
        document["grantTypes"] = [AUTHORIZATION_CODE, REFRESH_TOKEN]
    return document


def usable_registration(document: Mapping[str, Any], now: float, *, with_code: bool) -> bool:
    """Return whether a registration in the cache still serves, for the browser (`with_code`) or a device code."""
    grants = document.get("grantTypes")
    if (isinstance(grants, list) and AUTHORIZATION_CODE in grants) != with_code:
        return False
    if not all(isinstance(document.get(name), str) for name in ("clientId", "clientSecret")):
        return False
    end = moment(document.get("expiresAt"))
    return end is not None and end - now > _REGISTRATION_MARGIN


def sso_token(
    answer: Mapping[str, Any], registered: Mapping[str, Any], *, start_url: str, region: str, now: float
) -> dict[str, Any]:
    """Return the document of a token from CreateToken's answer. Raises CredentialsError if that holds none."""
    document = {
        "startUrl": start_url,
        "region": region,
        "accessToken": text_in(answer, "accessToken"),
        "expiresAt": timestamp(now + _seconds_in(answer, "expiresIn")),
        "clientId": registered["clientId"],
        "clientSecret": registered["clientSecret"],
        "registrationExpiresAt": registered["expiresAt"],
    }
    refresh = answer.get("refreshToken")
    if isinstance(refresh, str) and refresh:
        document["refreshToken"] = refresh
    return document


def sign_in_token(
    answer: Mapping[str, Any], *, client_id: str, account: str, dpop_key: str, region: str, now: float
) -> dict[str, Any]:
    """Return the document of a sign-in from CreateOAuth2Token's answer. Raises CredentialsError if that holds none."""
    keys = answer.get("accessToken")
    if not isinstance(keys, dict):
        raise _incomplete("accessToken")
    return {
        "accessToken": {
            **{name: text_in(keys, name) for name in ("accessKeyId", "secretAccessKey", "sessionToken")},
            "accountId": account,
            "expiresAt": timestamp(now + _seconds_in(answer, "expiresIn")),
        },
        "tokenType": text_in(answer, "tokenType"),
        "clientId": client_id,
        "refreshToken": text_in(answer, "refreshToken"),
        "idToken": text_in(answer, "idToken"),
        "dpopKey": dpop_key,
        "signInRegion": region,
    }


def timestamp(seconds: float) -> str:
    """Return seconds since the epoch as the caches have them: 2026-01-31T12:00:00Z."""
    return datetime.fromtimestamp(min(max(seconds, 0.0), _LATEST), timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def moment(text: object) -> float | None:
    """Return the seconds since the epoch that a cache's time stands for, None for anything else."""
    if not isinstance(text, str):
        return None
    # Older AWS CLIs wrote `UTC` in place of `Z`.
    try:
        when = datetime.fromisoformat(text.replace("UTC", "+00:00").replace("Z", "+00:00"))
    except ValueError:
        return None
    return (when if when.tzinfo else when.replace(tzinfo=timezone.utc)).timestamp()


def text_in(answer: Mapping[str, Any], name: str) -> str:
    """Return the non-empty text `name` of an answer. Raises CredentialsError where there is none."""
    value = answer.get(name)
    if not isinstance(value, str) or not value:
        raise _incomplete(name)
    return value


def _seconds_in(answer: Mapping[str, Any], name: str) -> float:
    value = answer.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value >= 0:
        raise _incomplete(name)
    return float(value)


def _incomplete(name: str) -> CredentialsError:
    return CredentialsError(f"AWS's answer to the login has no {name}", "Log in again")
