"""What looks like a refused login, and what must not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssm_ssh.tunnel.login_outcome import LoginOutcome


def login(*turns: int, seconds: float = 0.1) -> LoginOutcome:
    """A login whose turns are the client's and the server's by turns, beginning with the client's."""
    watched = LoginOutcome()
    for number, count in enumerate(turns):
        (watched.heard if number % 2 else watched.sent)(count, 100.0 + number * seconds)
    return watched


# As seen from OpenSSH 9.2: SERVICE_REQUEST, none, one key.
REFUSED = (60, 44, 68, 44, 140, 44)
BANNER = (60, 44, 68, 3000, 140, 44)
IN = (60, 44, 68, 44, 140, 100, 370, 360, 200, 70)


@pytest.mark.parametrize("turns", [REFUSED, BANNER, (*REFUSED, 140, 44), (*REFUSED, *((600, 90) * 5))])
def test_a_refusal(turns: tuple[int, ...]) -> None:
    assert login(*turns).looks_refused


@pytest.mark.parametrize(
    "turns",
    [(), (60,), (60, 44), (60, 44, 68, 44), REFUSED[:-1], IN, IN[:-2], (*IN, 100), (*REFUSED, 200, 360), REFUSED * 10],
    ids=["nothing", "asked", "no methods", "no keys", "aborted", "in", "-N", "goodbye", "password", "much"],
)
def test_what_is_none(turns: tuple[int, ...]) -> None:
    assert not login(*turns).looks_refused


@pytest.mark.parametrize("turns", [IN, IN[:-2], (*REFUSED, 140, 200)])
def test_who_was_let_in(turns: tuple[int, ...]) -> None:
    assert login(*turns).accepted


@pytest.mark.parametrize("turns", [(), (60, 3000), REFUSED, BANNER, REFUSED * 3])
def test_who_was_not(turns: tuple[int, ...]) -> None:
    assert not login(*turns).accepted


def test_ctrl_c_and_patience() -> None:
    interrupted = login(*REFUSED)
    interrupted.interrupted = True
    assert not interrupted.looks_refused
    assert not login(*REFUSED, seconds=60).looks_refused


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 5000)), max_size=60))
def test_pieces_make_no_difference(steps: list[tuple[bool, int]]) -> None:
    whole, pieces = LoginOutcome(), LoginOutcome()
    for server, count in steps:
        (whole.heard if server else whole.sent)(count, 1.0)
        for part in (count // 2, count - count // 2):
            if part:
                (pieces.heard if server else pieces.sent)(part, 1.0)
    assert whole.looks_refused == pieces.looks_refused


def test_a_client_that_offers_its_key_at_once_has_a_turn_less() -> None:
    """Paramiko asks for no methods first."""
    assert not login(60, 44, 300, 44).looks_refused
    direct = LoginOutcome()
    direct.asks_first = False
    for number, count in enumerate((60, 44, 300, 44)):
        (direct.heard if number % 2 else direct.sent)(count, 100.0 + number)
    assert direct.looks_refused
    assert not direct.accepted
    direct.sent(100, 105.0)
    direct.heard(600, 106.0)
    assert direct.accepted
    assert not direct.looks_refused
