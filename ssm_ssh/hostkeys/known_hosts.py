"""Files of ours in the form of known_hosts (sshd(8)): the keys that ssh is to trust, and those that were refused.

Each is read whole, changed under a lock and replaced at once, so that ssh and a hundred connections beside each other
always see a whole one. Lines that are not of our making are kept as they are.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from ssm_ssh.ssh.hostkey import from_line
from ssm_ssh.storage.paths import data_folder
from ssm_ssh.storage.private_dir import open_folder
from ssm_ssh.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from ssm_ssh.ssh.hostkey import HostKey

KNOWN, REFUSED = "known_hosts", "refused_hosts"
_LOCK = "known_hosts.lock"
_ASKING = "host_keys.lock"
# What can be a name there: no pattern, no negation, no list, no hash, no marker.
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,254}|\[[a-z0-9][a-z0-9._-]{0,254}\]:\d{1,5}")
_INSTANCE = re.compile(r"\[?(m?i-[0-9a-f]{8,17})(?:[.\]]|$)")
_LARGEST_COMMENT = 120


class Entry(NamedTuple):
    """One line: `names` as ssh looks them up, a key, and a comment of one line."""

    names: tuple[str, ...]
    key: HostKey
    comment: str = ""

    @property
    def line(self) -> str:
        """The line without its end."""
        comment = printable(self.comment, _LARGEST_COMMENT)
        return f"{','.join(self.names)} {self.key.line}{' ' if comment else ''}{comment}"


def path() -> Path:
    """Path of the file for ssh's UserKnownHostsFile; it need not exist yet."""
    return data_folder() / KNOWN


def names(instance_id: str, port: int, spelled: str = "") -> tuple[str, ...]:
    """Return the names under which ssh looks for the key of `port` of `instance_id`: the id's own first.

    `spelled` is the host name that ssh was given, which it looks up in lower case; with another port than 22 ssh
    writes [name]:port.
    """
    hosts = dict.fromkeys((instance_id, spelled.lower() or instance_id))
    found = [host if port == 22 else f"[{host}]:{port}" for host in hosts]
    return tuple(name for name in found if _NAME.fullmatch(name))


def instance_of(name: str) -> str:
    """Return the instance that a name of `names` belongs to, "" where it is not one of those."""
    found = _INSTANCE.match(name)
    return found[1] if found else ""


class HostFile:
    """One file of ours, KNOWN or REFUSED. Every method raises StateError where folder or file cannot be used."""

    def __init__(self, name: str = KNOWN) -> None:
        self._name = name

    def keys(self, name: str) -> frozenset[HostKey]:
        """Return the keys that are there under `name`."""
        return frozenset(entry.key for entry in self.entries(name) if name in entry.names)

    def entries(self, about: str = "") -> list[Entry]:
        """Return the entries in the file; those whose line holds the text `about` suffice."""
        with open_folder(data_folder()) as folder:
            content = folder.read(self._name) or b""
        wanted = about.encode("ascii")
        lines = content.split(b"\n") if wanted in content else []
        return [entry for line in lines if wanted in line and (entry := _entry(line)) is not None]

    def names(self, about: str) -> list[str]:
        """Return the names in those entries."""
        return [name for entry in self.entries(about) for name in entry.names]

    def record(self, under: Iterable[str], keys: Iterable[HostKey], comment: str = "") -> None:
        """Have exactly `keys` under each of the names `under`, whatever was there under those."""
        wanted = tuple(under)
        assert all(_NAME.fullmatch(name) for name in wanted), wanted
        new = [Entry(wanted, key, comment) for key in sorted(set(keys))]
        self._change(lambda names: tuple(name for name in names if name not in wanted), new)

    def remove(self, concerns: Callable[[str], bool]) -> int:
        """Remove every name for which `concerns` is true; returns how many lines it stood in."""
        return self._change(lambda names: tuple(name for name in names if not concerns(name)), [])

    def _change(self, left: Callable[[tuple[str, ...]], tuple[str, ...]], new: list[Entry]) -> int:
        with open_folder(data_folder()) as folder, folder.lock(_LOCK):
            content = folder.read(self._name) or b""
            lines, changed = [], 0
            for line in content.split(b"\n"):
                entry = _entry(line)
                names = left(entry.names) if entry is not None else ()
                if entry is None or names == entry.names:
                    lines.append(line)
                    continue
                changed += 1
                if names:
                    lines.append(entry._replace(names=names).line.encode("ascii"))
            lines += [entry.line.encode("ascii") for entry in new]
            after = b"".join(line + b"\n" for line in lines if line)
            if after != content:
                folder.write(self._name, after)
        return changed


@contextmanager
def one_at_a_time(instance_id: str, patience: float) -> Iterator[None]:
    """Let one process at a time look up the keys of `instance_id`; the others find them when it is their turn.

    After `patience` seconds we go ahead: asking twice does no harm.
    """
    place = int(instance_id.rpartition("-")[2], 16) % (1 << 60)
    with open_folder(data_folder()) as folder, folder.turn(_ASKING, place, patience):
        yield


def _entry(line: bytes) -> Entry | None:
    """Read one line; None for a comment, a marker, hashed names, patterns, and what is no such line at all."""
    try:
        names, _, rest = line.decode("ascii").partition(" ")
    except UnicodeDecodeError:
        return None
    listed = tuple(names.split(","))
    key = from_line(rest)
    if key is None or not all(_NAME.fullmatch(name) for name in listed):
        return None
    return Entry(listed, key, rest.removeprefix(key.line).lstrip(" "))
