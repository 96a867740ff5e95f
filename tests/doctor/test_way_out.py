"""The way from this computer to AWS's endpoints, and who stands in it."""

from __future__ import annotations

import pytest

from ssm_ssh.doctor import way_out
from ssm_ssh.doctor.finding import State
from ssm_ssh.doctor.way_out import Route

SSM, GATEWAY = "ssm.eu-central-1.amazonaws.com", "ssmmessages.eu-central-1.amazonaws.com"
UNKNOWN = ("the TLS certificate of ssm has an unknown issuer", "Point AWS_CA_BUNDLE at a file")
SILENT = (f"{SSM}:443 did not answer in time", "Check the network")


def reached(**more: object) -> Route:
    return Route(SSM, **{"address": "52.94.0.1", "issuer": "'Amazon'", "own": True, **more})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("route", "evidence"),
    [
        (reached(), f"{SSM}: reached at 52.94.0.1"),
        (reached(address="10.0.0.7"), f"{SSM}: reached at the private address 10.0.0.7"),
        (reached(address="fe80::1%eth0"), f"{SSM}: reached at the private address fe80::1%eth0"),
        (reached(address="127.0.0.1"), f"{SSM}: reached at 127.0.0.1"),
        (reached(address="", proxy="proxy:3128"), f"{SSM}: reached through the proxy proxy:3128"),
        (reached(address=""), f"{SSM}: reached"),
        (reached(own=False, issuer="'A lab'"), f"{SSM}: reached at 52.94.0.1"),
    ],
)
def test_an_endpoint_that_is_reached(route: Route, evidence: str) -> None:
    [finding] = way_out.check([route])
    assert (finding.name, finding.state, finding.evidence) == (way_out.NAME, State.OK, evidence)


def test_a_trusted_proxy_that_inspects_is_named() -> None:
    fine, warning = way_out.check([reached(issuer="'Example Inspection CA'"), reached()])
    assert (fine.state, warning.state) == (State.OK, State.WARNING)
    assert f"the certificate of {SSM} is issued by 'Example Inspection CA'" in warning.evidence


@pytest.mark.parametrize(
    ("route", "words"),
    [
        (reached(error=UNKNOWN, issuer="'Corp CA'"), "issued by 'Corp CA', not by AWS: TLS is inspected on the way"),
        (reached(error=UNKNOWN, issuer="'Corp CA'", own=False), "unknown issuer. It is issued by 'Corp CA'"),
        (reached(error=("it has expired", "Check the clock")), "it has expired. It is issued by 'Amazon'"),
        (reached(error=SILENT, issuer="", proxy="proxy:3128"), "HTTPS_PROXY sends it through proxy:3128"),
        (reached(error=SILENT, issuer="", address="10.1.2.3"), "leads to the private address 10.1.2.3"),
        (reached(error=SILENT, issuer=""), SILENT[0]),
    ],
)
def test_an_endpoint_that_is_not_reached(route: Route, words: str) -> None:
    [finding] = way_out.check([route])
    assert (finding.name, finding.state) == (way_out.NAME, State.PROBLEM)
    assert finding.evidence.endswith(words)
    assert finding.todo


def test_all_endpoints_that_are_not_reached_are_one_problem() -> None:
    other = Route(GATEWAY, error=("no answer", "Wait"))
    [finding] = way_out.check([reached(error=SILENT, issuer=""), other])
    assert finding.evidence == f"{SILENT[0]}. {GATEWAY} cannot be reached either"
    [finding] = way_out.check([reached(), other])
    assert finding.evidence == "no answer"
