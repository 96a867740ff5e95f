"""docs/messages.md lists every sentence that a user can see, as the source has it."""

from __future__ import annotations

import pytest

from tests import messages


def test_the_list_of_messages_is_current() -> None:
    current = messages.MESSAGES.read_text(encoding="utf-8")
    assert current == messages.page(), "docs/messages.md is out of date; run: python -m tests.messages"


@pytest.mark.parametrize(
    ("source", "kind", "text"),
    [
        ('raise UsageError(f"cannot read {path}", "Run: chmod")', "error", "cannot read {path}"),
        ('raise UsageError("it is gone", f"Correct {self._path}")', "hint", "Correct {path}"),
        ('raise UsageError("it is gone", hint="Try again")', "hint", "Try again"),
        ('parser.add_argument("--x", help="show it all")', "help", "show it all"),
        ('print("all is well:", name)', "output", "all is well:"),
        ('log.info("asking again")', "notice", "asking again"),
        ('NAMES = {"a": "Ask for more"}', "text", "Ask for more"),
        ('x = "no answer" + (f" from {printable(host, 40)}" if host else "")', "text", "no answer[ from {host}]"),
        ('x = f\'a {one.name} is {n:g} {"bit" if small else "lot"}\'', "text", "a {name} is {n} [bit | lot]"),
    ],
)
def test_a_sentence_has_its_kind(source: str, kind: str, text: str) -> None:
    assert messages.Message(kind, text) in messages.of_python(source)


@pytest.mark.parametrize(
    "source",
    [
        '"""A docstring is not shown."""',
        're.compile("some words here")',
        'if reason == "Some words here": pass',
        'raise ValueError("for us alone")',
        'assert x, "for us alone"',
        'x: "Callable of text" = 1',
    ],
)
def test_what_no_user_sees_is_left_out(source: str) -> None:
    assert messages.of_python(source) == []


def test_the_script_of_the_installer_is_read() -> None:
    assert messages.of_shell('say "cannot create the folder $1"\n') == [
        messages.Message("output", "cannot create the folder $1")
    ]
