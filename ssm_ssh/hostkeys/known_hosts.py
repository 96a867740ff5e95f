"""ssm-ssh's files in the format of known_hosts (sshd(8)): the keys that ssh is to trust, and those that were refused.

Each is read whole, changed under a lock and replaced atomically, so that ssh and a hundred concurrent connections
always see a complete file. Lines that ssm-ssh did not write are kept as they are.
"""

from __future__ import annotations

from contextlib import contextmanager

from ssm_ssh.names import is_instance_id
from ssm_ssh.ssh.hostkey import from_line
from ssm_ssh.startup import TYPE_CHECKING, NamedTuple
from ssm_ssh.storage.paths import data_folder
from ssm_ssh.storage.private_dir import open_folder
from ssm_ssh.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from ssm_ssh.ssh.hostkey import HostKey

KNOWN, REFUSED = "known_hosts", "refused_hosts"
_LOCK = "known_hosts.lock"
_LOOKUPS = "host_keys.lock"
# A plain name: no pattern, negation, list, hash or marker.
_FIRST = frozenset("abcdefghijklmnopqrstuvwxyz0123456789")
_REST = _FIRST | frozenset("._-")
_LONGEST_NAME = 255
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


def names(instance_id: str, port: int, spelled: str = "", alias: str = "") -> tuple[str, ...]:
    """Return the names under which ssh looks for the key of `port` of `instance_id`: the id's own first.

    `spelled` is the host name that ssh was given, which it looks up in lower case; with another port than 22 ssh
    writes [name]:port. `alias` is ssh's HostKeyAlias, which it looks up as it is, whatever the port.
    """
    hosts = dict.fromkeys((instance_id, spelled.lower() or instance_id))
    host_names = [host if port == 22 else f"[{host}]:{port}" for host in hosts]
    return tuple(name for name in dict.fromkeys((*host_names, alias.lower())) if _is_name(name))


def instance_of(name: str) -> str:
    """Return the instance to which a name as of `names` belongs, "" for any other name."""
    first = name.removeprefix("[").partition("]")[0].partition(".")[0]
    return first if is_instance_id(first) else ""


def _is_name(name: str) -> bool:
    """Return whether `name` is a host name, or one with a port: [name]:port."""
    if name.startswith("["):
        name, _, port = name[1:].partition("]:")
        if not (port.isascii() and port.isdigit() and len(port) <= 5):
            return False
    return 0 < len(name) <= _LONGEST_NAME and name[0] in _FIRST and _REST.issuperset(name)


class HostFile:
    """The file KNOWN or REFUSED. Every method raises StateError where the folder or the file cannot be used."""

    def __init__(self, name: str = KNOWN) -> None:
        self._name = name

    def keys(self, name: str) -> frozenset[HostKey]:
        """Return the keys of `name`."""
        return frozenset(entry.key for entry in self.entries(name) if name in entry.names)

    def entries(self, about: str = "") -> list[Entry]:
        """Return the entries of the file, of which only those whose line contains `about` are needed."""
        with open_folder(data_folder()) as folder:
            content = folder.read(self._name) or b""
        wanted = about.encode("ascii")
        lines = content.split(b"\n") if wanted in content else []
        return [entry for line in lines if wanted in line and (entry := _entry(line)) is not None]

    def names(self, about: str) -> list[str]:
        """Return the names in the entries whose line contains `about`."""
        return [name for entry in self.entries(about) for name in entry.names]

    def record(self, under: Iterable[str], keys: Iterable[HostKey], comment: str = "") -> None:
        """Make exactly `keys` the keys of each of the names `under`, replacing earlier ones."""
        wanted = tuple(under)
        assert all(_is_name(name) for name in wanted), wanted
        new = [Entry(wanted, key, comment) for key in sorted(set(keys))]
        self._change(lambda names: tuple(name for name in names if name not in wanted), new)

    def remove(self, concerns: Callable[[str], bool]) -> int:
        """Remove every name for which `concerns` is true; returns how many lines contained one."""
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
    """Let one process at a time look up the keys of `instance_id`; the others then find them in the file.

    After `patience` seconds the block runs anyway: looking them up twice does no harm.
    """
    offset = int(instance_id.rpartition("-")[2], 16) % (1 << 60)
    with open_folder(data_folder()) as folder, folder.turn(_LOOKUPS, offset, patience):
        yield


def _entry(line: bytes) -> Entry | None:
    """Parse one line; None for a comment, a marker, hashed names, patterns, and for invalid lines."""
    try:
        names, _, rest = line.decode("ascii").partition(" ")
    except UnicodeDecodeError:
        return None
    listed = tuple(names.split(","))
    key = from_line(rest)
    if key is None or not all(_is_name(name) for name in listed):
        return None
    return Entry(listed, key, rest.removeprefix(key.line).lstrip(" "))
