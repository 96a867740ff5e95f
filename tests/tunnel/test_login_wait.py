"""How long each step before the login is waited for, in virtual time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssm_ssh.errors import NetworkError
from ssm_ssh.tunnel.login_wait import (
    BANNER,
    CLOSED_PORT,
    CONNECT,
    FAIL,
    GAP,
    HANDSHAKE,
    KEY_EXCHANGE,
    LIMIT,
    NOTHING,
    QUIET,
    SERVER_SILENT,
    START,
    STOPPED,
    TELL,
    TELL_AFTER,
    LoginWait,
    awaited_sentence,
    overdue,
    step,
)

STEPS = (START, CONNECT, HANDSHAKE, GAP, BANNER, KEY_EXCHANGE)
WEB = ("i-0123456789abcdef0", 22)


def verdicts(awaited: str, seconds: float, pace: float = 0.5) -> list[tuple[float, str]]:
    """What is decided, and when, while nothing happens."""
    wait = LoginWait(0.0)
    out = []
    now = 0.0
    while now <= seconds:
        verdict = wait.look(awaited, now)
        if verdict != QUIET:
            out.append((now, verdict))
        if verdict == FAIL:
            break
        now += pace
    return out


@pytest.mark.parametrize("awaited", [one for one in STEPS if one != START])
def test_a_step_that_is_not_taken_is_told_and_then_given_up(awaited: str) -> None:
    assert verdicts(awaited, 100) == [(TELL_AFTER, TELL), (LIMIT, FAIL)]


def test_the_start_of_a_session_is_told_and_left_to_its_own_deadline() -> None:
    assert verdicts(START, 100) == [(TELL_AFTER, TELL)]


def test_what_is_ours_to_do_is_neither_told_nor_given_up() -> None:
    assert verdicts(NOTHING, 300) == []


def test_a_person_who_is_asked_first_costs_no_time() -> None:
    wait = LoginWait(0.0)
    for second in range(120):
        assert wait.look(NOTHING, float(second)) == QUIET
    assert wait.look(CONNECT, 120.0) == QUIET
    assert wait.look(CONNECT, 122.0) == QUIET
    assert wait.look(CONNECT, 124.0) == TELL


def test_bytes_that_are_not_acknowledged_before_the_banner_tell_of_a_closed_port() -> None:
    wait = LoginWait(0.0)
    assert wait.look(BANNER, 0.0, unacknowledged=True) == QUIET
    assert wait.look(BANNER, CLOSED_PORT, unacknowledged=True) == SERVER_SILENT


@given(st.lists(st.tuples(st.sampled_from([CONNECT, HANDSHAKE, GAP]), st.floats(0.01, 9.0)), min_size=1))
def test_a_session_that_breaks_again_and_again_before_its_handshake_ends_in_time(
    turns: list[tuple[str, float]],
) -> None:
    wait = LoginWait(0.0)
    wait.look(HANDSHAKE, 0.0)
    now = 0.0
    for awaited, passed in turns:
        now += passed
        assert (wait.look(awaited, now) == FAIL) == (now >= LIMIT)
        if now >= LIMIT:
            return


@given(st.lists(st.floats(0.01, 9.9), min_size=4, max_size=4))
def test_each_step_has_its_own_time(passed: list[float]) -> None:
    wait = LoginWait(0.0)
    now = 0.0
    for awaited, more in zip((CONNECT, HANDSHAKE, BANNER, KEY_EXCHANGE), passed, strict=True):
        wait.look(awaited, now)
        now += more
        assert wait.look(awaited, now) != FAIL


def test_another_session_has_its_own_time() -> None:
    wait = LoginWait(0.0)
    wait.look(BANNER, 0.0)
    for second in range(5, 30, 5):
        wait.look(BANNER, float(second))
    wait.restart(29.0)
    assert wait.look(CONNECT, 31.0) == QUIET


@given(st.floats(STOPPED, 1e6))
def test_the_time_while_the_program_was_stopped_does_not_count(away: float) -> None:
    wait = LoginWait(0.0)
    wait.look(HANDSHAKE, 0.0)
    assert wait.look(HANDSHAKE, away) == QUIET


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ({}, NOTHING),
        ({"asking": True}, START),
        ({"session": True}, CONNECT),
        ({"session": True, "connected": True}, HANDSHAKE),
        ({"session": True, "connected": True, "gap": True}, GAP),
        ({"session": True, "connected": True, "established": True}, BANNER),
        ({"session": True, "connected": True, "established": True, "banner": True}, NOTHING),
        (
            {"session": True, "connected": True, "established": True, "banner": True, "exchanging": True},
            KEY_EXCHANGE,
        ),
        ({"session": True, "established": True, "banner": True, "exchanging": True}, CONNECT),
    ],
)
def test_the_step_that_is_awaited(state: dict[str, bool], expected: str) -> None:
    names = ("session", "connected", "established", "gap", "banner", "exchanging", "asking")
    assert step(**{name: state.get(name, False) for name in names}) == expected


def test_each_error_names_the_culprit() -> None:
    culprits = {
        CONNECT: "no connection to the session",
        HANDSHAKE: "the SSM Agent on i-0123456789abcdef0 has not begun the session: no handshake",
        GAP: "its first message is missing",
        BANNER: "sshd on port 22 of i-0123456789abcdef0 has sent no banner",
        KEY_EXCHANGE: "sshd on port 22 of i-0123456789abcdef0 stopped in the middle of the key exchange",
    }
    for awaited, words in culprits.items():
        assert words in overdue(awaited, *WEB, None).sentence()
    assert "it broke" in overdue(CONNECT, *WEB, NetworkError("it broke")).sentence()
    for awaited in STEPS:
        assert awaited_sentence(awaited, *WEB).startswith("waiting for ")
