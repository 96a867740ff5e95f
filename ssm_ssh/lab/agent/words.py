"""Splits a command into words, as the agent does for NonInteractiveCommands.

After github.com/google/shlex, which the agent uses: no variables, no globs, no operators, and `#` starts a comment
only where a word could start. A backslash quotes any character, also between double quotes.
"""

from __future__ import annotations

from collections.abc import Iterator

_SPACES = " \t\r\n"


class SplitFailed(Exception):
    """The command ends within quotes or after a backslash; the text is the agent's."""


def split(command: str) -> list[str]:
    """Return the words of `command`. Raises SplitFailed."""
    words: list[str] = []
    word: list[str] | None = None
    characters = iter(command)
    for character in characters:
        if word is None and character == "#":
            for character in characters:  # noqa: PLW2901 -- the comment is skipped
                if character == "\n":
                    break
        elif character in _SPACES:
            if word is not None:
                words.append("".join(word))
                word = None
        else:
            word = [] if word is None else word
            if character == "\\":
                word.append(_next(characters))
            elif character in "\"'":
                _quoted(characters, character, word)
            else:
                word.append(character)
    if word is not None:
        words.append("".join(word))
    return words


def _next(characters: Iterator[str]) -> str:
    for character in characters:
        return character
    raise SplitFailed("EOF found after escape character")


def _quoted(characters: Iterator[str], quote: str, word: list[str]) -> None:
    for character in characters:
        if character == quote:
            return
        word.append(_next(characters) if character == "\\" and quote == '"' else character)
    raise SplitFailed("EOF found when expecting closing quote")
