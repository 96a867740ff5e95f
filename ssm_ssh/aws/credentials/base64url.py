"""base64url without padding (RFC 7515, appendix C), for PKCE and JSON Web Tokens."""

from __future__ import annotations

import base64


def unpadded(data: bytes) -> str:
    """Return `data` in base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")
