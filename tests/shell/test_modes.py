"""What a program that was cut off has left switched on is switched off again."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssm_ssh.shell.modes import Modes

VIM = b"\x1b[?1049h\x1b[22;0;0t\x1b[?1h\x1b=\x1b[?2004h\x1b[?1004h\x1b[1;24r\x1b[?25l\x1b[?25h"
VIM_LEFT = b"\x1b[?1004l\x1b[?2004l\x1b[?1l\x1b>\x1b[?1049l\x1b[23;0;0t"


def undo(*pieces: bytes) -> bytes:
    modes = Modes()
    for piece in pieces:
        modes.feed(piece)
    return modes.undo()


def test_plain_output_leaves_nothing() -> None:
    assert undo(b"hello\r\n", b"\xff" * 5000) == b""


def test_colours_alone_leave_nothing() -> None:
    assert undo(b"\x1b[31mred\x1b[0m") == b""


def test_a_program_that_has_ended_leaves_nothing() -> None:
    assert undo(VIM, VIM_LEFT) == b""


def test_a_program_that_was_cut_off_leaves_what_it_had_set() -> None:
    left = undo(VIM)
    assert left.startswith(b"\x1b[?1l\x1b[?1004l\x1b[?2004l\x1b[?1049l")
    assert b"\x1b>" in left
    assert left.endswith(b"\x1b[0m\x1b(B")


def test_a_hidden_cursor_is_shown_again() -> None:
    assert b"\x1b[?25h" in undo(b"\x1b[?25l")
    assert undo(b"\x1b[?25l\x1b[?25h") == b""


def test_several_modes_in_one_sequence_count_each() -> None:
    assert undo(b"\x1b[?1000;1006h\x1b[?1000l") == b"\x1b[?1006l\x1b[0m\x1b(B"


@pytest.mark.parametrize("reset", [b"\x1bc", b"\x1b[!p"])
def test_a_reset_leaves_nothing(reset: bytes) -> None:
    assert undo(VIM, reset) == b""


def test_a_number_that_no_terminal_has_is_passed_over() -> None:
    assert undo(b"\x1b[?99999;;2004h") == b"\x1b[?2004l\x1b[0m\x1b(B"


@given(st.lists(st.integers(1, len(VIM + VIM_LEFT))), st.booleans())
def test_how_it_is_cut_does_not_matter(cuts: list[int], ended: bool) -> None:
    data = VIM + VIM_LEFT * ended
    bounds = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    assert undo(*(data[a:b] for a, b in itertools.pairwise(bounds))) == undo(data)


@given(st.lists(st.binary(max_size=100)))
def test_any_output_is_survived(pieces: list[bytes]) -> None:
    assert len(undo(*pieces)) < 300
    assert len(undo(b"\x1b" + b"[" * 10_000, *pieces)) < 300
