from __future__ import annotations

import base64
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssm_ssh.aws.login import oauth
from ssm_ssh.errors import CredentialsError

SECRETS = oauth.challenge(bytes(range(48)))


def test_challenge_of_the_rfc() -> None:
    # RFC 7636, appendix B.
    verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    entropy = base64.urlsafe_b64decode(verifier + "=") + bytes(16)
    secrets = oauth.challenge(entropy)
    assert secrets.verifier == verifier
    assert secrets.code_challenge == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


def test_secrets_are_not_in_the_repr() -> None:
    assert SECRETS.state not in repr(SECRETS)
    assert SECRETS.verifier not in repr(SECRETS)


def test_the_urls_hold_the_challenge_and_not_the_verifier() -> None:
    redirect = "http://127.0.0.1:7/oauth/callback"
    sso = oauth.sso_authorize_url(
        "https://h", client_id="c", redirect_uri=redirect, scopes=("a:b", "c"), secrets=SECRETS
    )
    sign_in = oauth.sign_in_authorize_url("https://h", client_id="c", redirect_uri=redirect, secrets=SECRETS)
    for url, path in ((sso, "/authorize"), (sign_in, "/v1/authorize")):
        assert urlsplit(url).path == path
        query = parse_qs(urlsplit(url).query)
        assert query["code_challenge"] == [SECRETS.code_challenge]
        assert query["redirect_uri"] == [redirect]
        assert SECRETS.verifier not in url
    assert "scopes=a%3Ab%20c" in sso


def target(code: str, state: str = SECRETS.state, path: str = oauth.CALLBACK_PATH) -> str:
    return f"{path}?code={quote(code)}&state={quote(state)}"


@given(st.text(min_size=1))
@settings(deadline=None)
def test_a_code_comes_back_whole(code: str) -> None:
    if code.isprintable():
        assert oauth.code_of_callback(target(code), SECRETS) == code
        pasted = base64.b64encode(f"state={SECRETS.state}&code={quote(code)}".encode()).decode()
        assert oauth.code_of_pasted(f" {pasted[:5]}\n{pasted[5:]} ", SECRETS) == code


@given(st.text())
@settings(deadline=None)
def test_what_has_not_the_state_is_no_answer(text: str) -> None:
    try:
        assert oauth.code_of_callback(text, SECRETS) is None
        assert oauth.code_of_callback(oauth.CALLBACK_PATH + "?" + text, SECRETS) is None
    except ValueError:  # no URL
        pass
    assert oauth.code_of_pasted(text, SECRETS) is None


def test_another_path_is_no_answer() -> None:
    assert oauth.code_of_callback(target("c", path="/favicon.ico"), SECRETS) is None
    assert oauth.code_of_callback(target("c", state="other"), SECRETS) is None


def test_denied() -> None:
    with pytest.raises(CredentialsError, match="denied in the browser: no"):
        oauth.code_of_callback(
            f"{oauth.CALLBACK_PATH}?error=access_denied&error_description=no%0a&state={SECRETS.state}", SECRETS
        )
    assert oauth.code_of_callback(f"{oauth.CALLBACK_PATH}?error=access_denied&state=other", SECRETS) is None
