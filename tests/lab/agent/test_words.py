"""The agent's words are not quite a shell's."""

from __future__ import annotations

import pytest

from ssm_ssh.lab.agent.words import SplitFailed, split


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("ls -l /tmp", ["ls", "-l", "/tmp"]),
        ("  a\tb\r\nc  ", ["a", "b", "c"]),
        ("""sh -c 'echo "$HOME"; exit 3'""", ["sh", "-c", 'echo "$HOME"; exit 3']),
        (r"a\ b \"c\" '\n' ", ["a b", '"c"', "\\n"]),
        (r'"a \x \" b"', ['a x " b']),
        ("a'b'\"c\"d", ["abcd"]),
        ("'' \"\" x", ["", "", "x"]),
        ("echo # no\nwords", ["echo", "words"]),
        ("a#b", ["a#b"]),
        ("a && b | c > d; *", ["a", "&&", "b", "|", "c", ">", "d;", "*"]),
        ("é\u3000ü", ["é\u3000ü"]),
        ("# nothing", []),
        ("", []),
    ],
)
def test_a_command_is_split_into_words(command: str, words: list[str]) -> None:
    assert split(command) == words


@pytest.mark.parametrize(
    ("command", "text"),
    [
        ("a 'b", "EOF found when expecting closing quote"),
        ('a "b', "EOF found when expecting closing quote"),
        ("a\\", "EOF found after escape character"),
        ('"a\\', "EOF found after escape character"),
    ],
)
def test_an_open_quote_is_an_error(command: str, text: str) -> None:
    with pytest.raises(SplitFailed, match=text):
        split(command)
