"""The lab's IAM Identity Center and sign-in are as strict as AWS's, and serve only the lab's person."""

from __future__ import annotations

import hashlib
import secrets
import time
import urllib.error
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import parse_qs, urlsplit

import pytest

from ssm_ssh.aws.config.settings import load
from ssm_ssh.aws.credentials import dpop
from ssm_ssh.aws.login.oauth import Challenge, challenge, sign_in_authorize_url, sso_authorize_url, unpadded
from ssm_ssh.aws.login.unsigned import Unsigned
from tests.loginlab import LoginLab, running

REDIRECT = "http://127.0.0.1:1/oauth/callback"
# Values as JSON has them, the wrong ones included.
Dynamic: TypeAlias = Any
DEVICE = "urn:ietf:params:oauth:grant-type:device_code"


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[LoginLab]:
    with running(tmp_path) as lab:
        yield lab


def call(lab: LoginLab, path: str, headers: dict[str, str] | None = None, /, **values: Dynamic) -> dict[str, Any]:
    """Return the answer, with `error` where it is one."""
    settings = load(env=lab.env, region=lab.state.region)
    return Unsigned(settings, "sso-oidc").call("X", path, values, headers or {}).values


def registered(lab: LoginLab, *, with_code: bool = True, **changes: Dynamic) -> dict[str, str]:
    values: dict[str, Any] = {"clientName": "test", "clientType": "public", "scopes": ["sso:account:access"]}
    if with_code:
        values |= {
            "grantTypes": ["authorization_code", "refresh_token"],
            "redirectUris": ["http://127.0.0.1/oauth/callback"],
            "issuerUrl": lab.state.start_url,
        }
    answer = call(lab, "/client/register", **{**values, **changes})
    return {name: answer[name] for name in ("clientId", "clientSecret")} if "clientId" in answer else answer


def redirected(lab: LoginLab, url: str, password: str | None = None) -> str:
    """Visit a page whose redirect leads to a port where there is nothing; return the code of that redirect."""
    from ssm_ssh.lab.login import browser

    class Stop(Exception):
        pass

    class Keep(browser.urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *arguments: Dynamic) -> None:
            raise Stop(arguments[-1])

    real = browser.urllib.request.build_opener
    browser.urllib.request.build_opener = lambda *handlers: real(Keep, *handlers)  # type: ignore[assignment]
    try:
        lab.visit(url, password=password)
    except Stop as stop:
        return parse_qs(urlsplit(stop.args[0]).query)["code"][0]
    finally:
        browser.urllib.request.build_opener = real
    raise AssertionError


def some_secrets() -> Challenge:
    return challenge(secrets.token_bytes(48))


def authorized(lab: LoginLab, client: dict[str, str], hidden: Challenge, **changes: Dynamic) -> str:
    url = sso_authorize_url(
        lab.url,
        **{"client_id": client["clientId"], "redirect_uri": REDIRECT, "scopes": ("sso:account:access",), **changes},
        secrets=hidden,
    )
    return redirected(lab, url)


def exchange(lab: LoginLab, client: dict[str, str], code: str, hidden: Challenge, **changes: Dynamic) -> dict[str, Any]:
    values = {"grantType": "authorization_code", "code": code, "codeVerifier": hidden.verifier, "redirectUri": REDIRECT}
    return call(lab, "/token", **{**client, **values, **changes})


def test_a_code_is_valid_once_and_for_its_client_only(lab: LoginLab) -> None:
    client, hidden = registered(lab), some_secrets()
    code = authorized(lab, client, hidden)
    assert exchange(lab, registered(lab), code, hidden)["error"] == "invalid_grant"
    assert exchange(lab, client, code, hidden)["accessToken"]
    assert exchange(lab, client, code, hidden)["error"] == "invalid_grant"


@pytest.mark.parametrize(
    "wrong", [{"codeVerifier": "x" * 43}, {"redirectUri": REDIRECT.replace(":1/", ":2/")}, {"codeVerifier": ""}]
)
def test_a_code_without_its_verifier_is_void(lab: LoginLab, wrong: dict[str, str]) -> None:
    client, hidden = registered(lab), some_secrets()
    code = authorized(lab, client, hidden)
    assert exchange(lab, client, code, hidden, **wrong)["error"] == "invalid_grant"
    assert exchange(lab, client, code, hidden)["error"] == "invalid_grant"


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"redirectUris": ["http://evil.example/oauth/callback"]}, "invalid_redirect_uri"),
        ({"redirectUris": []}, "invalid_request"),
        ({"issuerUrl": "https://d-0000000000.awsapps.com/start"}, "invalid_request"),
        ({"grantTypes": ["password"]}, "unsupported_grant_type"),
        ({"clientType": "confidential"}, "invalid_client_metadata"),
    ],
)
def test_registrations_that_are_refused(lab: LoginLab, changes: dict[str, Any], error: str) -> None:
    assert registered(lab, **changes)["error"] == error


@pytest.mark.parametrize(
    "changes",
    [
        {"redirect_uri": "http://127.0.0.1/oauth/callback"},
        {"redirect_uri": "http://evil.example:1/oauth/callback"},
        {"client_id": "x"},
        {"scopes": ("sso:everything",)},
    ],
)
def test_pages_that_lead_nowhere(lab: LoginLab, changes: dict[str, Any]) -> None:
    with pytest.raises(urllib.error.HTTPError):
        authorized(lab, registered(lab), some_secrets(), **changes)


def test_another_user_of_the_machine_is_not_the_person(lab: LoginLab) -> None:
    client = registered(lab, with_code=False)
    device = call(lab, "/device_authorization", **client, startUrl=lab.state.start_url)
    url = sso_authorize_url(
        lab.url,
        client_id=registered(lab)["clientId"],
        redirect_uri=REDIRECT,
        scopes=("sso:account:access",),
        secrets=some_secrets(),
    )
    for page in (device["verificationUriComplete"], url):
        with pytest.raises(urllib.error.HTTPError, match="403"):
            redirected(lab, page, password="guess")
    answer = call(lab, "/token", **client, grantType=DEVICE, deviceCode=device["deviceCode"])
    assert answer["error"] == "authorization_pending"


def test_a_client_that_polls_too_often_is_slowed_down(lab: LoginLab) -> None:
    client = registered(lab, with_code=False)
    device = call(lab, "/device_authorization", **client, startUrl=lab.state.start_url)
    code = {"grantType": DEVICE, "deviceCode": device["deviceCode"]}
    assert call(lab, "/token", **client, **code)["error"] == "authorization_pending"
    assert call(lab, "/token", **client, **code)["error"] == "slow_down"
    lab.early += 1.0
    assert call(lab, "/token", **client, **code)["error"] == "authorization_pending"
    lab.early += 600.0
    assert call(lab, "/token", **client, **code)["error"] == "expired_token"


def test_a_refresh_token_is_good_once_and_a_token_for_an_hour(lab: LoginLab) -> None:
    client, hidden = registered(lab), some_secrets()
    first = exchange(lab, client, authorized(lab, client, hidden), hidden)
    refresh = {"grantType": "refresh_token", "refreshToken": first["refreshToken"]}
    assert call(lab, "/token", **client, **refresh)["refreshToken"] != first["refreshToken"]
    assert call(lab, "/token", **client, **refresh)["error"] == "invalid_grant"
    query = {"account_id": lab.state.account, "role_name": "Operator"}
    center = lab.api.logins._center
    assert center.get_role_credentials(query, first["accessToken"])
    lab.early += 3600.0
    with pytest.raises(Exception, match="UnauthorizedException"):
        center.get_role_credentials(query, first["accessToken"])


class TestSignIn:
    CLIENT = "arn:aws:signin:::devtools/same-device"

    def ask(self, lab: LoginLab, key: dpop.DpopKey, values: dict[str, str], **changes: Dynamic) -> dict[str, Any]:
        proof = {"now": time.time(), "token_id": secrets.token_hex(), "url": f"{lab.url}/v1/token", **changes}
        header = dpop.proof(key, proof.pop("url"), **proof)
        return call(lab, "/v1/token", {"DPoP": header}, clientId=self.CLIENT, **values)

    def code(self, lab: LoginLab, hidden: Challenge) -> dict[str, str]:
        url = sign_in_authorize_url(lab.url, client_id=self.CLIENT, redirect_uri=REDIRECT, secrets=hidden)
        return {
            "grantType": "authorization_code",
            "code": redirected(lab, url),
            "codeVerifier": hidden.verifier,
            "redirectUri": REDIRECT,
        }

    def test_a_refresh_token_serves_the_key_it_is_bound_to(self, lab: LoginLab) -> None:
        key = dpop.new_key()
        answer = self.ask(lab, key, self.code(lab, some_secrets()))
        refresh = {"grantType": "refresh_token", "refreshToken": answer["refreshToken"]}
        renewed = self.ask(lab, key, refresh)
        assert renewed["accessToken"] != answer["accessToken"]
        again = {**refresh, "refreshToken": renewed["refreshToken"]}
        assert self.ask(lab, dpop.new_key(), again)["error"] == "TOKEN_EXPIRED"

    def test_a_refresh_token_ends_after_twelve_hours(self, lab: LoginLab) -> None:
        key = dpop.new_key()
        answer = self.ask(lab, key, self.code(lab, some_secrets()))
        lab.early += 12 * 3600.0
        refresh = {"grantType": "refresh_token", "refreshToken": answer["refreshToken"]}
        assert self.ask(lab, key, refresh, now=time.time() + lab.early)["error"] == "TOKEN_EXPIRED"

    @pytest.mark.parametrize("changes", [{"now": 0.0}, {"url": "https://127.0.0.1/v1/token"}])
    def test_a_proof_for_another_time_or_place(self, lab: LoginLab, changes: dict[str, Any]) -> None:
        assert self.ask(lab, dpop.new_key(), self.code(lab, some_secrets()), **changes)["error"] == "INVALID_REQUEST"

    def test_a_proof_is_good_once_and_unchanged(self, lab: LoginLab) -> None:
        key = dpop.new_key()
        assert "accessToken" in self.ask(lab, key, self.code(lab, some_secrets()), token_id="once")
        assert self.ask(lab, key, self.code(lab, some_secrets()), token_id="once")["error"] == "INVALID_REQUEST"
        header = dpop.proof(key, f"{lab.url}/v1/token", now=time.time(), token_id="x")
        head, body, _ = header.split(".")
        forged = f"{head}.{body}.{unpadded(hashlib.sha512(b'').digest())}"
        for wrong in (forged, "", "x.y.z", head):
            answer = call(lab, "/v1/token", {"DPoP": wrong}, clientId=self.CLIENT, **self.code(lab, some_secrets()))
            assert answer["error"] == "INVALID_REQUEST"

    def test_a_code_expires_and_needs_its_verifier(self, lab: LoginLab) -> None:
        values = self.code(lab, some_secrets())
        assert self.ask(lab, dpop.new_key(), {**values, "codeVerifier": "x" * 43})["error"] == "INVALID_REQUEST"
        values = self.code(lab, some_secrets())
        lab.early += 600.0
        answer = self.ask(lab, dpop.new_key(), values, now=time.time() + lab.early)
        assert answer["error"] == "AUTHCODE_EXPIRED"
