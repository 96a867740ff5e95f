"""What the lab answers without a signature: sso-oidc, the SSO portal, sign-in, and the pages a person sees."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

from ssm_ssh.lab.identity.verify import Request
from ssm_ssh.lab.login.identity_center import IdentityCenter
from ssm_ssh.lab.login.oauth import OAuthError
from ssm_ssh.lab.login.pages import Pages
from ssm_ssh.lab.login.sign_in import SignIn
from ssm_ssh.lab.state import LabState
from ssm_ssh.lab.wire.http import Response

# Where the services say which person it is; the token is as good as keys, so it is never logged.
_TOKEN_HEADER = "x-amz-sso_bearer_token"  # noqa: S105 - the name of a header


class Logins:
    """Answers requests by path; `answer` returns None for paths of other services."""

    def __init__(self, state: LabState) -> None:
        self._state = state
        self.pages = Pages(state.password)
        self._center, self._sign_in = IdentityCenter(state, self.pages), SignIn(state, self.pages)
        center, sign_in = self._center, self._sign_in
        self._posts: dict[str, tuple[str, str, Callable[[Request, dict[str, Any]], dict[str, Any]]]] = {
            "/client/register": ("sso-oidc", "RegisterClient", lambda _, v: center.register_client(v)),
            "/device_authorization": (
                "sso-oidc",
                "StartDeviceAuthorization",
                lambda _, v: center.start_device_authorization(v),
            ),
            "/token": ("sso-oidc", "CreateToken", lambda _, v: center.create_token(v)),
            "/v1/token": ("signin", "CreateOAuth2Token", lambda r, v: sign_in.create_token(v, r.value("dpop"))),
        }
        self._gets: dict[str, tuple[str, Callable[[dict[str, str], str], dict[str, Any]]]] = {
            "/federation/credentials": ("GetRoleCredentials", center.get_role_credentials),
            "/assignment/accounts": ("ListAccounts", center.list_accounts),
            "/assignment/roles": ("ListAccountRoles", center.list_account_roles),
        }

    def answer(self, request: Request) -> Response | None:
        """Response one request, None where it is for another service."""
        path, _, query_text = request.target.partition("?")
        query = _fields(query_text)
        try:
            if request.method == "POST" and path in self._posts:
                service, operation, run = self._posts[path]
                return self._call(service, operation, lambda: run(request, _json(request.body)))
            if request.method == "GET" and path in self._gets:
                operation, portal = self._gets[path]
                return self._call("sso", operation, lambda: portal(query, request.value(_TOKEN_HEADER)))
            return self._page(request, path, query)
        except OAuthError as error:
            return self.pages.text(f"{error.name}: {error.code}", error.status)

    def _call(self, service: str, operation: str, run: Callable[[], dict[str, Any]]) -> Response:
        headers = [("Content-Type", "application/json"), ("x-amzn-RequestId", str(uuid.uuid4()))]
        try:
            result, status, error = run(), 200, ""
        except OAuthError as failed:
            status, error = failed.status, failed.name
            headers.append(("x-amzn-ErrorType", failed.name))
            key = "message" if service == "sso" else "error"
            result = {key: failed.code}
            if service == "sso-oidc":
                result["error_description"] = failed.name
            elif service == "signin":
                result["message"] = failed.name
        self._state.log(service, operation, {}, status=status, error=error)
        return Response(status, headers, json.dumps(result).encode())

    def _page(self, request: Request, path: str, query: dict[str, str]) -> Response | None:
        fields = _fields(request.body.decode("ascii", "replace")) if request.method == "POST" else query
        if path in ("/authorize", "/v1/authorize"):
            if request.method != "POST":
                return self.pages.form("Allow this computer to act as you?", path, query)
            if not self.pages.is_person(fields):
                return self.pages.text("That is not the lab's password", 403)
            service = self._center if path == "/authorize" else self._sign_in
            redirect, code = service.authorize(fields)
            values = {"error": "access_denied"} if fields.get("decision") != "allow" else {"code": code}
            return self.pages.redirect(redirect, {**values, "state": fields.get("state", "")})
        if path == "/device":
            if request.method != "POST":
                code = query.get("user_code", "")
                return self.pages.form(f"Allow the device with the code {code}?", path, {"user_code": code})
            if not self.pages.is_person(fields):
                return self.pages.text("That is not the lab's password", 403)
            known = self._center.decide(fields.get("user_code", ""), fields.get("decision", "deny"))
            return self.pages.text("Done" if known else "That code is unknown or has expired", 200 if known else 404)
        if path == "/v1/sessions/confirmation" and request.method == "GET":
            return self.pages.text(self._sign_in.pasted_code(query))
        return None


def _fields(text: str) -> dict[str, str]:
    try:
        return dict(parse_qsl(text, keep_blank_values=True, max_num_fields=100))
    except ValueError:
        return {}


def _json(body: bytes) -> dict[str, Any]:
    try:
        values = json.loads(body or b"{}")
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict):
        raise OAuthError("InvalidRequestException", "invalid_request")
    return values
