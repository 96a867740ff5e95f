"""Who asks, as far as AWS tells."""

from __future__ import annotations

import pytest

from ssm_ssh.doctor import caller
from ssm_ssh.doctor.finding import State
from ssm_ssh.errors import AwsError, CredentialsError, NetworkError, SsmSshError

ARN = "arn:aws:sts::123456789012:assumed-role/dev/alice"


def test_the_identity_and_the_time_that_is_left() -> None:
    [finding] = caller.check({"Arn": ARN}, expires=5000.0, now=200.0, skew=None)
    assert (finding.state, finding.evidence) == (State.OK, f"{ARN}, valid for 1 h 20 min")
    [finding] = caller.check({"Arn": ARN}, expires=300.0, now=200.0, skew=None)
    assert (finding.state, finding.evidence) == (State.NOTE, f"{ARN}, valid for 1 min 40 s")
    [finding] = caller.check({"Arn": ARN}, expires=None, now=200.0, skew=None)
    assert finding.evidence == ARN


def test_a_clock_that_agrees_is_good() -> None:
    for skew in (0.0, -59.0, 59.0):
        _, clock = caller.check({"Arn": ARN}, expires=None, now=0.0, skew=skew)
        assert (clock.name, clock.state) == ("clock", State.OK)


def test_a_clock_that_differs_is_a_warning() -> None:
    for skew, words in ((290.0, "290 s behind AWS's. From five"), (-400.0, "400 s ahead of AWS's, which makes")):
        _, clock = caller.check({"Arn": ARN}, expires=None, now=0.0, skew=skew)
        assert (clock.name, clock.state) == ("clock", State.WARNING)
        assert words in clock.evidence


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (CredentialsError("there are none", "Make some"), "credentials"),
        (AwsError("the token has expired", code="ExpiredToken"), "identity"),
        (NetworkError("no route to host", "Check the network"), "connection to AWS"),
    ],
)
def test_missing_and_refused_credentials_and_a_network_that_leads_nowhere(error: SsmSshError, name: str) -> None:
    finding = caller.failed(error)
    assert finding == (name, State.PROBLEM, error.message, error.hint)
