"""The order of causes: what has to be put right first, and the exit status that says so."""

from __future__ import annotations

import itertools

import pytest

from ssm_ssh.doctor import causes
from ssm_ssh.doctor.finding import Finding, State

NAMES = [name for layer in causes.LAYERS for name in layer.names]


def finding(name: str, state: State = State.PROBLEM) -> Finding:
    return Finding(name, state, "evidence")


def test_each_name_has_one_place() -> None:
    assert len(NAMES) == len(set(NAMES))
    assert len({layer.status for layer in causes.LAYERS}) == len(causes.LAYERS)


@pytest.mark.parametrize("turned", [False, True])
def test_of_every_pair_of_problems_the_earlier_comes_first(turned: bool) -> None:
    for earlier, later in itertools.combinations(NAMES, 2):
        pair = [finding(later), finding(earlier)] if turned else [finding(earlier), finding(later)]
        first = causes.first(pair)
        assert first is not None
        assert first.name == earlier
        assert [item.name for item in causes.ordered(pair)] == [earlier, later]
        assert causes.exit_status(pair) == causes.layer(earlier).status


def test_what_was_not_checked_is_no_success_unless_a_session_worked() -> None:
    unseen = finding("network", State.NOT_CHECKED)
    assert causes.exit_status([finding("instance", State.OK)]) == 0
    assert causes.exit_status([unseen]) == causes.UNSEEN
    assert causes.exit_status([unseen, finding("session", State.OK)]) == 0
    assert causes.exit_status([unseen, finding("agent")]) == 16


def test_a_name_that_no_layer_has_comes_last() -> None:
    pair = [finding("something new"), finding("sshd")]
    assert [item.name for item in causes.ordered(pair)] == ["sshd", "something new"]
    assert causes.layer("something new") is causes.LAYERS[-1]


def test_a_session_that_works_refutes_what_was_concluded() -> None:
    concluded = [finding("identity", State.OK), finding("rights"), finding("network: egress"), finding("session key")]
    after = causes.after_session(concluded, finding("session", State.OK))
    assert [item.state for item in after] == [State.OK, State.WARNING, State.WARNING, State.PROBLEM, State.OK]
    assert causes.after_session(concluded, finding("sshd"))[2].state is State.WARNING


def test_an_agent_that_is_away_adds_nothing_to_its_cause() -> None:
    known = [finding("network: route")]
    assert causes.after_session(known, finding("agent")) == known
    assert causes.after_session([], finding("agent")) == [finding("agent")]


def test_a_refusal_replaces_a_simulation() -> None:
    real = Finding("rights", State.PROBLEM, "ssm:StartSession is denied by a service control policy")
    assert causes.after_session([finding("rights", State.OK)], real) == [real]
