"""AWS Signature Version 4, for API calls and the gateway's WebSocket upgrade.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
Tests compare it with botocore's SigV4Auth.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from urllib.parse import quote, unquote_plus

from ssm_ssh.startup import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ssm_ssh.aws.credentials.access_key import Credentials

# Headers that belong to one hop, or that a proxy may add or change.
_UNSIGNED = frozenset(
    {
        "baggage",
        "connection",
        "expect",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "traceparent",
        "tracestate",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
        "x-amzn-trace-id",
    }
)


def sign(
    method: str,
    path: str,
    query: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    credentials: Credentials,
    service: str,
    region: str,
    now: float,
) -> dict[str, str]:
    """Return `headers`, which include Host, with X-Amz-Date, the token and Authorization added.

    `path` and `query` are those of the request line, percent-encoded and without `?`. `now` is in seconds since the
    epoch. The function is pure.
    """
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    out = dict(headers)
    out["X-Amz-Date"] = stamp
    if credentials.token:
        out["X-Amz-Security-Token"] = credentials.token
    signed = {name.lower(): " ".join(value.split()) for name, value in out.items() if name.lower() not in _UNSIGNED}
    names = ";".join(sorted(signed))
    canonical = "\n".join(
        (
            method.upper(),
            quote(_normal(path), safe="/~"),
            "&".join("=".join(pair) for pair in sorted(_pairs(query))),
            *(f"{name}:{signed[name]}" for name in sorted(signed)),
            "",
            names,
            hashlib.sha256(body).hexdigest(),
        )
    )
    scope = f"{stamp[:8]}/{region}/{service}/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = f"AWS4{credentials.secret_key}".encode()
    for part in (stamp[:8], region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    out["Authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={credentials.access_key}/{scope}, SignedHeaders={names}, Signature={signature}"
    )
    return out


def _pairs(query: str) -> list[tuple[str, str]]:
    """Return the canonical pairs of a query: decoded like a form (a raw `+` is a space) and encoded again.

    StreamUrls contain raw base64 (`cell-number=...+.../...`), which is sent unchanged but signed as the AWS SDK for Go
    signs it. Encoded values do not change, as in botocore.
    """
    pairs = []
    for pair in query.split("&") if query else ():
        name, _, value = pair.partition("=")
        pairs.append((quote(unquote_plus(name), safe="-_.~"), quote(unquote_plus(value), safe="-_.~")))
    return pairs


def _normal(path: str) -> str:
    """Return `path` without empty and dot segments (RFC 3986, section 5.2.4), at least `/`."""
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del kept[-1:]
        elif segment and segment != ".":
            kept.append(segment)
    inner = "/".join(kept)
    if not inner:
        return "/"
    return ("/" if path.startswith("/") else "") + inner + ("/" if path.endswith("/") else "")
