"""The documents in which AWS tools store a login: names and contents of files under ~/.aws, without I/O.

The formats are those of the AWS CLI and botocore, so that all tools share one login. They follow botocore's
`SSOTokenProvider`, `SSOTokenLoader` and `LoginCredentialFetcher`, and the AWS CLI v2's token fetchers.
"""

from __future__ import annotations

import hashlib
import json
from datetime import datetime, timezone

from ssm_ssh.errors import CredentialsError
from ssm_ssh.startup import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

# The scopes that the AWS CLI requests if an sso-session names none.
DEFAULT_SCOPES = ("sso:account:access",)
AUTHORIZATION_CODE, REFRESH_TOKEN = "authorization_code", "refresh_token"
# Seconds before its end at which a registration is no longer used, as in the AWS CLI.
_REGISTRATION_MARGIN = 15 * 60.0
# Seconds since the epoch at the end of the year 9999, the latest time of a datetime.
_LATEST = 253402300799.0


def sso_token_name(start_url: str, session: str) -> str:
    """Return the file name of a token, from the sso-session's name or, without one, from the start URL."""
    return f"{hashlib.sha1((session or start_url).encode(), usedforsecurity=False).hexdigest()}.json"


def registration_name(start_url: str, region: str, session: str, scopes: tuple[str, ...]) -> str:
    """Return the file name of a client's registration, which the AWS CLI shares."""
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
    """Return the file name of a sign-in; `session` is the ARN in `login_session`."""
    return f"{hashlib.sha256(session.encode()).hexdigest()}.json"


def registration(answer: Mapping[str, Any], *, scopes: tuple[str, ...], with_code: bool) -> dict[str, Any]:
    """Return the document of a registration from RegisterClient's answer. Raises CredentialsError."""
    document: dict[str, Any] = {
        "clientId": required_text(answer, "clientId"),
        "clientSecret": required_text(answer, "clientSecret"),
        "expiresAt": timestamp(_seconds_in(answer, "clientSecretExpiresAt")),
    }
    if scopes:
        document["scopes"] = list(scopes)
    if with_code:
        document["grantTypes"] = [AUTHORIZATION_CODE, REFRESH_TOKEN]
    return document


def usable_registration(document: Mapping[str, Any], now: float, *, with_code: bool) -> bool:
    """Return whether a cached registration is still valid, for the browser (`with_code`) or a device code."""
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
    """Return the document of a token from CreateToken's answer. Raises CredentialsError if it has none."""
    document = {
        "startUrl": start_url,
        "region": region,
        "accessToken": required_text(answer, "accessToken"),
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
    """Return the document of a sign-in from CreateOAuth2Token's answer. Raises CredentialsError if it has none."""
    keys = answer.get("accessToken")
    if not isinstance(keys, dict):
        raise _incomplete("accessToken")
    return {
        "accessToken": {
            **{name: required_text(keys, name) for name in ("accessKeyId", "secretAccessKey", "sessionToken")},
            "accountId": account,
            "expiresAt": timestamp(now + _seconds_in(answer, "expiresIn")),
        },
        "tokenType": required_text(answer, "tokenType"),
        "clientId": client_id,
        "refreshToken": required_text(answer, "refreshToken"),
        "idToken": required_text(answer, "idToken"),
        "dpopKey": dpop_key,
        "signInRegion": region,
    }


def timestamp(seconds: float) -> str:
    """Return seconds since the epoch in the format of the caches: 2026-01-31T12:00:00Z."""
    return datetime.fromtimestamp(min(max(seconds, 0.0), _LATEST), timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def moment(text: object) -> float | None:
    """Return a cache's time in seconds since the epoch, None for anything else."""
    if not isinstance(text, str):
        return None
    # Older AWS CLIs wrote `UTC` in place of `Z`.
    try:
        when = datetime.fromisoformat(text.replace("UTC", "+00:00").replace("Z", "+00:00"))
    except ValueError:
        return None
    return (when if when.tzinfo else when.replace(tzinfo=timezone.utc)).timestamp()


def required_text(answer: Mapping[str, Any], name: str) -> str:
    """Return the text `name` of an answer. Raises CredentialsError if it is missing or empty."""
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
    return CredentialsError(f"the answer of AWS to the login has no {name}", "Log in again")
