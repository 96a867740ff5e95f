"""The pure part of a login in the browser: PKCE, the URL to open, and the request to the loopback address.

https://www.rfc-editor.org/rfc/rfc7636 (PKCE), https://www.rfc-editor.org/rfc/rfc8252 (native applications).
Comments note where AWS's services differ from the standard; the AWS CLI v2 does the same.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from urllib.parse import parse_qs, quote, urlencode, urlsplit

from ssm_ssh.aws.credentials.base64url import unpadded
from ssm_ssh.errors import CredentialsError
from ssm_ssh.startup import NamedTuple
from ssm_ssh.text import printable

CALLBACK_PATH = "/oauth/callback"
# The registered redirect URI: RFC 8252 section 7.3 lets the port differ in each login.
CALLBACK_WITHOUT_PORT = f"http://127.0.0.1{CALLBACK_PATH}"
# Random bytes: RFC 7636 recommends 32, which make 43 characters.
ENTROPY = 32
_STATE_ENTROPY = 16


class Challenge(NamedTuple):
    """The secrets of one login: `verifier` proves who requested the code, `state` that the answer belongs to it."""

    verifier: str
    state: str

    def __repr__(self) -> str:
        return "Challenge()"

    @property
    def code_challenge(self) -> str:
        """The SHA-256 of the verifier, which the URL contains."""
        return unpadded(hashlib.sha256(self.verifier.encode("ascii")).digest())


def challenge(entropy: bytes) -> Challenge:
    """Return the challenge made from `entropy`, 48 random bytes."""
    if len(entropy) != ENTROPY + _STATE_ENTROPY:
        raise ValueError(len(entropy))
    return Challenge(unpadded(entropy[:ENTROPY]), unpadded(entropy[ENTROPY:]))


def sso_authorize_url(
    base: str, *, client_id: str, redirect_uri: str, scopes: tuple[str, ...], secrets: Challenge
) -> str:
    """Return the URL of IAM Identity Center's page; `base` is the sso-oidc endpoint without a path."""
    query = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": redirect_uri,
        "state": secrets.state,
        "code_challenge_method": "S256",
        "scopes": " ".join(scopes),  # plural here, unlike RFC 6749
        "code_challenge": secrets.code_challenge,
    }
    return f"{base}/authorize?{urlencode(query, quote_via=quote)}"


def sign_in_authorize_url(base: str, *, client_id: str, redirect_uri: str, secrets: Challenge) -> str:
    """Return the URL of the console's sign-in page; `base` is the sign-in endpoint without a path."""
    query = {
        "response_type": "code",
        "client_id": client_id,
        "state": secrets.state,
        "code_challenge_method": "SHA-256",  # AWS's name for S256 here
        "scope": "openid",
        "redirect_uri": redirect_uri,
        "code_challenge": secrets.code_challenge,
    }
    return f"{base}/v1/authorize?{urlencode(query, quote_via=quote)}"


def code_of_callback(target: str, secrets: Challenge) -> str | None:
    """Return the authorization code in the target of a browser's request.

    Return None for a request that does not answer this login: with another path, or another `state`, which any page
    could make a browser send. Raises CredentialsError if access was denied.
    """
    parts = urlsplit(target)
    if parts.path != CALLBACK_PATH:
        return None
    return _code(parts.query, secrets)


def code_of_pasted(text: str, secrets: Challenge) -> str | None:
    """Return the code in pasted text, base64 of `state=...&code=...`; None for any other text."""
    compact = "".join(text.split())
    try:
        query = base64.b64decode(compact + "=" * (-len(compact) % 4), altchars=b"-_").decode("utf-8")
    except ValueError:
        return None
    return _code(query, secrets)


def _code(query: str, secrets: Challenge) -> str | None:
    try:
        values = parse_qs(query, max_num_fields=20)
    except ValueError:
        return None
    state = values.get("state", [""])[0]
    if not hmac.compare_digest(state.encode("utf-8", "surrogateescape"), secrets.state.encode()):
        return None
    if "error" in values:
        reason = printable(values.get("error_description", values["error"])[0], 200)
        raise CredentialsError(f"the login was denied in the browser: {reason}", "Log in again and allow the access")
    return values.get("code", [None])[0]
