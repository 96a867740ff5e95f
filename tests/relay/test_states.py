"""The table of states is whole, and every state leads to the end."""

from __future__ import annotations

import pytest

from ssm_ssh.relay import states
from ssm_ssh.relay.states import CLOSED, CLOSING, LINGERING, OVER, TRANSITIONS, IllegalTransition, State, following

EVENTS = {event for row in TRANSITIONS.values() for event in row}


def test_every_state_has_its_row() -> None:
    assert set(TRANSITIONS) == set(State)


def test_every_state_but_the_first_is_reached() -> None:
    assert {state for row in TRANSITIONS.values() for state in row.values()} == set(State)


@pytest.mark.parametrize("state", State)
def test_every_state_can_end(state: State) -> None:
    if state not in (CLOSING, OVER):
        assert following(state, CLOSED) is CLOSING
    reached, before = {state}, set[State]()
    while reached != before:
        before = set(reached)
        reached |= {after for one in before for after in TRANSITIONS[one].values()}
    assert OVER in reached


def test_no_way_leads_back_from_an_end() -> None:
    for state in (LINGERING, CLOSING, OVER):
        assert set(TRANSITIONS[state].values()) <= {CLOSING, OVER}


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("event", sorted(EVENTS))
def test_an_event_that_the_table_does_not_list_raises(state: State, event: str) -> None:
    if event in TRANSITIONS[state]:
        assert following(state, event) is TRANSITIONS[state][event]
    else:
        with pytest.raises(IllegalTransition, match=state.value):
            following(state, event)


def test_the_names_of_the_module_are_the_members() -> None:
    assert {getattr(states, one.name) for one in State} == set(State)
