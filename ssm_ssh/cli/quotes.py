"""Quotes around the arguments of `ssm-ssh proxy`, which a program that starts no shell leaves there.

ssh_config(5) gives ProxyCommand to a shell. Some programs split the line themselves instead, and keep the single quotes
(open-remote-ssh: https://github.com/jeanp413/open-remote-ssh) or all quotes, and split at the blanks between them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

_QUOTES = ("'", '"')
# No value that these accept has a quote. `debug` and `dry_run` have no value.
_NEVER_QUOTED = frozenset(
    {
        *("host", "port", "user", "region", "default_region", "document", "push", "push_document", "push_lifetime"),
        *("key_type", "host_keys", "resume_limit"),
    }
)
_PROFILES = frozenset({"profile", "default_profile", "search"})


def rejoin(argv: Sequence[str]) -> list[str]:
    """Return `argv` with the words of each value whole that was split at the blanks between its quotes.

    A quote that no later word closes stays where it is, and no option becomes a part of a value.
    """
    words: list[str] = []
    at = 0
    while at < len(argv):
        end = _end_of_value(argv, at)
        words.append(" ".join(argv[at : end + 1]))
        at = end + 1
    return words


def _end_of_value(argv: Sequence[str], start: int) -> int:
    """Return the index of the word that closes the quote which the value at `start` opens; `start` for none."""
    first = argv[start].partition("=")[2] if argv[start].startswith("--") else argv[start]
    quote = first[:1]
    if quote not in _QUOTES or (len(first) > 1 and first.endswith(quote)):
        return start
    for end in range(start + 1, len(argv)):
        if argv[end].startswith("--") or argv[end].startswith(_QUOTES):
            break
        if argv[end].endswith(quote):
            return end
    return start


def unquote(
    arguments: dict[str, Any], profiles: Callable[[], Collection[str]], exists: Callable[[str], bool]
) -> dict[str, Any]:
    """Return the parsed `arguments` without one pair of quotes around each value that means nothing with them.

    A profile of that name (`profiles`) or a file of that name (`exists`) is a meaning. An option between quotes stays a
    value, so a user name cannot become an option.
    """
    return {
        name: value[1:-1] if _is_quoted(value) and _means_nothing(name, value, profiles, exists) else value
        for name, value in arguments.items()
    }


def _is_quoted(value: object) -> bool:
    return isinstance(value, str) and len(value) > 1 and value[0] in _QUOTES and value[0] == value[-1]


def _means_nothing(
    name: str, value: str, profiles: Callable[[], Collection[str]], exists: Callable[[str], bool]
) -> bool:
    if name in _NEVER_QUOTED:
        return True
    if name in _PROFILES:
        return value not in profiles() and value.split(maxsplit=1)[0].partition(":")[0] not in profiles()
    if name == "key":
        return not exists(value)
    # A log file need not exist, but its folder must.
    return name == "log_file" and not exists(value.rpartition("/")[0] or ".")
