"""What both login services share of OAuth 2: errors, and PKCE (RFC 7636)."""

from __future__ import annotations

import base64
import hashlib
import secrets
from typing import Any


class OAuthError(Exception):
    """An error answer: AWS's exception name, the OAuth code (or the portal's message), and the HTTP status."""

    def __init__(self, name: str, code: str, status: int = 400) -> None:
        super().__init__(name, code)
        self.name = name
        self.code = code
        self.status = status


def verifier_matches(challenge: str, values: dict[str, Any]) -> bool:
    """Return whether the verifier in `values` belongs to the `challenge` (RFC 7636, S256)."""
    digest = hashlib.sha256(str(values.get("codeVerifier")).encode()).digest()
    return secrets.compare_digest(base64.urlsafe_b64encode(digest).rstrip(b"=").decode(), challenge)
