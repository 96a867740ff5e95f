"""Which names mean something already: to the user's ssh configuration, in known_hosts, in /etc/hosts."""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from pathlib import Path
from typing import TYPE_CHECKING

from ssm_ssh.sshconfig.parser import scan
from ssm_ssh.sshconfig.patterns import translate
from ssm_ssh.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ssm_ssh.sshconfig.locations import Place
    from ssm_ssh.sshconfig.parser import Directive

_SYSTEM = Path("/etc/ssh/ssh_config")
_KNOWN_HOSTS = ("/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2")
_HOSTS = Path("/etc/hosts")
_LARGEST = 16 << 20
_PORT = re.compile(r"\[(.*)\]:[0-9]+")


class Meanings:
    """Says of a name what it means already."""

    def __init__(self) -> None:
        self._exact: dict[str, str] = {}
        self._patterns: list[tuple[re.Pattern[str], str]] = []
        self._hashed: list[tuple[bytes, bytes, str]] = []

    def __call__(self, name: str) -> str:
        """Return where `name` has a meaning, "" where it has none. Case is of no account."""
        name = name.lower()
        if name in self._exact:
            return self._exact[name]
        for pattern, where in self._patterns:
            if pattern.fullmatch(name):
                return where
        for salt, digest, where in self._hashed:
            if hmac.digest(salt, name.encode(), "sha1") == digest:
                return where
        return ""

    def add(self, pattern: str, where: str) -> None:
        """Note that names like `pattern`, negated or not, mean something in `where`. Wildcards alone name nothing."""
        pattern = pattern.lstrip("!").lower()
        if not pattern.strip("*?"):
            return
        if "*" in pattern or "?" in pattern:
            self._patterns.append((translate(pattern), where))
        else:
            self._exact.setdefault(pattern, where)

    def add_hashed(self, entry: str, where: str) -> None:
        """Note a hashed name of known_hosts: `|1|salt|digest`, HMAC-SHA1 of the name."""
        words = entry.split("|")
        try:
            salt, digest = (base64.b64decode(word, validate=True) for word in words[2:4])
        except (binascii.Error, ValueError):
            return
        if len(words) == 4 and words[1] == "1":
            self._hashed.append((salt, digest, where))


def meanings(place: Place) -> Meanings:
    """Return what names mean to ssh on this computer, apart from ssm-ssh's own rules."""
    known = Meanings()
    directives = scan(place.config, place.folder, skip=place.managed) + scan(_SYSTEM, place.folder)
    for directive in directives:
        if directive.keyword in ("host", "match") and directive.section is not None:
            for pattern in directive.section.patterns:
                known.add(pattern, f"'{printable(directive.section.text, 80)}' in {directive.file}:{directive.line}")
    for path in dict.fromkeys([*_known_hosts(place, directives)]):
        _read_known_hosts(path, known)
    for number, line in _lines(_HOSTS):
        for name in line.partition("#")[0].split()[1:]:
            known.add(name, f"{_HOSTS}:{number}")
    known.add("localhost", str(_HOSTS))
    return known


def _known_hosts(place: Place, directives: Iterable[Directive]) -> Iterator[Path]:
    yield place.folder / "known_hosts"
    yield place.folder / "known_hosts2"
    yield from map(Path, _KNOWN_HOSTS)
    for directive in directives:
        if directive.keyword in ("userknownhostsfile", "globalknownhostsfile"):
            for word in directive.words:
                name = str(place.home) + word[1:] if word.startswith("~/") else word
                if name.startswith("/") and "\0" not in name:
                    yield Path(name)


def _read_known_hosts(path: Path, known: Meanings) -> None:
    for number, line in _lines(path):
        words = line.split()
        if words and words[0].startswith("@"):
            words = words[1:]
        if not words or words[0].startswith("#"):
            continue
        where = f"{path}:{number}"
        for entry in words[0].split(","):
            if entry.startswith("|"):
                known.add_hashed(entry, where)
            else:
                with_port = _PORT.fullmatch(entry.lstrip("!"))
                known.add(with_port[1] if with_port else entry, where)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST)
    except OSError:
        return
    yield from enumerate(content.decode("utf-8", "surrogateescape").split("\n"), 1)
