"""The key pairs of ssm-ssh's own: made under a lock, never replaced in place, retired; only public halves travel.

ssh opens its IdentityFiles while the proxy starts beside it. So a pair may appear under a name that was free, and then
serves that very connection, but none may change under a name that an ssh has read. There are two names, and ssh is
given both: a new pair goes to the free one, the old one is deleted when no connection that began with it can still be
about to use it, and its name stays unused for just as long.

    name 1:  [ current ............ ][ retired: grace ](free: grace)            [ current ...
    name 2:                         [ current ......................... ][ retired: grace ](free ...
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from ssm_ssh.errors import StateError, UsageError
from ssm_ssh.files import open_folder
from ssm_ssh.paths import data_folder

if TYPE_CHECKING:
    from pathlib import Path

    from ssm_ssh.files import Folder

SLOTS = ("id_ed25519", "id_ed25519_2")
_LOCK = "key.lock"
# Seconds. A pair serves for a day. A connection logs in within minutes of its start: sshd waits for two, and what comes
# before (MFA, a held key exchange, refusals by sshd that are tried again) is bounded too.
MAX_AGE = 86400.0
GRACE = 900.0


class Pair(NamedTuple):
    """A pair that is there: the file of its private half, its public half, and when it was made (epoch seconds)."""

    slot: str
    line: str
    made: float


def identity_files() -> tuple[Path, ...]:
    """Paths for ssh's IdentityFile lines; the files need not exist yet."""
    return tuple(data_folder() / slot for slot in SLOTS)


def identity_file() -> Path:
    """Path of the first of them."""
    return identity_files()[0]


def public_key(*, max_age: float = MAX_AGE, now: float | None = None) -> str:
    """Return the current public key as `ssh-ed25519 BASE64`; one older than `max_age` seconds is retired first.

    Raises StateError where the folder or a file is not usable.
    """
    now = time.time() if now is None else now
    with open_folder(data_folder()) as folder:
        pairs = _pairs(folder)
        if _settled(pairs, max_age, now):
            return pairs[-1].line
        with folder.lock(_LOCK):
            _delete_retired(folder, now)
            pairs = _pairs(folder)
            if not pairs or now - pairs[-1].made > max_age:
                slot = _free_slot(folder, pairs, now)
                if slot:
                    return _make(folder, slot)
            return pairs[-1].line


def show(*, now: float | None = None) -> list[tuple[Pair, str]]:
    """Return the pairs that are there with what they are: `current`, or `retired`."""
    with open_folder(data_folder()) as folder:
        pairs = _pairs(folder)
    return [(pair, "current" if pair is pairs[-1] else "retired") for pair in pairs]


def renew(*, now: float | None = None) -> str:
    """Make a new pair current at once, and return its public half.

    Raises UsageError while both names are taken, for a pair is never replaced in place.
    """
    now = time.time() if now is None else now
    with open_folder(data_folder()) as folder, folder.lock(_LOCK):
        _delete_retired(folder, now)
        pairs = _pairs(folder)
        slot = _free_slot(folder, pairs, now)
        if not slot:
            raise UsageError(
                "the key was renewed minutes ago, and connections may still be about to use the one before it",
                f"Try again in {GRACE / 60:.0f} minutes, or remove both: ssm-ssh key remove",
            )
        return _make(folder, slot)


def remove() -> int:
    """Delete every pair, also for connections that are just starting; returns how many there were."""
    with open_folder(data_folder()) as folder, folder.lock(_LOCK):
        found = [slot for slot in SLOTS if folder.read(slot) is not None or folder.read(f"{slot}.pub") is not None]
        for slot in found:
            _delete(folder, slot)
        for slot in SLOTS:
            folder.remove(f"{slot}.freed")
        return len(found)


def _settled(pairs: list[Pair], max_age: float, now: float) -> bool:
    """Whether there is nothing to make and nothing to delete."""
    return bool(pairs) and now - pairs[-1].made <= max_age and not _expired(pairs, now)


def _expired(pairs: list[Pair], now: float) -> list[Pair]:
    """The pairs that were retired, by the one made after them, longer ago than the grace period."""
    return [pair for pair in pairs[:-1] if now - pairs[-1].made > GRACE]


def _delete_retired(folder: Folder, now: float) -> None:
    for pair in _expired(_pairs(folder), now):
        _delete(folder, pair.slot)
        folder.write(f"{pair.slot}.freed", f"{now:.0f}\n".encode("ascii"))


def _delete(folder: Folder, slot: str) -> None:
    # The private half first: what is left after an interruption is of no use to anybody.
    folder.remove(slot)
    folder.remove(f"{slot}.pub")


def _free_slot(folder: Folder, pairs: list[Pair], now: float) -> str:
    """Return a name under which no ssh that is just starting can have read a pair; "" for none."""
    taken = {pair.slot for pair in pairs}
    for slot in SLOTS:
        if slot in taken:
            continue
        freed = (folder.read(f"{slot}.freed") or b"").decode("ascii", "replace").strip()
        # A time ahead of now is a clock that was wrong.
        if not freed.isdigit() or not 0 <= now - float(freed[:12]) <= GRACE:
            return slot
    return ""


def _pairs(folder: Folder) -> list[Pair]:
    """Return the pairs that are there, the newest last. One without a public half is still being made."""
    found = []
    for slot in SLOTS:
        public = folder.read(f"{slot}.pub")
        made = folder.modified(slot)
        if public is None or made is None:
            continue
        words = public.decode("ascii", "replace").split()
        if len(words) < 2 or words[0] != "ssh-ed25519":
            raise StateError(f"{folder.path / slot}.pub is not an Ed25519 public key", "Run: ssm-ssh key remove")
        found.append(Pair(slot, " ".join(words[:2]), made))
    return sorted(found, key=lambda pair: (pair.made, pair.slot))


def _make(folder: Folder, slot: str) -> str:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    content = folder.read(slot)
    if content is None:
        key = Ed25519PrivateKey.generate()
        folder.write(
            slot,
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
            ),
        )
        public = key.public_key()
    else:  # an earlier run ended between the two writes
        try:
            loaded = serialization.load_ssh_private_key(content, None)
        except (ValueError, TypeError) as error:
            raise StateError(f"{folder.path / slot} is not a private key of ours", "Remove it") from error
        if not isinstance(loaded, Ed25519PrivateKey):
            raise StateError(f"{folder.path / slot} is not an Ed25519 private key", "Remove it")
        public = loaded.public_key()
    line = public.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    folder.write(f"{slot}.pub", line + b" ssm-ssh\n")
    return line.decode("ascii")
