"""An error answer of AWS, as the service wrote it, and what its code says about another try.

Services append `Exception`, `Error` or `Fault` to their codes as they please, so codes are compared without them.
https://docs.aws.amazon.com/systems-manager/latest/APIReference/CommonErrors.html
https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
"""

from __future__ import annotations

from ssm_ssh.aws.api import ec2_query
from ssm_ssh.startup import TYPE_CHECKING, NamedTuple
from ssm_ssh.values import json_object

if TYPE_CHECKING:
    from ssm_ssh.aws.api.http import Response

EXPIRED = frozenset({"ExpiredToken", "TokenRefreshRequired"})
THROTTLED = frozenset(
    {
        "BandwidthLimitExceeded",
        "EC2Throttled",
        "LimitExceeded",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceeded",
        "RequestLimitExceeded",
        "RequestThrottled",
        "SlowDown",
        "Throttled",
        "Throttling",
        "TooManyRequests",
        "TransactionInProgress",
    }
)
THROTTLED_STATUS = frozenset({429})
TRANSIENT = frozenset(
    {"InternalServer", "Internal", "InternalFailure", "RequestTimeout", "ServiceUnavailable", "Service"}
)
TRANSIENT_STATUS = frozenset({500, 502, 503, 504})
# Nothing changes within seconds, although EC2 answers with status 500.
CAPACITY = frozenset({"InsufficientInstanceCapacity", "InsufficientHostCapacity", "InsufficientCapacity"})
# A wrong clock often causes these, and the answer's Date header tells by how much it is wrong.
CLOCK = frozenset(
    {
        "AuthFailure",
        "InvalidSignature",
        "RequestExpired",
        "RequestInTheFuture",
        "RequestTimeTooSkewed",
        "SignatureDoesNotMatch",
    }
)
_SUFFIXES = ("Exception", "Error", "Fault")


class Refusal(NamedTuple):
    """AWS's error answer to `operation` on `target` (an instance, a session, or "")."""

    operation: str
    target: str
    status: int
    code: str
    message: str

    @property
    def base_code(self) -> str:
        """The code without its suffix."""
        suffix = next((suffix for suffix in _SUFFIXES if self.code.endswith(suffix)), "")
        return self.code.removesuffix(suffix) or self.code

    @property
    def throttled(self) -> bool:
        """Whether AWS asks to slow down."""
        return self.base_code in THROTTLED or self.status in THROTTLED_STATUS

    @property
    def transient(self) -> bool:
        """Whether the same call may succeed a moment later."""
        if self.base_code in CAPACITY:
            return False
        return self.status in TRANSIENT_STATUS or self.base_code in TRANSIENT

    @property
    def expired(self) -> bool:
        """Whether the session token has expired."""
        return self.base_code in EXPIRED

    @property
    def clock_suspected(self) -> bool:
        """Whether a wrong clock may be the cause."""
        return self.base_code in CLOCK

    def with_clock_ruled_out(self, *, temporary: bool) -> Refusal:
        """Return the refusal's meaning if the clock is right; `temporary`: the request carried a session token.

        EC2 has one code, RequestExpired, for a signature that is too old and for an expired session token.
        """
        return self._replace(code="ExpiredToken") if temporary and self.base_code == "RequestExpired" else self


def read_refusal(response: Response, service: str, operation: str, target: str) -> Refusal:
    """Return the refusal in a response whose status is not 200; code and message are "" where it has none."""
    if service in ec2_query.VERSIONS:
        return Refusal(operation, target, response.status, *ec2_query.error(response.body))
    body = json_object(response.body) or {}
    code = str(response.headers.get("x-amzn-errortype") or body.get("__type") or body.get("code") or "")
    message = body.get("message") or body.get("Message") or body.get("errorMessage") or ""
    # Services write the code as Name, as namespace#Name and as Name:URL.
    name = code.partition(":")[0].rpartition("#")[2].strip()
    return Refusal(operation, target, response.status, name, str(message))
