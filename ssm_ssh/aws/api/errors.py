"""What AWS's error codes mean for a person at a terminal: one sentence each, and what to do.

Codes are compared without the suffixes `Exception` and `Error`, which services use as they please.
https://docs.aws.amazon.com/systems-manager/latest/APIReference/CommonErrors.html
https://docs.aws.amazon.com/ec2-instance-connect/latest/APIReference/API_SendSSHPublicKey.html
https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from ssm_ssh.aws.config.login_source import renewal_hint
from ssm_ssh.aws.credentials.denial import read_denial
from ssm_ssh.errors import (
    AccessDenied,
    AwsError,
    CredentialsError,
    DocumentMissing,
    SessionGone,
    SsmSshError,
    TargetMissing,
    TargetNotConnected,
    Throttled,
)
from ssm_ssh.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable

    from ssm_ssh.aws.config.settings import AwsSettings

_THROTTLED = frozenset(
    {
        "BandwidthLimitExceeded",
        "EC2Throttled",
        "LimitExceeded",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceeded",
        "RequestLimitExceeded",
        "RequestThrottled",
        "SlowDown",
        "ThrottledException",
        "Throttled",
        "Throttling",
        "TooManyRequests",
        "TransactionInProgress",
    }
)
_TRANSIENT = frozenset(
    {"InternalServer", "Internal", "InternalFailure", "RequestTimeout", "ServiceUnavailable", "Service"}
)
_TRANSIENT_STATUS = frozenset({500, 502, 503, 504})
_EXPIRED = frozenset({"ExpiredToken", "TokenRefreshRequired"})
# With these, a wrong clock is the likely reason, and the answer's Date header tells by how much.
_CLOCK = frozenset(
    {
        "AuthFailure",
        "InvalidSignature",
        "RequestExpired",
        "RequestInTheFuture",
        "RequestTimeTooSkewed",
        "SignatureDoesNotMatch",
    }
)
_DENIED = frozenset({"AccessDenied", "Auth", "Forbidden", "NotAuthorized", "UnauthorizedOperation"})
_UNKNOWN_KEY = frozenset(
    {"InvalidAccessKeyId", "InvalidClientTokenId", "InvalidToken", "UnrecognizedClient", "AuthFailure"}
)
# What is to be done where an IAM policy of the caller's alone would not help.
_WAYS_OUT = {
    "session policy": "A session policy narrows these credentials: have it allow this too, or use others",
    "permissions boundary": "Have the permissions boundary allow it too",
    "VPC endpoint policy": "Have the policy of the VPC endpoint allow it too",
    "service control policy": "Only the organization's administrators can allow it",
    "resource control policy": "Only the organization's administrators can allow it",
    "resource-based policy": "Have the policy of the resource allow it, or ask for an IAM policy that does",
}
# What to ask for where the resource that was denied is one session's, which will not come again.
# https://docs.aws.amazon.com/systems-manager/latest/userguide/getting-started-restrict-access-quickstart.html
_GRANTS = {
    "ssmmessages:OpenDataChannel": (
        "Ask for an IAM policy that allows this action on arn:aws:ssm:*:*:session/${aws:userid}-*"
    )
}


class Refusal(NamedTuple):
    """An error answer of AWS: `operation` on `target` (an instance, a session, or ``) got `code` and HTTP `status`."""

    operation: str
    target: str
    status: int
    code: str
    message: str

    @property
    def kind(self) -> str:
        """The code without namespace, URL and suffix."""
        return re.sub(r"(Exception|Error|Fault)$", "", self.code) or self.code

    @property
    def throttled(self) -> bool:
        """Whether AWS asks to slow down."""
        return self.kind in _THROTTLED or self.status == 429

    @property
    def transient(self) -> bool:
        """Whether the same call may well succeed a moment later."""
        return self.status in _TRANSIENT_STATUS or self.kind in _TRANSIENT

    @property
    def expired(self) -> bool:
        """Whether the session token is past its end."""
        return self.kind in _EXPIRED

    @property
    def clock(self) -> bool:
        """Whether a wrong clock would explain it."""
        return self.kind in _CLOCK

    def by_a_right_clock(self, *, temporary: bool) -> Refusal:
        """Return what this means where the clock is not the reason; `temporary`: a session token was sent.

        EC2 has one code, RequestExpired, for a signature that is too old and for a session token past its end.
        """
        return self._replace(code="ExpiredToken") if temporary and self.kind == "RequestExpired" else self


def explain(refusal: Refusal, settings: AwsSettings) -> SsmSshError:
    """Return the error that stands for `refusal`; all that AWS wrote passes `printable`."""
    kind = refusal.kind
    where = settings.where
    if refusal.expired:
        return CredentialsError(
            f"the AWS session token has expired, says {refusal.operation}",
            renewal_hint(settings),
        )
    if refusal.clock and re.search(r"expired|not yet current|skew|in the future", refusal.message, re.IGNORECASE):
        return CredentialsError("AWS refused the signature's time", "Set this computer's clock: it is wrong by minutes")
    if kind == "InvalidSignature" and "scoped to a valid region" in refusal.message:
        return _error(
            AwsError,
            refusal,
            f"the endpoint that {refusal.operation} was sent to is not one of {where}",
            "Check the region, and AWS_ENDPOINT_URL with its kind",
        )
    if kind in {"InvalidSignature", "SignatureDoesNotMatch"}:
        return CredentialsError(
            f"the secret key in use does not belong to its access key, says {refusal.operation}",
            f"Check the credentials of profile '{settings.profile_name}' and this computer's clock",
        )
    if kind in _UNKNOWN_KEY:
        return CredentialsError(
            f"AWS does not know this access key or token in {where}",
            "It was deleted, is of another partition, or the region is not enabled for the account",
        )
    if kind in _DENIED:
        return _denied(refusal, where)
    if kind == "EC2InstanceStateInvalid":
        return _not_running(refusal, settings)
    make = _SENTENCES.get(kind)
    if refusal.operation == "ResumeSession" and kind == "DoesNotExist":
        make = _session_gone
    if make is not None:
        return make(refusal, where)
    if refusal.throttled:
        return _error(
            Throttled, refusal, f"AWS throttles {refusal.operation} in {where}", "Wait a minute and try again"
        )
    if refusal.transient:
        return _error(
            AwsError,
            refusal,
            f"AWS failed to do {refusal.operation} in {where}: {_said(refusal)}",
            "Try again in a minute",
        )
    return _error(AwsError, refusal, f"{refusal.operation} in {where} failed: {_said(refusal)}", "")


def _error(kind: type[AwsError], refusal: Refusal, message: str, hint: str) -> AwsError:
    return kind(message, hint, code=printable(refusal.code, 80), operation=refusal.operation, status=refusal.status)


def _said(refusal: Refusal) -> str:
    code = printable(refusal.code, 80) or f"HTTP status {refusal.status} without an AWS error code"
    text = printable(refusal.message, 200)
    return f"{code}: {text}" if text else code


def _denied(refusal: Refusal, where: str) -> AwsError:
    denial = read_denial(refusal.message)
    hint = _WAYS_OUT.get(denial.policy, "")
    if denial.explicit:
        hint = "No other policy can allow it; ask the owner of that one"
    if not denial.text:
        text = _said(refusal)
        more = f" ({denial.reason})" if denial.reason and denial.policy not in text else ""
        message = f"{refusal.operation} is denied in {where}: {text}{more}"
        return _error(AccessDenied, refusal, message, hint or "Ask for the permission")
    if denial.explicit:
        return _error(AccessDenied, refusal, denial.text, hint)
    # The reason before the place: what a line has too much is cut from the end of the message.
    message = f"{denial.text}{',' if denial.reason else ''} in {where}"
    grant = _GRANTS.get(denial.action, "Ask for an IAM policy that allows this action")
    return _error(AccessDenied, refusal, message, hint or grant)


def _not_connected(refusal: Refusal, where: str) -> AwsError:
    return _error(
        TargetNotConnected,
        refusal,
        f"{refusal.target or 'the instance'} is not connected to Systems Manager in {where}",
        "Check region and profile first: AWS says this for a wrong one too. Then: is it running, SSM Agent started, "
        "its role with AmazonSSMManagedInstanceCore, port 443 open to ssm and ssmmessages?",
    )


def _no_document(refusal: Refusal, where: str) -> AwsError:
    if refusal.operation == "SendCommand":
        return _error(
            DocumentMissing,
            refusal,
            f"the command document does not exist or does not fit, in {where}: {_said(refusal)}",
            "Check the setting push_document; docs/push-document.md tells how to create one",
        )
    return _error(
        DocumentMissing,
        refusal,
        f"the session document does not exist or does not fit, in {where}: {_said(refusal)}",
        "Check its name; AWS-StartSSHSession is in every region",
    )


def _session_gone(refusal: Refusal, _where: str) -> AwsError:
    return _error(SessionGone, refusal, "the session has ended and cannot be resumed", "Connect again")


def _not_found(refusal: Refusal, where: str) -> AwsError:
    return _error(
        TargetMissing,
        refusal,
        f"EC2 knows no instance {refusal.target} in {where}",
        "Check region, profile and instance id",
    )


def _not_running(refusal: Refusal, settings: AwsSettings) -> AwsError:
    from ssm_ssh.aws.config.cli_hint import start_instance

    profile = "" if settings.keys_of_environment else settings.profile or ""
    return _error(
        TargetMissing,
        refusal,
        f"{refusal.target} is not running in {settings.where}",
        f"Start it: {start_instance(refusal.target, settings.region, profile)}",
    )


def _unavailable(refusal: Refusal, where: str) -> AwsError:
    return _error(
        AwsError, refusal, f"EC2 Instance Connect cannot reach {refusal.target} in {where}", "Try again in a minute"
    )


def _bad_arguments(refusal: Refusal, _where: str) -> AwsError:
    return _error(
        AwsError,
        refusal,
        f"{refusal.operation} was refused as wrong: {_said(refusal)}",
        "Check user name, port, document and instance",
    )


_SENTENCES: dict[str, Callable[[Refusal, str], AwsError]] = {
    "TargetNotConnected": _not_connected,
    "InvalidInstanceId": _not_connected,
    "InvalidDocument": _no_document,
    "InvalidDocumentVersion": _no_document,
    "EC2InstanceNotFound": _not_found,
    "InvalidInstanceID.NotFound": _not_found,
    "InvalidInstanceID.Malformed": _not_found,
    "EC2InstanceUnavailable": _unavailable,
    "InvalidArgs": _bad_arguments,
    "Validation": _bad_arguments,
    "InvalidParameters": _bad_arguments,
}
