"""base64url without padding (RFC 7515, appendix C), as PKCE and JSON Web Tokens use it."""

from __future__ import annotations

import base64


def unpadded(data: bytes) -> str:
    """Return base64url without padding, as PKCE and JWTs use it."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")
