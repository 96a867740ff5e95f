"""Escapes are taken out of what is typed, and nothing else is."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssm_ssh.shell.escapes import HELP, TABLE, Action, At, Escapes, Key

TYPED = st.lists(st.sampled_from([b"~", b".", b"?", b"\x1a", b"\r", b"\n", b"x", b"\x03", "日".encode()])).map(b"".join)


def feed(*pieces: bytes) -> list[bytes | Action]:
    escapes = Escapes()
    out: list[bytes | Action] = []
    for piece in pieces:
        for item in escapes.feed(piece):
            if out and isinstance(item, bytes) and isinstance(out[-1], bytes):
                out[-1] += item
            else:
                out.append(item)
    return out


@pytest.mark.parametrize(
    ("typed", "out"),
    [
        (b"~.", [Action.LEAVE]),
        (b"ls\r~.", [b"ls\r", Action.LEAVE]),
        (b"ls\n~.lost", [b"ls\n", Action.LEAVE]),
        (b"~?", [Action.HELP]),
        (b"~\x1a", [Action.SUSPEND]),
        (b"~?~.", [Action.HELP, Action.LEAVE]),
        (b"~~", [b"~"]),
        (b"~~.", [b"~."]),
        (b"~~~.", [b"~~."]),
        (b"~x", [b"~x"]),
        (b"~\r~.", [b"~\r", Action.LEAVE]),
        (b"a~.", [b"a~."]),
        (b"cd ~\r", [b"cd ~\r"]),
        (b".?\x1a\x03\x1c", [b".?\x1a\x03\x1c"]),
        (b"", []),
    ],
)
def test_what_is_typed(typed: bytes, out: list[bytes | Action]) -> None:
    assert feed(typed) == out
    assert feed(*(typed[i : i + 1] for i in range(len(typed)))) == out[: len(out)] or Action.LEAVE in out


@given(TYPED, st.lists(st.integers(0, 40)))
def test_how_it_is_cut_does_not_matter(typed: bytes, cuts: list[int]) -> None:
    whole = feed(typed)
    if Action.LEAVE in whole:
        typed = typed[: typed.index(b"~.") + 2]
        whole = feed(typed)
    bounds = sorted({0, len(typed), *(cut for cut in cuts if cut < len(typed))})
    pieces = [typed[a:b] for a, b in itertools.pairwise(bounds)]
    if Action.LEAVE not in whole:
        assert feed(*pieces) == whole


@given(st.binary(max_size=3000))
def test_without_a_tilde_every_byte_is_sent(typed: bytes) -> None:
    typed = typed.replace(b"~", b"-")
    assert feed(typed) == ([typed] if typed else [])


@given(TYPED)
def test_every_byte_is_sent_or_belongs_to_an_escape(typed: bytes) -> None:
    out = feed(typed)
    escapes = {Action.LEAVE: b"~.", Action.HELP: b"~?", Action.SUSPEND: b"~\x1a"}
    told = b"".join(item if isinstance(item, bytes) else escapes[item] for item in out)
    assert len(told) <= len(typed)
    assert told.replace(b"~", b"") == typed.replace(b"~", b"")[: len(told.replace(b"~", b""))]


def test_the_table_knows_every_case() -> None:
    assert set(TABLE) == set(At)
    assert all(set(steps) == set(Key) for steps in TABLE.values())


def test_the_help_names_every_escape() -> None:
    text = "\n".join(HELP)
    assert all(escape in text for escape in ("~.", "~^Z", "~?", "~~"))
