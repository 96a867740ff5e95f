"""PURE: "did you mean": the known names that an unknown word resembles."""

from __future__ import annotations

from ssm_ssh.startup import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

# The share of a word that must agree. Below it, the suggestions mislead more often than they help.
_SIMILARITY = 0.6
_MOST_SUGGESTED = 3
_MOST_LISTED = 8
# How much less similar than the closest another name may be to be suggested with it.
_AS_GOOD = 0.1
# The comparison takes time that grows with the square of the length, and no name is longer.
_LONGEST_WORD = 80


def similar(word: str, known: Iterable[str]) -> list[str]:
    """Return up to three of the names in `known` that resemble `word`, the closest first."""
    import difflib

    matcher = difflib.SequenceMatcher(None, "", word[:_LONGEST_WORD].lower())
    ranked = []
    for name in known:
        matcher.set_seq1(name.lower())
        ranked.append((matcher.ratio(), name))
    ranked.sort(key=lambda entry: -entry[0])
    least = max(_SIMILARITY, ranked[0][0] - _AS_GOOD) if ranked else 0.0
    return [name for ratio, name in ranked[:_MOST_SUGGESTED] if ratio >= least]


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return a question that names what `word` resembles, "" where it resembles nothing."""
    close = similar(word, known)
    return f"Did you mean {' or '.join(close)}?" if close else ""


def hint(word: str, known: Iterable[str], plural: str) -> str:
    """Return `did_you_mean`, or else the first of the known names, introduced by `plural`, such as "Commands"."""
    names = list(known)
    question = did_you_mean(word, names)
    if question or not names:
        return question
    more = f" and {len(names) - _MOST_LISTED} more" if len(names) > _MOST_LISTED + 4 else ""
    return f"{plural}: {', '.join(names[:_MOST_LISTED] if more else names)}{more}"
