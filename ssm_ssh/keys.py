"""The key pairs of ssm-ssh's own: made under a lock, never replaced in place, retired; only public halves travel.

ssh opens its IdentityFiles while the proxy starts beside it. So a pair may appear under a name that was free, and then
serves that very connection, but none may change under a name that an ssh has read. There are two names, and ssh is
given both: a new pair goes to the other one, and the old one's private half is deleted when no connection that began
with it can still be about to use it. All of that is done by connections: without one, what is there stays.

    name 1: [ current ...... ][ retired, grace ](public half alone ......)[ resting ][ current ......
    name 2: (nothing)         [ current ............................................ ][ retired, grace ](nothing

The public half stays under the first name, for ssh would complain of a file that is missing there at each connection;
an ssh may have read it, so a pair that is made there is not used before those have logged in. The second name is tried
only after the first has been refused: there nothing stays, and a new pair is of use at once.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from ssm_ssh.errors import StateError
from ssm_ssh.files import open_folder
from ssm_ssh.paths import data_folder

if TYPE_CHECKING:
    from pathlib import Path

    from ssm_ssh.files import Folder

SLOTS = ("id_ed25519", "id_ed25519_2")
_LOCK, _FREED = "key.lock", "key.freed"
# Seconds. A pair serves for a day. A connection logs in within minutes of its start: sshd waits for two, and what comes
# before (MFA, a held key exchange, refusals by sshd that are tried again) is bounded too.
MAX_AGE = 86400.0
GRACE = 900.0
# What `show` says of a pair that has served for too long.
OVER_AGE = "current, to be replaced by the next connection"


class Pair(NamedTuple):
    """A pair that is there: the file of its private half, its public half, and when it was made (epoch seconds)."""

    slot: str
    line: str
    made: float


def identity_files() -> tuple[Path, ...]:
    """Paths for ssh's IdentityFile lines; the files need not exist yet."""
    return tuple(data_folder() / slot for slot in SLOTS)


def public_key(*, max_age: float = MAX_AGE, now: float | None = None) -> str:
    """Return the current public key as `ssh-ed25519 BASE64`; one older than `max_age` seconds is retired first.

    Raises StateError where the folder or a file is not usable.
    """
    now = time.time() if now is None else now
    with open_folder(data_folder()) as folder:
        pairs = _pairs(folder)
        if pairs and not _due(pairs, max_age, now) and not _expired(pairs, now):
            return _current(pairs, now).line
        with folder.lock(_LOCK):
            pairs = _delete_retired(folder, now)
            if not pairs or (_due(pairs, max_age, now) and _free(folder, pairs, now)):
                _make(folder, _free_slot(pairs))
                pairs = _pairs(folder)
            return _current(pairs, now).line


def show(*, max_age: float = MAX_AGE, now: float | None = None) -> list[tuple[Pair, str]]:
    """Return the pairs that are there with what they are: `current`, `retired`, or `resting` before it is current.

    Nothing but a connection replaces or deletes a pair. So one that has served for more than `max_age` seconds is
    OVER_AGE.
    """
    now = time.time() if now is None else now
    with open_folder(data_folder()) as folder:
        pairs = _pairs(folder)
    if not pairs:
        return []
    current = _current(pairs, now)
    serving = OVER_AGE if _due(pairs, max_age, now) else "current"
    return [
        (pair, serving if pair == current else "resting" if pair.made > current.made else "retired") for pair in pairs
    ]


def renew(*, now: float | None = None) -> float:
    """Make a new pair; returns in how many seconds it will be current (0: it is).

    Raises StateError while both names are taken, for a pair is never replaced in place.
    """
    now = time.time() if now is None else now
    with open_folder(data_folder()) as folder, folder.lock(_LOCK):
        pairs = _delete_retired(folder, now)
        if pairs and not _free(folder, pairs, now):
            raise StateError(
                "the key was renewed minutes ago, and connections may still be about to use the one before it",
                f"Try again in {GRACE / 60:.0f} minutes, or remove both: ssm-ssh key remove",
            )
        slot = _free_slot(pairs)
        _make(folder, slot)
        return GRACE if pairs and slot == SLOTS[0] else 0.0


def remove() -> int:
    """Delete every pair, also for connections that are just starting; returns how many there were."""
    with open_folder(data_folder()) as folder, folder.lock(_LOCK):
        found = 0
        for slot in SLOTS:
            # The private half first: what is left after an interruption is of no use to anybody.
            found += folder.remove(slot)
            folder.remove(f"{slot}.pub")
        folder.remove(_FREED)
        return found


def _current(pairs: list[Pair], now: float) -> Pair:
    """The newest, unless it rests yet."""
    newest = pairs[-1]
    rests = len(pairs) > 1 and newest.slot == SLOTS[0] and 0 <= now - newest.made < GRACE
    return pairs[0] if rests else newest


def _due(pairs: list[Pair], max_age: float, now: float) -> bool:
    """Whether the newest pair has served long enough."""
    return now - pairs[-1].made > max_age


def _expired(pairs: list[Pair], now: float) -> list[Pair]:
    """The pairs that were retired longer ago than the grace period, by the one that is current since."""
    current = _current(pairs, now)
    return [pair for pair in pairs if pair.made < current.made and now > kept_until(current)]


def kept_until(current: Pair) -> float:
    """Return until when (epoch seconds) the pair that `current` has retired is kept for connections just starting."""
    # One that was made under the first name rested before it took over.
    return current.made + (2 * GRACE if current.slot == SLOTS[0] else GRACE)


def _delete_retired(folder: Folder, now: float) -> list[Pair]:
    """Delete what has been retired for long enough; returns the pairs that are left."""
    pairs = _pairs(folder)
    for pair in _expired(pairs, now) if pairs else ():
        folder.remove(pair.slot)
        if pair.slot != SLOTS[0]:
            folder.remove(f"{pair.slot}.pub")
            folder.write(_FREED, f"{now:.0f}\n".encode("ascii"))
    return _pairs(folder)


def _free_slot(pairs: list[Pair]) -> str:
    return SLOTS[1] if any(pair.slot == SLOTS[0] for pair in pairs) else SLOTS[0]


def _free(folder: Folder, pairs: list[Pair], now: float) -> bool:
    """Whether a new pair can be made, under a name that no ssh can still be about to use."""
    if len(pairs) > 1:
        return False
    if _free_slot(pairs) == SLOTS[0]:
        return True
    freed = (folder.read(_FREED) or b"").decode("ascii", "replace").strip()
    # A time ahead of now is a clock that was wrong.
    return not freed.isdigit() or not 0 <= now - float(freed[:12]) <= GRACE


def _pairs(folder: Folder) -> list[Pair]:
    """Return the pairs that are there, the newest last; one half alone is none."""
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


def _make(folder: Folder, slot: str) -> None:
    """Make a pair under a name where none is."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    content = folder.read(slot)
    folder.remove(f"{slot}.pub")
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
