"""IAM Identity Center in the lab: clients, device codes, authorization codes, tokens, and roles for their holders.

The rules are those of AWS's model and of RFC 6749, 7636 and 8628; who knows the lab's password is the one person there.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Any

from ssm_ssh.lab.identity.identities import role_session
from ssm_ssh.lab.login.oauth import OAuthError, verifier_matches
from ssm_ssh.lab.login.pages import Pages
from ssm_ssh.lab.state import LabState

DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
CODE_GRANT, REFRESH_GRANT = "authorization_code", "refresh_token"
ROLE = "Operator"
_CODE_SECONDS, _TOKEN_SECONDS, _CLIENT_SECONDS, _KEYS_SECONDS = 600.0, 3600.0, 90 * 86400.0, 3600.0
# What AWS says, in seconds.
_INTERVAL = 1
_LETTERS = "BCDFGHJKLMNPQRSTVWXZ"
_CALLBACK = "http://127.0.0.1/oauth/callback"


@dataclass
class _Client:
    secret: str = field(repr=False)
    scopes: list[str]
    grants: list[str]
    redirects: list[str]
    expires: float


@dataclass
class _Grant:
    """A device code or an authorization code, before it is exchanged."""

    client: str
    expires: float
    user_code: str = ""
    challenge: str = ""
    redirect: str = ""
    decision: str = ""  # "", "allow", "deny"
    polled: float = 0.0


class IdentityCenter:
    """sso-oidc and the portal (`sso`). Methods raise OAuthError."""

    def __init__(self, state: LabState, pages: Pages) -> None:
        self._state = state
        self._pages = pages
        self.start_url = state.start_url
        self._clients: dict[str, _Client] = {}
        self._grants: dict[str, _Grant] = {}
        self._tokens: dict[str, float] = {}
        self._refresh: dict[str, str] = {}

    def register_client(self, values: dict[str, Any]) -> dict[str, Any]:
        """RegisterClient."""
        if values.get("clientType") != "public" or not values.get("clientName"):
            raise OAuthError("InvalidClientMetadataException", "invalid_client_metadata")
        grants = values.get("grantTypes") or [DEVICE_GRANT, REFRESH_GRANT]
        redirects = values.get("redirectUris") or []
        if not set(grants) <= {DEVICE_GRANT, CODE_GRANT, REFRESH_GRANT}:
            raise OAuthError("UnsupportedGrantTypeException", "unsupported_grant_type")
        if CODE_GRANT in grants and (not redirects or values.get("issuerUrl") != self.start_url):
            raise OAuthError("InvalidRequestException", "invalid_request")
        if any(uri != _CALLBACK for uri in redirects):
            raise OAuthError("InvalidRedirectUriException", "invalid_redirect_uri")
        now = self._state.clock()
        client_id, secret = secrets.token_urlsafe(24), secrets.token_urlsafe(64)
        expires = now + _CLIENT_SECONDS
        self._clients[client_id] = _Client(secret, list(values.get("scopes") or []), grants, redirects, expires)
        return {
            "clientId": client_id,
            "clientSecret": secret,
            "clientIdIssuedAt": int(now),
            "clientSecretExpiresAt": int(expires),
        }

    def start_device_authorization(self, values: dict[str, Any]) -> dict[str, Any]:
        """StartDeviceAuthorization."""
        client = self._client(values)
        if DEVICE_GRANT not in client.grants:
            raise OAuthError("UnauthorizedClientException", "unauthorized_client")
        if values.get("startUrl") != self.start_url:
            raise OAuthError("InvalidRequestException", "invalid_request")
        device_code = secrets.token_urlsafe(48)
        user_code = "-".join("".join(secrets.choice(_LETTERS) for _ in range(4)) for _ in range(2))
        expires = self._state.clock() + _CODE_SECONDS
        self._grants[device_code] = _Grant(values["clientId"], expires, user_code=user_code)
        url = f"{self._pages.base}/device"
        return {
            "deviceCode": device_code,
            "userCode": user_code,
            "verificationUri": url,
            "verificationUriComplete": f"{url}?user_code={user_code}",
            "expiresIn": int(_CODE_SECONDS),
            "interval": _INTERVAL,
        }

    def authorize(self, query: dict[str, str]) -> tuple[str, str]:
        """Return the redirect URI and a new code for a request of a browser, before the person decides."""
        client = self._clients.get(query.get("client_id", ""))
        redirect = query.get("redirect_uri", "")
        if client is None or CODE_GRANT not in client.grants or not _same_but_port(redirect, client.redirects):
            raise OAuthError("InvalidClientException", "invalid_client", 401)
        if (query.get("response_type"), query.get("code_challenge_method")) != ("code", "S256"):
            raise OAuthError("InvalidRequestException", "invalid_request")
        if not query.get("code_challenge") or not set(query.get("scopes", "").split()) <= set(client.scopes):
            raise OAuthError("InvalidScopeException", "invalid_scope")
        code = secrets.token_urlsafe(48)
        expires = self._state.clock() + _CODE_SECONDS
        self._grants[code] = _Grant(
            query["client_id"], expires, challenge=query["code_challenge"], redirect=redirect, decision="allow"
        )
        return redirect, code

    def decide(self, user_code: str, decision: str) -> bool:
        """Note what the person decided about a device; False where there is no such code."""
        for grant in self._grants.values():
            if grant.user_code and secrets.compare_digest(grant.user_code.encode(), user_code.upper().encode()):
                grant.decision = decision
                return grant.expires > self._state.clock()
        return False

    def create_token(self, values: dict[str, Any]) -> dict[str, Any]:
        """CreateToken."""
        client = self._client(values)
        grant_type = values.get("grantType")
        if grant_type not in client.grants:
            raise OAuthError("UnauthorizedClientException", "unauthorized_client")
        if grant_type == REFRESH_GRANT:
            if self._refresh.pop(values.get("refreshToken", ""), None) != values["clientId"]:
                raise OAuthError("InvalidGrantException", "invalid_grant")
        else:
            self._exchange(values, "deviceCode" if grant_type == DEVICE_GRANT else "code")
        token = "aoa" + secrets.token_urlsafe(96)
        self._tokens[token] = self._state.clock() + _TOKEN_SECONDS
        answer = {"accessToken": token, "tokenType": "Bearer", "expiresIn": int(_TOKEN_SECONDS)}
        if "sso:account:access" in client.scopes:
            refresh = "aor" + secrets.token_urlsafe(96)
            self._refresh[refresh] = values["clientId"]
            answer["refreshToken"] = refresh
        return answer

    def get_role_credentials(self, query: dict[str, str], token: str) -> dict[str, Any]:
        """GetRoleCredentials of the portal: new keys for the one role there is."""
        self._check_token(token)
        if (query.get("account_id"), query.get("role_name")) != (self._state.account, ROLE):
            raise OAuthError("ForbiddenException", "No access", 403)
        identity = role_session("sso", self._state.account, f"AWSReservedSSO_{ROLE}", "person", lifetime=_KEYS_SECONDS)
        self._state.identities[identity.access_key] = identity
        keys = {
            "accessKeyId": identity.access_key,
            "secretAccessKey": identity.secret_key,
            "sessionToken": identity.token,
            "expiration": int(identity.expires * 1000),
        }
        return {"roleCredentials": keys}

    def list_accounts(self, _: dict[str, str], token: str) -> dict[str, Any]:
        """ListAccounts of the portal."""
        self._check_token(token)
        account = {"accountId": self._state.account, "accountName": "lab", "emailAddress": "lab@example.com"}
        return {"accountList": [account]}

    def list_account_roles(self, query: dict[str, str], token: str) -> dict[str, Any]:
        """ListAccountRoles of the portal."""
        self._check_token(token)
        if query.get("account_id") != self._state.account:
            raise OAuthError("ForbiddenException", "No access", 403)
        return {"roleList": [{"roleName": ROLE, "accountId": self._state.account}]}

    def _client(self, values: dict[str, Any]) -> _Client:
        client = self._clients.get(str(values.get("clientId")))
        given = str(values.get("clientSecret")).encode()
        if client is None or not secrets.compare_digest(client.secret.encode(), given):
            raise OAuthError("InvalidClientException", "invalid_client", 401)
        if client.expires <= self._state.clock():
            raise OAuthError("InvalidClientException", "invalid_client", 401)
        return client

    def _exchange(self, values: dict[str, Any], name: str) -> None:
        now, code = self._state.clock(), str(values.get(name))
        grant = self._grants.get(code)
        if grant is None or grant.client != values["clientId"] or bool(grant.user_code) != (name == "deviceCode"):
            raise OAuthError("InvalidGrantException", "invalid_grant")
        if grant.expires <= now:
            raise OAuthError("ExpiredTokenException", "expired_token")
        if grant.user_code:
            early, grant.polled = now - grant.polled < 0.9 * _INTERVAL, now
            if early:
                raise OAuthError("SlowDownException", "slow_down")
            if not grant.decision:
                raise OAuthError("AuthorizationPendingException", "authorization_pending")
        del self._grants[code]  # a code is good once
        if grant.decision == "deny":
            raise OAuthError("AccessDeniedException", "access_denied")
        if not grant.user_code and (
            grant.redirect != values.get("redirectUri") or not verifier_matches(grant.challenge, values)
        ):
            raise OAuthError("InvalidGrantException", "invalid_grant")

    def _check_token(self, token: str) -> None:
        if self._tokens.get(token, 0.0) <= self._state.clock():
            raise OAuthError("UnauthorizedException", "Session token not found or invalid", 401)


def _same_but_port(uri: str, registered: list[str]) -> bool:
    host, _, rest = uri.removeprefix("http://").partition(":")
    port, slash, path = rest.partition("/")
    return port.isdigit() and f"http://{host}{slash}{path}" in registered
