"""Arguments of the simplest form, read without argparse, which costs each connection eight milliseconds.

A command that is started for every connection tries this first. Everything else, and every error, is argparse's.
"""

from __future__ import annotations

from ssm_ssh.startup import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any


def read(
    argv: Sequence[str], options: Sequence[str], switches: Sequence[str]
) -> tuple[dict[str, Any], list[str]] | None:
    """Return what argparse would make of `argv`: the values by name, and the words. None: only argparse can tell.

    `options` have a value each, `switches` have none. Every option precedes every word.
    """
    values: dict[str, Any] = {_name(option): None for option in options}
    values.update({_name(switch): False for switch in switches})
    rest = list(reversed(argv))
    while rest and rest[-1].startswith("--"):
        option, equals, value = rest.pop().partition("=")
        if option in switches and not equals:
            values[_name(option)] = True
            continue
        if option not in options:
            return None
        if not equals:
            if not rest or rest[-1].startswith("-"):
                return None
            value = rest.pop()
        values[_name(option)] = value
    words = rest[::-1]
    return None if any(word.startswith("-") for word in words) else (values, words)


def _name(option: str) -> str:
    return option[2:].replace("-", "_")
