"""Signature Version 4 on the side of the service: which identity signed a request, and whether it is unchanged.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-troubleshooting.html
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta, timezone
from typing import NamedTuple
from urllib.parse import quote, unquote_plus

from ssm_ssh.lab.identity.identities import Identity

ALGORITHM = "AWS4-HMAC-SHA256"
SKEW = timedelta(minutes=5)
# The longest life of a presigned request: 7 days.
MAX_EXPIRES = 604_800
_FORMAT = "%Y%m%dT%H%M%SZ"

MISMATCH = (
    "The request signature we calculated does not match the signature you provided. "
    "Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
)
INVALID_TOKEN = "The security token included in the request is invalid."  # noqa: S105 - AWS's sentence
EXPIRED_TOKEN = "The security token included in the request is expired"  # noqa: S105


class SignatureRefused(Exception):
    """A signature is missing or wrong: HTTP `status`, AWS's `code` (as the JSON services spell it), `message`."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.status = status


class Request(NamedTuple):
    """A request as it came over the wire: `target` is path and query, not decoded."""

    method: str
    target: str
    headers: Sequence[tuple[str, str]]
    body: bytes = b""

    def values(self, name: str) -> list[str]:
        """Return the values of the header `name` (lower case), in order."""
        return [value for key, value in self.headers if key.lower() == name]

    def value(self, name: str) -> str:
        """Return the one value of the header `name`, or ""; two different ones are refused."""
        values = self.values(name)
        if len(values) > 1:
            raise SignatureRefused("IncompleteSignatureException", f"The header '{name}' stands twice in the request")
        return values[0] if values else ""


class _Claim(NamedTuple):
    """What a request says about its own signature."""

    access_key: str
    scope: str
    signed: list[str]
    signature: str
    date: str
    token: str
    expires: int | None  # of a presigned request, in seconds
    query: list[tuple[str, str]]


def verify(
    request: Request, *, service: str, region: str, lookup: Callable[[str], Identity | None], now: float
) -> Identity:
    """Return the identity that signed `request` for `service` in `region` at about `now` (seconds since the epoch).

    `lookup` finds an identity by its access key id. Raises SignatureRefused with AWS's code and sentence;
    `MissingAuthenticationTokenException` means that the request carries no signature at all.
    """
    claim = _claim(request)
    identity = lookup(claim.access_key)
    if identity is None:
        raise SignatureRefused("UnrecognizedClientException", INVALID_TOKEN)
    _check_scope(claim, service, region)
    _check_date(claim, now)
    if not hmac.compare_digest(claim.token.encode(), identity.token.encode()):
        raise SignatureRefused("UnrecognizedClientException", INVALID_TOKEN)
    _check_signed_headers(request, claim)
    if not hmac.compare_digest(_signature(request, claim, identity.secret_key).encode(), claim.signature.encode()):
        raise SignatureRefused("InvalidSignatureException", MISMATCH)
    # Only the holder of the credentials learns that they have expired.
    if identity.expires and identity.expires <= now:
        raise SignatureRefused("ExpiredTokenException", EXPIRED_TOKEN)
    return identity


def signed(request: Request) -> bool:
    """True when `request` carries a signature of any kind, good or bad."""
    return bool(request.values("authorization")) or "x-amz-signature=" in request.target.lower()


def asked_region(request: Request) -> str:
    """Return the region that `request` says to be signed for, "" where it says none."""
    scope = request.value("authorization").partition("Credential=")[2].partition(",")[0].split("/")
    return scope[2] if len(scope) == 5 else ""


def _claim(request: Request) -> _Claim:
    query = _parse_query(request.target.partition("?")[2])
    authorization = request.value("authorization")
    named = {name: value for name, value in query if name.startswith("X-Amz-")}
    if not authorization and "X-Amz-Signature" not in named:
        raise SignatureRefused("MissingAuthenticationTokenException", "Missing Authentication Token")
    if authorization:
        algorithm, _, rest = authorization.partition(" ")
        if algorithm != ALGORITHM:
            raise SignatureRefused("IncompleteSignatureException", f"Unsupported AWS 'algorithm': '{algorithm}'")
        parts: dict[str, str] = {}
        for piece in rest.split(","):
            key, equals, value = piece.strip().partition("=")
            if not equals:
                raise SignatureRefused(
                    "IncompleteSignatureException",
                    f"'{key}' not a valid key=value pair (missing equal-sign) in Authorization header.",
                )
            parts[key] = value
        missing = [name for name in ("Credential", "SignedHeaders", "Signature") if not parts.get(name)]
        date = request.value("x-amz-date") or request.value("date")
        token, expires = request.value("x-amz-security-token"), None
        credential, names, signature = (parts.get(name, "") for name in ("Credential", "SignedHeaders", "Signature"))
    else:
        wanted = ("X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders")
        missing = [name for name in wanted if not named.get(name)]
        if named.get("X-Amz-Algorithm", ALGORITHM) != ALGORITHM:
            raise SignatureRefused("IncompleteSignatureException", "Unsupported AWS 'algorithm'")
        date, token = named.get("X-Amz-Date", ""), named.get("X-Amz-Security-Token", "")
        text = named.get("X-Amz-Expires", "")
        expires = int(text) if text.isascii() and text.isdigit() and len(text) < 8 else -1
        credential, names = named.get("X-Amz-Credential", ""), named.get("X-Amz-SignedHeaders", "")
        signature = named["X-Amz-Signature"]
        query = [(name, value) for name, value in query if name != "X-Amz-Signature"]
    if missing:
        raise SignatureRefused(
            "IncompleteSignatureException",
            "".join(f"Authorization header requires '{parameter}' parameter. " for parameter in missing),
        )
    if not date:
        raise SignatureRefused(
            "IncompleteSignatureException",
            "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.",
        )
    access_key, _, scope = credential.partition("/")
    return _Claim(access_key, scope, names.split(";"), signature, date, token, expires, query)


def _check_scope(claim: _Claim, service: str, region: str) -> None:
    parts = claim.scope.split("/")
    if len(parts) != 4:
        raise SignatureRefused(
            "IncompleteSignatureException",
            "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term.",
        )
    wrong = []
    if parts[0] != claim.date[:8]:
        wrong.append("Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: ")
    if parts[1] != region:
        wrong.append(f"Credential should be scoped to a valid region, not '{parts[1]}'. ")
    if parts[2] != service:
        wrong.append(f"Credential should be scoped to correct service: '{service}'. ")
    if parts[3] != "aws4_request":
        wrong.append(f"Credential should be scoped with a valid terminator: 'aws4_request', not '{parts[3]}'. ")
    if wrong:
        raise SignatureRefused("InvalidSignatureException", "".join(wrong))


def _check_date(claim: _Claim, now: float) -> None:
    try:
        date = datetime.strptime(claim.date, _FORMAT).replace(tzinfo=timezone.utc)
    except ValueError:
        raise SignatureRefused(
            "IncompleteSignatureException", "Date must be in ISO-8601 'basic format', for example 20250102T030405Z."
        ) from None
    here = datetime.fromtimestamp(now, timezone.utc)
    if claim.expires is not None and not 0 < claim.expires <= MAX_EXPIRES:
        raise SignatureRefused("InvalidSignatureException", "X-Amz-Expires must be between 1 and 604800 seconds")
    earliest, latest = here - timedelta(seconds=claim.expires or SKEW.total_seconds()), here + SKEW
    if date < earliest:
        raise SignatureRefused(
            "InvalidSignatureException",
            f"Signature expired: {claim.date} is now earlier than {earliest:{_FORMAT}} ({here:{_FORMAT}} - 5 min.)",
        )
    if date > latest:
        raise SignatureRefused(
            "InvalidSignatureException",
            f"Signature not yet current: {claim.date} is still later than {latest:{_FORMAT}} "
            f"({here:{_FORMAT}} + 5 min.)",
        )


def _check_signed_headers(request: Request, claim: _Claim) -> None:
    if "host" not in claim.signed:
        raise SignatureRefused(
            "InvalidSignatureException", "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization."
        )
    # x-amz-target must be signed: otherwise a captured request could be turned into another call.
    for name in {key.lower() for key, _ in request.headers}:
        if name.startswith("x-amz-") and name not in claim.signed:
            raise SignatureRefused(
                "InvalidSignatureException", f"'{name}' must be a 'SignedHeader' in the AWS Authorization."
            )


def _parse_query(query: str) -> list[tuple[str, str]]:
    # A StreamUrl holds raw `+`; the official plugin signs each as a space, and AWS takes that.
    pairs = []
    for piece in query.split("&") if query else []:
        name, _, value = piece.partition("=")
        pairs.append((unquote_plus(name), unquote_plus(value)))
    return pairs


def _signature(request: Request, claim: _Claim, secret_key: str) -> str:
    query = sorted((quote(name, safe=""), quote(value, safe="")) for name, value in claim.query)
    canonical = "\n".join(
        [
            request.method,
            _canonical_path(request.target.partition("?")[0]),
            "&".join(f"{name}={value}" for name, value in query),
            *(f"{name}:{','.join(' '.join(value.split()) for value in request.values(name))}" for name in claim.signed),
            "",
            ";".join(claim.signed),
            hashlib.sha256(request.body).hexdigest(),
        ]
    )
    to_sign = "\n".join([ALGORITHM, claim.date, claim.scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = b"AWS4" + secret_key.encode()
    for part in claim.scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.digest(key, to_sign.encode(), "sha256").hex()


def _canonical_path(path: str) -> str:
    """Return the path without `.`, `..` and empty segments, encoded once more than on the wire (all but S3)."""
    segments: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del segments[-1:]
        elif segment not in ("", "."):
            segments.append(segment)
    out = "/" + "/".join(segments) + ("/" if segments and path.endswith("/") else "")
    return quote(out, safe="/~")
