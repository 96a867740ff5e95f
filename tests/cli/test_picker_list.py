"""A list that what is typed narrows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssm_ssh.cli.picker_list import CANCELLED, PICKED, PickerList

LINES = ("web-1  i-01  Ubuntu", "Web-2  i-02  Ubuntu", "db  i-03  Debian")
UP, DOWN = b"\x1b[A", b"\x1bOB"


def after(*keys: bytes) -> PickerList:
    choice = PickerList(LINES)
    for key in keys:
        assert choice.feed(key) == ""
    return choice


def test_what_is_typed_narrows_whatever_the_case() -> None:
    assert after(b"WEB").matching == [0, 1]
    assert after(b"ubuntu 2").matching == [1]
    assert after(b"ubuntux", b"\x7f").matching == [0, 1]
    assert after(b"zzz").choice is None
    assert after(b"zzz", b"\x15").matching == [0, 1, 2]


def test_arrows_move_within_the_list() -> None:
    assert after(DOWN).choice == 1
    assert after(DOWN, b"\x0e", b"\t", DOWN).choice == 2
    assert after(DOWN, UP, b"\x10").choice == 0
    assert after(DOWN, b"db").choice == 2
    assert after(b"zzz", DOWN).choice is None


def test_enter_picks_where_something_matches() -> None:
    assert PickerList(LINES).feed(b"db\r") == PICKED
    assert after(b"zzz\r").choice is None


@pytest.mark.parametrize("key", [b"\x03", b"\x04", b"\x1b"])
def test_it_can_be_cancelled(key: bytes) -> None:
    assert PickerList(LINES).feed(key) == CANCELLED


def test_unknown_keys_mean_nothing() -> None:
    assert after(b"\x1b[5~\x1b[1;5C\x1bOP\xc3\xa9\x00").matching == [0, 1, 2]
    assert len(after(b"x" * 500).screen(200, 10)[0]) < 100


def test_the_screen_marks_a_line_and_fits() -> None:
    screen = after(b"web", DOWN).screen(80, 10)
    assert screen[0] == "instance> web"
    assert screen[1:3] == ["  web-1  i-01  Ubuntu", "> Web-2  i-02  Ubuntu"]
    assert screen[3].strip().startswith("2 of 3")


@given(st.integers(2, 200), st.integers(1, 30), st.integers(0, 300), st.integers(1, 300))
def test_the_marked_line_is_always_shown(columns: int, rows: int, downs: int, count: int) -> None:
    choice = PickerList([f"{number:04}" for number in range(count)])
    choice.feed(DOWN * downs)
    screen = choice.screen(columns, rows)
    assert len(screen) <= rows
    assert all(len(line) < columns for line in screen)
    if columns > 6 and rows > 2:
        assert f"> {choice.choice:04}" in screen
