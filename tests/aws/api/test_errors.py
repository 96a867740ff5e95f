from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssm_ssh import errors
from ssm_ssh.aws.api.errors import TABLE, Row, explain, row_for
from ssm_ssh.aws.api.refusal import Refusal
from ssm_ssh.aws.config.settings import AwsSettings, load

TARGET = "i-0123456789abcdef0"


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> AwsSettings:
    folder = tmp_path_factory.mktemp("errors")
    (folder / "c").write_text("[profile work]\n")
    return load(profile="work", region="eu-west-1", env={"HOME": str(folder), "AWS_CONFIG_FILE": str(folder / "c")})


def sentence(
    settings: AwsSettings, code: str, message: str = "", *, operation: str = "StartSession", status: int = 400
) -> str:
    return explain(Refusal(operation, TARGET, status, code, message), settings).sentence()


@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [
        (
            "TargetNotConnected",
            errors.TargetNotConnected,
            [TARGET, "eu-west-1", "'work'", f"ssm-ssh doctor {TARGET}"],
        ),
        ("InvalidInstanceId", errors.TargetNotConnected, [TARGET, "region or profile"]),
        ("InvalidDocument", errors.DocumentMissing, ["session document", "name"]),
        ("ThrottlingException", errors.Throttled, ["throttles StartSession", "again"]),
        ("RequestLimitExceeded", errors.Throttled, []),
        ("TooManyRequestsException", errors.Throttled, []),
        ("ExpiredTokenException", errors.CredentialsError, ["expired", "Renew the credentials of profile 'work'"]),
        ("ExpiredToken", errors.CredentialsError, ["expired"]),
        ("UnrecognizedClientException", errors.CredentialsError, ["does not know this access key", "partition"]),
        ("InvalidClientTokenId", errors.CredentialsError, ["does not know this access key"]),
        ("InvalidSignatureException", errors.CredentialsError, ["secret key", "clock"]),
        ("SignatureDoesNotMatch", errors.CredentialsError, ["secret key"]),
        ("EC2InstanceNotFoundException", errors.TargetMissing, ["EC2 knows no instance " + TARGET, "region"]),
        ("EC2InstanceStateInvalidException", errors.TargetMissing, ["not running", "Start it"]),
        ("EC2InstanceUnavailableException", errors.AwsError, ["Try again"]),
        ("InvalidArgsException", errors.AwsError, ["rejected the parameters of StartSession", "user name"]),
        ("ValidationException", errors.AwsError, ["rejected the parameters"]),
        ("AccessDeniedException", errors.AccessDenied, ["StartSession is denied"]),
        ("AuthException", errors.AccessDenied, ["denied"]),
        ("InternalServerError", errors.AwsError, ["failed inside AWS", "Try again"]),
        ("ServiceException", errors.AwsError, ["failed inside AWS"]),
        ("Whatever", errors.AwsError, ["StartSession in eu-west-1 (profile 'work') failed: Whatever: the message"]),
    ],
)
def test_each_code_has_its_sentence(
    settings: AwsSettings, code: str, kind: type[errors.SsmSshError], words: list[str]
) -> None:
    error = explain(Refusal("StartSession", TARGET, 400, code, "the message"), settings)
    assert type(error) is kind
    for word in words:
        assert word in error.sentence()
    assert len(error.sentence()) < 400
    if isinstance(error, errors.AwsError):
        assert (error.code, error.operation, error.status) == (code, "StartSession", 400)


# One refusal for each row of the table, in its order.
EXAMPLES = [
    Refusal("StartSession", TARGET, 400, "ExpiredTokenException", ""),
    Refusal("StartSession", TARGET, 403, "RequestTimeTooSkewed", "The difference is too large: the clocks skew"),
    Refusal("StartSession", TARGET, 400, "InvalidSignatureException", "Credential should be scoped to a valid region"),
    Refusal("StartSession", TARGET, 403, "SignatureDoesNotMatch", "The signature does not match"),
    Refusal("StartSession", TARGET, 400, "UnrecognizedClientException", ""),
    Refusal("StartSession", TARGET, 400, "AccessDeniedException", ""),
    Refusal("ResumeSession", "me-0123", 400, "DoesNotExistException", ""),
    Refusal("StartSession", TARGET, 400, "TargetNotConnected", ""),
    Refusal("SendSSHPublicKey", TARGET, 404, "EC2InstanceNotFoundException", ""),
    Refusal("SendSSHPublicKey", TARGET, 400, "EC2InstanceStateInvalidException", ""),
    Refusal("SendSSHPublicKey", TARGET, 503, "EC2InstanceUnavailableException", ""),
    Refusal("StartInstances", TARGET, 500, "InsufficientInstanceCapacity", ""),
    Refusal("StartInstances", TARGET, 400, "InstanceLimitExceeded", ""),
    Refusal("SendCommand", TARGET, 400, "InvalidDocument", ""),
    Refusal("StartSession", TARGET, 400, "InvalidDocument", ""),
    Refusal("SendSSHPublicKey", TARGET, 400, "InvalidArgsException", ""),
    Refusal("StartSession", TARGET, 429, "", ""),
    Refusal("StartSession", TARGET, 503, "", ""),
    Refusal("TerminateSession", "me-0123", 400, "DoesNotExistException", ""),
]


@pytest.mark.parametrize(
    ("row", "refusal"),
    list(zip(TABLE, EXAMPLES, strict=True)),
    ids=[one.code or str(one.status) for one in EXAMPLES],
)
def test_each_row_has_a_refusal_that_it_is_for(settings: AwsSettings, row: Row, refusal: Refusal) -> None:
    assert row_for(refusal) is row
    error = explain(refusal, settings)
    assert type(error) is row.error
    assert "{" not in error.message + error.hint.replace("${", "")
    assert error.hint or row is TABLE[-1], "each sentence but the general one says what to do"
    if "{" not in row.message:
        assert error.message == row.message


@pytest.mark.parametrize("row", TABLE, ids=lambda row: "/".join(sorted(row.codes)[:1]) or "any")
def test_each_code_of_a_row_leads_to_a_row_of_that_error(row: Row) -> None:
    for code in row.codes:
        for suffix in ("", "Exception"):
            refusal = Refusal(row.operation or "StartSession", TARGET, 400, code + suffix, "".join(row.containing[:1]))
            assert row.matches(refusal)
            assert row_for(refusal) is row or TABLE.index(row_for(refusal)) < TABLE.index(row)
    for status in row.statuses:
        assert row_for(Refusal("StartSession", TARGET, status, "", "")) is row


def test_a_status_counts_where_a_code_says_nothing(settings: AwsSettings) -> None:
    assert isinstance(explain(Refusal("StartSession", TARGET, 429, "Unknown", ""), settings), errors.Throttled)
    assert isinstance(explain(Refusal("StartSession", TARGET, 503, "AccessDenied", ""), settings), errors.AccessDenied)


def test_a_command_document_is_not_called_a_session_document(settings: AwsSettings) -> None:
    said = sentence(settings, "InvalidDocument", "none such", operation="SendCommand")
    assert said.startswith("the command document does not exist")
    assert "push_document" in said


def test_what_is_cut_off_is_marked() -> None:
    assert errors.SsmSshError("x" * 500, "Do this").sentence(60) == "x" * 48 + "... Do this"
    assert errors.SsmSshError("It is so. ", "Do this").sentence() == "It is so. Do this"


def test_denied_names_action_and_resource(settings: AwsSettings) -> None:
    arn = f"arn:aws:ec2:eu-west-1:123456789012:instance/{TARGET}"
    said = sentence(
        settings,
        "AccessDeniedException",
        "User: arn:aws:sts::123456789012:assumed-role/dev/me is not authorized to perform: ssm:StartSession "
        f"on resource: {arn} because no identity-based policy allows the ssm:StartSession action",
    )
    assert said.startswith(
        f"ssm:StartSession is not allowed on {arn}: no identity-based policy allows it, in eu-west-1"
    )
    assert "Ask for an IAM policy" in said


@pytest.mark.parametrize(
    ("tail", "policy"),
    [
        ("with an explicit deny in a service control policy", "service control policy"),
        ("with an explicit deny in an identity-based policy: arn:aws:iam::1:policy/x", "identity-based policy"),
        ("with an explicit deny", "explicit deny"),
    ],
)
def test_explicit_deny(settings: AwsSettings, tail: str, policy: str) -> None:
    said = sentence(
        settings,
        "AccessDeniedException",
        f"User: arn:x is not authorized to perform: ssm:StartSession on resource: arn:aws:y {tail}",
    )
    assert said.startswith("ssm:StartSession is denied on arn:aws:y: an explicit deny")
    assert policy in said
    assert "No other policy can override this" in said


KINDS = [
    "identity-based policy",
    "resource-based policy",
    "session policy",
    "permissions boundary",
    "VPC endpoint policy",
    "service control policy",
    "resource control policy",
]


@pytest.mark.parametrize("tail", ["", ".", ": arn:aws:iam::123456789012:policy/x", ". Encoded message: 9aB"])
@pytest.mark.parametrize("prefix", ["", "You are not authorized to perform this operation. "])
@pytest.mark.parametrize("policy", KINDS)
def test_a_denial_keeps_its_reason(settings: AwsSettings, policy: str, prefix: str, tail: str) -> None:
    arn = f"arn:aws:ec2:eu-west-1:123456789012:instance/{TARGET}"
    user = "User: arn:aws:sts::123456789012:assumed-role/AWSReservedSSO_Administrator_0123456789abcdef/me@example.com"
    about = f"{prefix}{user} is not authorized to perform: ssm:StartSession on resource: {arn}"
    lacking = sentence(
        settings, "AccessDeniedException", f"{about} because no {policy} allows the ssm:StartSession action{tail}"
    )
    assert lacking.startswith(f"ssm:StartSession is not allowed on {arn}: no {policy} allows it, in ")
    assert ("Ask for an IAM policy" in lacking) == (policy == "identity-based policy")
    article = "an" if policy[0] == "i" else "a"
    explicit = sentence(settings, "AccessDeniedException", f"{about} with an explicit deny in {article} {policy}{tail}")
    assert explicit.startswith(f"ssm:StartSession is denied on {arn}: an explicit deny in the {policy}. ")
    for said in (lacking, explicit):
        assert len(said) <= 400


def test_a_reason_without_an_action_is_kept(settings: AwsSettings) -> None:
    said = sentence(settings, "AccessDenied", f"{'x' * 300} with an explicit deny in a service control policy")
    assert "an explicit deny in the service control policy" in said
    assert "No other policy" in said


def test_a_role_that_may_not_be_assumed(settings: AwsSettings) -> None:
    said = sentence(
        settings,
        "AccessDenied",
        "User: arn:x is not authorized to perform: sts:AssumeRole on resource: arn:y with an explicit deny in the role "
        "trust policy",
    )
    assert "an explicit deny in the role trust policy" in said


def test_denied_without_resource(settings: AwsSettings) -> None:
    said = sentence(settings, "AuthException", "not authorized to perform: ec2-instance-connect:SendSSHPublicKey")
    assert said.startswith("ec2-instance-connect:SendSSHPublicKey is not allowed in eu-west-1")


@pytest.mark.parametrize(
    "message", ["Signature expired: 20260101T000000Z is now earlier than", "Signature not yet current: x"]
)
def test_clock(settings: AwsSettings, message: str) -> None:
    assert "clock" in sentence(settings, "InvalidSignatureException", message)
    assert "time" in sentence(settings, "RequestTimeTooSkewed", "The difference between the request time and the skew")


def test_a_session_that_is_gone(settings: AwsSettings) -> None:
    gone = explain(Refusal("ResumeSession", "s", 400, "DoesNotExistException", "x"), settings)
    assert isinstance(gone, errors.SessionGone)
    other = explain(Refusal("TerminateSession", "s", 400, "DoesNotExistException", "x"), settings)
    assert not isinstance(other, errors.SessionGone)


@given(
    code=st.text(max_size=60)
    | st.sampled_from(["AccessDeniedException", "TargetNotConnected", "InvalidDocument", "AuthFailure"]),
    message=st.text(max_size=600)
    | st.text(max_size=600).map(lambda t: f"not authorized to perform: a:b on resource: {t}"),
    target=st.text(max_size=30),
    status=st.integers(300, 599),
)
def test_whatever_aws_says_becomes_one_printable_line(
    settings: AwsSettings, code: str, message: str, target: str, status: int
) -> None:
    refusal = Refusal("StartSession", target, status, code, message)
    error = explain(refusal, settings)
    assert all(" " <= character <= "~" for character in error.sentence())
    assert isinstance(refusal.throttled, bool)
    assert isinstance(refusal.transient, bool)


def test_profile_names_are_printable_in_sentences(tmp_path: object) -> None:
    settings = AwsSettings(
        profile="p\x1b[31m\n",
        explicit_profile=True,
        region="eu-west-1",
        files=load(region="x", env={"HOME": str(tmp_path)}).files,
        env={},
    )
    assert "\x1b" not in sentence(settings, "TargetNotConnected")


def test_an_endpoint_of_another_region_is_told_from_a_wrong_key(settings: AwsSettings) -> None:
    said = "Credential should be scoped to a valid region, not 'eu-west-1'. "
    failure = explain(Refusal("StartSession", TARGET, 400, "InvalidSignatureException", said), settings)
    assert type(failure) is errors.AwsError
    assert "does not belong to eu-west-1 (profile 'work')" in failure.sentence()


def test_how_profile_and_region_were_chosen_is_said(settings: AwsSettings) -> None:
    chosen = load(
        profile="work",
        region="eu-west-1",
        env=settings.env,
        origin="profile from AWS_PROFILE, region from the host name",
    )
    said = sentence(chosen, "TargetNotConnected")
    assert "eu-west-1 (profile 'work': profile from AWS_PROFILE, region from the host name)" in said
    assert "ssm-ssh doctor" in said
