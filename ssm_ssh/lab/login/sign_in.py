"""AWS Sign-In in the lab: temporary keys for the lab's person, bound to a key (DPoP, RFC 9449)."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from ssm_ssh.lab.identity.identities import signed_in
from ssm_ssh.lab.login.oauth import OAuthError, verifier_matches
from ssm_ssh.lab.login.pages import Pages
from ssm_ssh.lab.state import LabState

_SAME_DEVICE = "arn:aws:signin:::devtools/same-device"
_CROSS_DEVICE = "arn:aws:signin:::devtools/cross-device"
_KEYS_SECONDS, _CODE_SECONDS, _PROOF_SECONDS = 900, 600.0, 300.0
_SESSION_SECONDS = 12 * 3600.0


@dataclass
class _Code:
    client: str
    challenge: str
    redirect: str
    expires: float


class SignIn:
    """The service `signin`. Methods raise OAuthError."""

    def __init__(self, state: LabState, pages: Pages) -> None:
        self._state = state
        self._pages = pages
        self._codes: dict[str, _Code] = {}
        self._refresh: dict[str, tuple[str, str, float]] = {}  # client, thumbprint of the key, end
        self._proofs: set[str] = set()
        self._signing = ec.generate_private_key(ec.SECP256R1())

    def authorize(self, query: dict[str, str]) -> tuple[str, str]:
        """Return the redirect URI and a new code for a request of a browser, before the person decides."""
        client, redirect = query.get("client_id", ""), query.get("redirect_uri", "")
        confirmation = f"{self._pages.base}/v1/sessions/confirmation"
        right = {
            _SAME_DEVICE: redirect.startswith("http://127.0.0.1:") and redirect.endswith("/oauth/callback"),
            _CROSS_DEVICE: redirect == confirmation,
        }
        if not right.get(client) or query.get("response_type") != "code" or query.get("scope") != "openid":
            raise OAuthError("ValidationException", "INVALID_REQUEST")
        if query.get("code_challenge_method") != "SHA-256" or not query.get("code_challenge"):
            raise OAuthError("ValidationException", "INVALID_REQUEST")
        code = secrets.token_urlsafe(48)
        self._codes[code] = _Code(client, query["code_challenge"], redirect, self._state.clock() + _CODE_SECONDS)
        return redirect, code

    def create_token(self, values: dict[str, Any], proof: str) -> dict[str, Any]:
        """CreateOAuth2Token; `proof` is the DPoP header."""
        key = self._check_proof(proof)
        client, grant = str(values.get("clientId")), values.get("grantType")
        if grant == "authorization_code":
            self._redeem(values, client)
        elif grant == "refresh_token":
            *holder, end = self._refresh.pop(str(values.get("refreshToken")), ("", "", 0.0))
            if holder != [client, key] or end <= self._state.clock():
                raise OAuthError("AccessDeniedException", "TOKEN_EXPIRED")
        else:
            raise OAuthError("ValidationException", "INVALID_REQUEST")
        now = self._state.clock()
        identity = signed_in(self._state.account, expires=now + _KEYS_SECONDS)
        self._state.identities[identity.access_key] = identity
        refresh = secrets.token_urlsafe(256)
        self._refresh[refresh] = (client, key, now + _SESSION_SECONDS)
        answer = {
            "accessToken": {
                "accessKeyId": identity.access_key,
                "secretAccessKey": identity.secret_key,
                "sessionToken": identity.token,
            },
            "tokenType": "aws_sigv4",
            "expiresIn": _KEYS_SECONDS,
            "refreshToken": refresh,
        }
        return {**answer, "idToken": self._id_token(identity.arn)} if grant == "authorization_code" else answer

    def pasted_code(self, query: dict[str, str]) -> str:
        """Return what the confirmation page shows for a person to paste."""
        text = f"state={query.get('state', '')}&code={query.get('code', '')}"
        return base64.b64encode(text.encode()).decode()

    def _redeem(self, values: dict[str, Any], client: str) -> None:
        code = self._codes.pop(str(values.get("code")), None)
        if code is None or code.expires <= self._state.clock():
            raise OAuthError("AccessDeniedException", "AUTHCODE_EXPIRED")
        if (code.client, code.redirect) != (client, values.get("redirectUri")):
            raise OAuthError("ValidationException", "INVALID_REQUEST")
        if not verifier_matches(code.challenge, values):
            raise OAuthError("ValidationException", "INVALID_REQUEST")

    def _check_proof(self, proof: str) -> str:
        """Return the thumbprint of the key that `proof` proves."""
        try:
            head, body, signature = proof.split(".")
            header, payload = json.loads(_decoded(head)), json.loads(_decoded(body))
            jwk, raw = header["jwk"], _decoded(signature)
            numbers = ec.EllipticCurvePublicNumbers(
                int.from_bytes(_decoded(jwk["x"]), "big"), int.from_bytes(_decoded(jwk["y"]), "big"), ec.SECP256R1()
            )
            pair = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
            numbers.public_key().verify(pair, f"{head}.{body}".encode(), ec.ECDSA(SHA256()))
            fresh = abs(payload["iat"] - self._state.clock()) <= _PROOF_SECONDS
            right = (header["typ"], header["alg"], jwk["crv"], len(raw)) == ("dpop+jwt", "ES256", "P-256", 64)
            right = right and (payload["htm"], payload["htu"]) == ("POST", f"{self._pages.base}/v1/token")
            once = payload["jti"] not in self._proofs
            self._proofs.add(payload["jti"])
        except (ValueError, LookupError, TypeError, InvalidSignature):
            right = fresh = once = False
        if not (right and fresh and once):
            raise OAuthError("ValidationException", "INVALID_REQUEST")
        return hashlib.sha256(f"{jwk['x']}.{jwk['y']}".encode()).hexdigest()

    def _id_token(self, subject: str) -> str:
        now = int(self._state.clock())
        parts = ({"typ": "JWT", "alg": "ES256"}, {"sub": subject, "aud": _SAME_DEVICE, "iat": now, "exp": now + 900})
        signed = ".".join(_encoded(json.dumps(part).encode()) for part in parts)
        return f"{signed}.{_encoded(self._signing.sign(signed.encode(), ec.ECDSA(SHA256())))}"


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
