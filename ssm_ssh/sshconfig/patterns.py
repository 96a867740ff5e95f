"""PURE: which host names are instances, written as ssh_config patterns, and ssh's own way of matching patterns.

A pattern knows `?`, `*` and `!` alone, no sets. So the digits are counted with `?`, and each letter that is no
hexadecimal digit is excluded by a negated pattern: `i-internal` and `i-love.example.com` stay the user's own.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_LONG, _SHORT = "?" * 17, "?" * 8
_IDS = (f"i-{_SHORT}", f"i-{_LONG}", f"mi-{_LONG}")
# `'` ends the quotes around '%h' in the shell that ssh starts, and in fish a backslash keeps them open; no id has these
# or the others.
_NO_ID = ("!*'*", "!*\\*", "!*.*", "!*:*", "!*_*", "!*-*-*", *(f"!*-*{letter}*" for letter in "ghijklmnopqrstuvwxyz"))
# EC2 names that DNS knows (resource names of instances): https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/
# ec2-instance-naming.html; a client that reaches these has a network to the instance.
_NO_SUFFIX = ("!*'*", "!*\\*", "!*:*", "!*.internal", "!*.amazonaws.com", "!*.amazonaws.com.cn", "!*.api.aws")
# OpenSSH before 8.0 reads lines of at most 4095 bytes; what a list of suffixes has besides them is some 700.
LONGEST_LIST = 3000
_HOST_NAME = re.compile(r"[A-Za-z0-9_.:][A-Za-z0-9_.:%+-]{0,200}")
_SUFFIX = re.compile(r"[a-z0-9?*_-]+(?:\.[a-z0-9?*_-]+)*")


def host_lines(patterns: Sequence[str]) -> list[str]:
    """Return lines that keep what follows to the hosts of a `Match host` with these patterns, for who ignores Match.

    OpenSSH takes nothing from them: the Match line comes next. Paramiko before 2.7 reads the last line. JSch knows the
    keyword as `Host` alone, and to it an exclusion (`!`) is every host that the rest of it does not match: so it is
    given the line without exclusions, and takes the other one for an unknown option.
    """
    plain = [pattern for pattern in patterns if not pattern.startswith("!")]
    lines = [f"Host {' '.join(plain)}"]
    if len(plain) < len(patterns):
        # A quote or a backslash by itself would begin or change a word.
        lines.append(f"host {' '.join(_word(pattern) for pattern in patterns)}")
    return lines


def _word(pattern: str) -> str:
    return f'"{pattern}"' if "'" in pattern or "\\" in pattern else pattern


def id_patterns() -> str:
    """Return the pattern list of bare instance ids: `i-` with 8 or 17 hexadecimal digits, `mi-` with 17."""
    return ",".join((*_IDS, *_NO_ID))


def suffix_patterns(suffixes: Iterable[str]) -> list[str]:
    """Return pattern lists of ids followed by a dot and one of `suffixes` (patterns, lower case), each for one line.

    Only the dots of the first label can be excluded within a line's length, so a suffix should say as much as it
    can: `*-*-?` (a region) rather than `*`. Raises ValueError for what cannot be a suffix.
    """
    lists: list[list[str]] = []
    length = 0
    for suffix in dict.fromkeys(suffixes):
        if not _SUFFIX.fullmatch(suffix) or len(suffix) > LONGEST_LIST // 4:
            raise ValueError(f"{suffix!r} is not a suffix of host names")
        pair = [f"i-{_LONG}.{suffix}", f"mi-{_LONG}.{suffix}"]
        length += len(",".join(pair)) + 1
        if not lists or length > LONGEST_LIST:
            lists.append([])
            length = len(",".join(pair)) + 1
        lists[-1] += pair
    early = [f"!{start}{'?' * count}.*" for start in ("i-", "mi-") for count in range(len(_LONG))]
    return [",".join((*patterns, *early, *_NO_SUFFIX)) for patterns in lists]


def is_host_name(name: str) -> bool:
    """True for a name that is no pattern and can stand in a Host or Match line as it is."""
    return _HOST_NAME.fullmatch(name) is not None


def matches(name: str, pattern: str) -> bool:
    """True when ssh's match_pattern() says so: `*` any run, `?` any character, nothing else is special."""
    return translate(pattern).fullmatch(name) is not None


def translate(pattern: str) -> re.Pattern[str]:
    """Return the regular expression that means what `pattern` does."""
    parts = [".*" if c == "*" else "." if c == "?" else re.escape(c) for c in re.sub(r"\*+", "*", pattern)]
    return re.compile("".join(parts), re.DOTALL)


def matches_list(name: str, patterns: Sequence[str]) -> bool:
    """True when one of `patterns` matches `name` and no negated one does, as in `Host` and `Match host` lines."""
    positive = False
    for pattern in patterns:
        if pattern.startswith("!"):
            if matches(name, pattern[1:]):
                return False
        elif matches(name, pattern):
            positive = True
    return positive


def is_ours(name: str, suffixes: Iterable[str] = ()) -> bool:
    """True when a host of this name is reached through ssm-ssh by the rules that `id_patterns` and suffixes make."""
    lists = (id_patterns(), *suffix_patterns(suffixes))
    return any(matches_list(name.lower(), patterns.split(",")) for patterns in lists)
