from __future__ import annotations

import pytest

from ssm_ssh.suggest import did_you_mean, hint


@pytest.mark.parametrize(
    ("word", "known", "question"),
    [
        ("lst", ["list", "lab"], "Did you mean list?"),
        ("PROD", ["prod", "dev"], "Did you mean prod?"),
        ("eu-wset-1", ["eu-west-1", "us-east-1"], "Did you mean eu-west-1?"),
        ("nonsense", ["list"], ""),
        ("x" * 100_000, ["list"], ""),
        ("", ["list"], ""),
    ],
)
def test_a_word_that_resembles_a_name(word: str, known: list[str], question: str) -> None:
    assert did_you_mean(word, known) == question


def test_where_nothing_is_similar_the_names_are_listed() -> None:
    assert hint("zzz", ["list", "lab"], "Commands") == "Commands: list, lab"
    assert hint("zzz", [f"n{number:02}" for number in range(20)], "Names").endswith("n07 and 12 more")
    assert hint("zzz", [], "Names") == ""
