"""What the caller may do, and what could not be seen of it."""

from __future__ import annotations

import pytest

from ssm_ssh.doctor import rights
from ssm_ssh.doctor.answers import Answer, Unseen
from ssm_ssh.doctor.finding import State
from tests.doctor.conftest import Account
from tests.lab.api.conftest import EDGE, WEB

DENIED = Unseen("iam:SimulatePrincipalPolicy", "denied", "AccessDenied")


def simulated(*denied: str) -> dict[str, Answer]:
    def results(*names: str) -> Answer:
        decided = [(name, "implicitDeny" if name in denied else "allowed") for name in names]
        return {"EvaluationResults": [{"EvalActionName": name, "EvalDecision": word} for name, word in decided]}

    return {
        rights.START: results(rights.NEEDED),
        rights.RUN: results(rights.COMMANDS),
        rights.KEYS: results(rights.EIC, rights.CONSOLE),
    }


def found(answers: dict[str, Answer]) -> dict[str, State]:
    return {finding.name: finding.state for finding in rights.check(answers)}


def test_everything_that_is_allowed_is_one_line() -> None:
    assert found(simulated()) == {"rights": State.OK}


def test_what_is_denied_is_named() -> None:
    assert found(simulated(rights.NEEDED)) == {"rights": State.PROBLEM}
    assert found(simulated(rights.EIC)) == {"rights": State.OK}
    assert found(simulated(rights.EIC, rights.COMMANDS))["rights: keys"] is State.WARNING
    assert found(simulated(rights.CONSOLE))["rights: host keys"] is State.NOTE


def test_one_resource_that_is_denied_is_enough() -> None:
    answers = simulated()
    results = [{"EvalResourceDecision": "allowed"}, {"EvalResourceDecision": "explicitDeny"}]
    one = {"EvalActionName": rights.NEEDED, "EvalDecision": "allowed", "ResourceSpecificResults": results}
    assert found({**answers, rights.START: {"EvaluationResults": [one]}}) == {"rights": State.PROBLEM}


def test_of_a_managed_node_run_command_is_the_only_way() -> None:
    answers = {key: value for key, value in simulated(rights.COMMANDS).items() if key != rights.KEYS}
    assert found(answers)["rights: keys"] is State.WARNING


def test_without_simulation_nothing_is_called_good() -> None:
    unseen: dict[str, Answer] = dict.fromkeys((rights.START, rights.RUN, rights.KEYS), DENIED)
    [finding] = rights.check(unseen)
    assert (finding.name, finding.state) == ("rights", State.NOT_CHECKED)
    assert "iam:SimulatePrincipalPolicy" in finding.evidence


@pytest.mark.parametrize(
    ("simulation", "dry", "noted"),
    [
        ((), Unseen("ec2:GetConsoleOutput", "denied", "UnauthorizedOperation"), True),
        ((rights.CONSOLE,), Unseen("", "it would have succeeded", "DryRunOperation"), False),
        ((rights.CONSOLE,), Unseen("", "no route to host"), True),
    ],
)
def test_a_dry_run_counts_more_than_a_simulation(simulation: tuple[str, ...], dry: Unseen, noted: bool) -> None:
    answers = {**simulated(*simulation), rights.DRY_RUN: dry}
    assert ("rights: host keys" in found(answers)) is noted


@pytest.mark.parametrize("instance_id", [WEB, EDGE])
def test_the_lab_answers_as_aws_does(account: Account, instance_id: str) -> None:
    api = account.api()
    caller = "arn:aws:iam::" + account.state.account + ":user/admin"
    assert found(rights.collect(api, caller, instance_id)) == {"rights": State.OK}
