"""The sentences for AWS's refusals, as one table: which refusal, which error, what was wrong and what to do.

https://docs.aws.amazon.com/systems-manager/latest/APIReference/CommonErrors.html
https://docs.aws.amazon.com/ec2-instance-connect/latest/APIReference/API_SendSSHPublicKey.html
https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
"""

from __future__ import annotations

from ssm_ssh.aws.api.refusal import (
    CAPACITY,
    CLOCK,
    EXPIRED,
    THROTTLED,
    THROTTLED_STATUS,
    TRANSIENT,
    TRANSIENT_STATUS,
    Refusal,
)
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
from ssm_ssh.startup import TYPE_CHECKING, NamedTuple
from ssm_ssh.text import printable

if TYPE_CHECKING:
    from ssm_ssh.aws.config.settings import AwsSettings


class Row(NamedTuple):
    """One line of the table. It matches a refusal by code or status, and by operation and message where it has them.

    `codes` are base codes. A row without codes and statuses matches any. `containing` are phrases in lower case, of
    which the message contains one. `message` and `hint` may name the placeholders of `_words`.
    """

    codes: frozenset[str]
    error: type[SsmSshError]
    message: str
    hint: str
    statuses: frozenset[int] = frozenset()
    operation: str = ""
    containing: tuple[str, ...] = ()

    def matches(self, refusal: Refusal) -> bool:
        """Return whether this row is for `refusal`, leaving aside the rows above it."""
        coded = refusal.base_code in self.codes or refusal.status in self.statuses
        if (self.codes or self.statuses) and not coded:
            return False
        if self.operation and self.operation != refusal.operation:
            return False
        text = refusal.message.lower()
        return not self.containing or any(phrase in text for phrase in self.containing)


# The first row that matches counts.
TABLE = (
    Row(EXPIRED, CredentialsError, "the AWS session token has expired, says {operation}", "{renewal}"),
    Row(
        CLOCK,
        CredentialsError,
        "AWS rejected the time of the signature",
        "Set this computer's clock: it is wrong by minutes",
        containing=("expired", "not yet current", "skew", "in the future"),
    ),
    Row(
        frozenset({"InvalidSignature"}),
        AwsError,
        "the endpoint of {operation} does not belong to {where}",
        "Check the region, and AWS_ENDPOINT_URL and its variants",
        containing=("scoped to a valid region",),
    ),
    Row(
        frozenset({"InvalidSignature", "SignatureDoesNotMatch"}),
        CredentialsError,
        "the secret key does not belong to its access key, says {operation}",
        "Check the credentials of profile '{profile}' and this computer's clock",
    ),
    Row(
        frozenset({"InvalidAccessKeyId", "InvalidClientTokenId", "InvalidToken", "UnrecognizedClient", "AuthFailure"}),
        CredentialsError,
        "AWS does not know this access key or token in {where}",
        "Check that it still exists and belongs to this partition, and that the account has enabled the region",
    ),
    Row(
        frozenset({"AccessDenied", "Auth", "Forbidden", "NotAuthorized", "UnauthorizedOperation"}),
        AccessDenied,
        "{denial}",
        "{permission}",
    ),
    Row(
        frozenset({"DoesNotExist"}),
        SessionGone,
        "the session has ended and cannot be resumed",
        "Connect again",
        operation="ResumeSession",
    ),
    Row(
        frozenset({"TargetNotConnected", "InvalidInstanceId"}),
        TargetNotConnected,
        "{target} is not connected to Systems Manager in {where}",
        "AWS says this for a wrong region or profile too. To find the cause, run: ssm-ssh doctor {target}",
    ),
    Row(
        frozenset({"EC2InstanceNotFound", "InvalidInstanceID.NotFound", "InvalidInstanceID.Malformed"}),
        TargetMissing,
        "EC2 knows no instance {target} in {where}",
        "Check region, profile and instance id. To find it, run: ssm-ssh doctor {target}",
    ),
    Row(
        frozenset({"EC2InstanceStateInvalid"}),
        TargetMissing,
        "{target} is not running in {where}",
        "Start it: {start_command}",
    ),
    Row(
        frozenset({"EC2InstanceUnavailable"}),
        AwsError,
        "EC2 Instance Connect cannot reach {target} in {where}",
        "Try again in a minute",
    ),
    Row(
        CAPACITY,
        AwsError,
        "EC2 has no capacity to start {target} in {where} now",
        "Try again in some minutes, or move it to another instance type or Availability Zone",
    ),
    Row(
        frozenset({"InstanceLimitExceeded", "VcpuLimitExceeded"}),
        AwsError,
        "the account's limit of running instances does not let {target} start in {where}",
        "Stop another instance, or ask AWS for a higher limit",
    ),
    Row(
        frozenset({"InvalidDocument", "InvalidDocumentVersion"}),
        DocumentMissing,
        "the command document does not exist or does not fit in {where}: {answer}",
        "Check the setting push_document; docs/push-document.md tells how to create a document",
        operation="SendCommand",
    ),
    Row(
        frozenset({"InvalidDocument", "InvalidDocumentVersion"}),
        DocumentMissing,
        "the session document does not exist or does not fit in {where}: {answer}",
        "Check its name and its region",
    ),
    Row(
        frozenset({"InvalidArgs", "Validation", "InvalidParameters"}),
        AwsError,
        "AWS rejected the parameters of {operation}: {answer}",
        "Check user name, port, document and instance",
    ),
    Row(
        THROTTLED,
        Throttled,
        "AWS throttles {operation} in {where}",
        "Wait a minute and try again",
        statuses=THROTTLED_STATUS,
    ),
    Row(
        TRANSIENT,
        AwsError,
        "{operation} failed inside AWS in {where}: {answer}",
        "Try again in a minute",
        statuses=TRANSIENT_STATUS,
    ),
    Row(frozenset(), AwsError, "{operation} in {where} failed: {answer}", ""),
)

# What to do where an IAM policy that allows the action would not help, by the kind of policy that denies it.
_POLICY_HINTS = {
    "session policy": "A session policy narrows these credentials: have it allow this too, or use others",
    "permissions boundary": "Have the permissions boundary allow it too",
    "VPC endpoint policy": "Have the policy of the VPC endpoint allow it too",
    "service control policy": "Only the organization's administrators can allow it",
    "resource control policy": "Only the organization's administrators can allow it",
    "resource-based policy": "Have the policy of the resource allow it, or ask for an IAM policy that does",
}
# The permission to ask for where the denied resource is one session, which will not come again.
# https://docs.aws.amazon.com/systems-manager/latest/userguide/getting-started-restrict-access-quickstart.html
_GRANTS = {
    "ssmmessages:OpenDataChannel": (
        "Ask for an IAM policy that allows this action on arn:aws:ssm:*:*:session/${aws:userid}-*"
    )
}


def row_for(refusal: Refusal) -> Row:
    """Return the first row of the table that matches `refusal`; the last row matches every refusal."""
    return next(row for row in TABLE if row.matches(refusal))


def explain(refusal: Refusal, settings: AwsSettings) -> SsmSshError:
    """Return the error for `refusal`; AWS's own words in it are printable."""
    row = row_for(refusal)
    words = _words(row, refusal, settings)
    message, hint = row.message.format_map(words), row.hint.format_map(words)
    if not issubclass(row.error, AwsError):
        return row.error(message, hint)
    code = printable(refusal.code, 80)
    return row.error(message, hint, code=code, operation=refusal.operation, status=refusal.status)


def _words(row: Row, refusal: Refusal, settings: AwsSettings) -> dict[str, str]:
    """Return the values of the placeholders that `row` names."""
    words = {
        "operation": refusal.operation,
        "target": refusal.target or "the instance",
        "where": settings.where,
        "profile": settings.profile_name,
        "answer": _answer(refusal),
    }
    if "{renewal}" in row.hint:
        from ssm_ssh.aws.config.login_source import renewal_hint

        words["renewal"] = renewal_hint(settings)
    if "{start_command}" in row.hint:
        from ssm_ssh.aws.config.cli_hint import start_instance

        profile = "" if settings.keys_of_environment else settings.profile or ""
        words["start_command"] = start_instance(refusal.target, settings.region, profile)
    if "{denial}" in row.message:
        words["denial"], words["permission"] = _denial(refusal, settings.where)
    return words


def _answer(refusal: Refusal) -> str:
    """Return code and message of the refusal as text for a person."""
    code = printable(refusal.code, 80) or f"HTTP status {refusal.status} without an AWS error code"
    text = printable(refusal.message, 200)
    return f"{code}: {text}" if text else code


def _denial(refusal: Refusal, where: str) -> tuple[str, str]:
    """Return what was denied and by which kind of policy, and the permission to ask for."""
    denial = read_denial(refusal.message)
    hint = _POLICY_HINTS.get(denial.policy, "")
    if denial.explicit:
        hint = "No other policy can override this; ask the owner of that policy"
    if not denial.text:
        answer = _answer(refusal)
        reason = f" ({denial.reason})" if denial.reason and denial.policy not in answer else ""
        return f"{refusal.operation} is denied in {where}: {answer}{reason}", hint or "Ask for the permission"
    if denial.explicit:
        return denial.text, hint
    # The reason comes before the place because a message that is too long loses its end.
    message = f"{denial.text}{',' if denial.reason else ''} in {where}"
    return message, hint or _GRANTS.get(denial.action, "Ask for an IAM policy that allows this action")
