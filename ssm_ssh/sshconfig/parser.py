"""What the user's configuration says, line by line, for finding names to prove and rules to report.

It only has to find things, so it forgives what ssh would not: ssh itself is asked for the outcome.
"""

from __future__ import annotations

import glob
import itertools
import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ssm_ssh.sshconfig.include import BEGIN, END
from ssm_ssh.sshconfig.patterns import is_host_name, matches_list

if TYPE_CHECKING:
    from collections.abc import Iterator

# ssh's own limit on Includes within Includes.
_DEPTH = 16
_LARGEST = 16 << 20
_WORD = re.compile(r'"([^"]*)"|([^\s"]+)')
_KEYWORD = re.compile(r'\s*"?([A-Za-z0-9]+)"?(?:\s*=\s*|\s+|(?="))(.*)', re.DOTALL)


class Section(NamedTuple):
    """A Host or Match line; `patterns` are those of Host, or of Match host/originalhost."""

    file: Path
    line: int
    kind: str
    patterns: tuple[str, ...]
    text: str

    def applies_to(self, name: str) -> bool:
        """True when it may hold for the host `name`: certain for Host, possible for Match."""
        if not self.patterns:
            return self.kind == "match"
        return matches_list(name, self.patterns)


class Directive(NamedTuple):
    """One line that sets something, or begins a section. `keyword` is in lower case."""

    file: Path
    line: int
    keyword: str
    words: tuple[str, ...]
    section: Section | None


def scan(path: Path, folder: Path, *, skip: Path | None = None) -> list[Directive]:
    """Return the directives of the file `path` and of what it includes, in ssh's order.

    `folder` is `~/.ssh`, where relative Includes lead; `skip` is not followed, our block is left out.
    Files that cannot be read are empty.
    """
    return list(_scan(path, folder, skip, None, ()))


def host_names(directives: list[Directive]) -> list[str]:
    """Return names that the Host and Match lines are about, wildcards filled in, each once."""
    names: dict[str, None] = {}
    for directive in directives:
        if directive.keyword in ("host", "match") and directive.section is not None:
            for pattern in directive.section.patterns:
                name = pattern.lstrip("!").replace("*", "x").replace("?", "x")
                if is_host_name(name):
                    names[name] = None
    return list(names)


def _scan(
    path: Path, folder: Path, skip: Path | None, section: Section | None, above: tuple[Path, ...]
) -> Iterator[Directive]:
    if len(above) > _DEPTH or path in above:
        return
    ours = False
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST)
    except OSError:
        return
    lines = content.decode("utf-8", "surrogateescape").split("\n")
    for number, line in enumerate(lines, 1):
        if line.rstrip("\r").encode("utf-8", "surrogateescape") in (BEGIN, END):
            ours = not ours
        if ours:
            continue
        match = _KEYWORD.match(line)
        if match is None:
            continue
        keyword, rest = match[1].lower(), match[2]
        words = tuple(quoted or plain for quoted, plain in _WORD.findall(rest))
        if keyword in ("host", "match"):
            patterns = words if keyword == "host" else _match_patterns(words)
            section = Section(path, number, keyword, tuple(pattern.lower() for pattern in patterns), line.strip())
        yield Directive(path, number, keyword, words, section)
        if keyword == "include":
            for inner in included(words, folder):
                if inner != skip:
                    yield from _scan(inner, folder, skip, section, (*above, path))


def _match_patterns(words: tuple[str, ...]) -> tuple[str, ...]:
    patterns: list[str] = []
    for keyword, value in itertools.pairwise(words):
        if keyword.lower() in ("host", "originalhost"):
            patterns += value.split(",")
    return tuple(patterns)


def included(words: tuple[str, ...], folder: Path, *, missing: bool = False) -> Iterator[Path]:
    """Yield the files that an Include of `words` names, with `missing` also such that are not there."""
    for word in words:
        pattern = str(folder.parent) + word[1:] if word.startswith("~/") else word
        if "\0" not in pattern:
            # Path.glob() would not take an absolute pattern.
            paths = sorted(glob.glob(str(folder / pattern)))  # noqa: PTH207
            yield from map(Path, paths or ([str(folder / pattern)] if missing else []))
