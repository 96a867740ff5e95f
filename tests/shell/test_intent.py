"""Whether the last line typed was meant to end the shell."""

from __future__ import annotations

import pytest

from ssm_ssh.shell.intent import LastLine


def leaves(*typed: bytes) -> bool:
    line = LastLine()
    for piece in typed:
        line.feed(piece)
    return line.leaves


@pytest.mark.parametrize(
    "typed",
    [b"exit\r", b"ls\rexit 3\r", b"make; exit\n", b"\x04", b"x\r\x04", b"logout\r", b"sudo reboot\r", b"exec true\r"],
)
def test_it_was(typed: bytes) -> None:
    assert leaves(typed)
    assert leaves(*(typed[i : i + 1] for i in range(len(typed))))


@pytest.mark.parametrize("typed", [b"", b"sleep 60\r", b"exit", b"exit\rls\r", b"echo exits\r", b"\x04x", b"\x03"])
def test_it_was_not(typed: bytes) -> None:
    assert not leaves(typed)


def test_only_the_end_of_a_paste_is_kept() -> None:
    assert leaves(b"x" * 1_000_000, b"\rexit\r")
