"""The key pairs of ssm-ssh's own: made under a lock, never swapped under an ssh, retired; only public halves travel.

ssh opens its IdentityFiles while the proxy starts beside it, and the private halves when it logs in. So a pair may
appear under a name that was free, and then serves that very connection, but what an ssh has read must stay good until
it has logged in. There are two names, ssh is given both, and they hold the same pair but for the time of a change:

    name 1: [ A ...................................][ B ..........
    name 2: [ A ...........][ B: rests ][ B: current ][ B ..........
                     A is due ^   + grace ^       ^ + 2 x grace: A is gone

B rests, for an ssh that is just starting may have read A under both names. Then it is current, and A stays for those
that began with it. At last B takes A's name, where ssh looks first, so that no login begins with a key that is refused;
and ssh never complains of a file that is missing. All of that is done by connections: without one, nothing changes.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from ssm_ssh.errors import StateError
from ssm_ssh.storage.paths import data_folder
from ssm_ssh.storage.private_dir import open_folder

if TYPE_CHECKING:
    from pathlib import Path

    from ssm_ssh.storage.private_dir import Folder

SLOTS = ("id_ed25519", "id_ed25519_2")
_LOCK = "key.lock"
# Seconds. A pair serves for a day. A connection logs in within minutes of its start: sshd waits for two, and what comes
# before (MFA, a held key exchange, refusals by sshd that are tried again) is bounded too.
MAX_AGE = 86400.0
GRACE = 900.0
# What `show` says of a pair that has served for too long.
OVER_AGE = "current, to be replaced soon after the next connection"


class Pair(NamedTuple):
    """A pair that is there: the file of its private half, its public half, and when it was made (epoch seconds)."""

    slot: str
    line: str
    made: float


def identity_files() -> tuple[Path, ...]:
    """Paths for ssh's IdentityFile lines; the files need not exist yet."""
    return tuple(data_folder() / slot for slot in SLOTS)


def public_key(*, max_age: float = MAX_AGE, now: float | None = None) -> str:
    """Return the current public key as `ssh-ed25519 BASE64`; one older than `max_age` seconds is given a successor.

    Where nothing can be written (a full disk), the pair that is there serves on. Raises StateError where the folder or
    a file is not usable, or there is no pair.
    """
    now = time.time() if now is None else now
    with open_folder(data_folder()) as folder:
        pairs = _pairs(folder)
        if _unfinished(pairs, now) or _due(pairs, max_age, now):
            try:
                with folder.lock(_LOCK):
                    pairs = _finish(folder, now)
                    if _due(pairs, max_age, now):
                        pairs = _make(folder, SLOTS[1], now)
            except StateError:
                pairs = _pairs(folder)
                if not pairs:
                    raise
        return _current(pairs, now).line


def show(*, max_age: float = MAX_AGE, now: float | None = None) -> list[tuple[Pair, str]]:
    """Return the pairs that are there with what they are: `current`, `retired`, or `resting` before it is current.

    Nothing but a connection replaces or deletes a pair. So one that has served for more than `max_age` seconds, and
    has no successor yet, is OVER_AGE.
    """
    now = time.time() if now is None else now
    with open_folder(data_folder()) as folder:
        pairs = _pairs(folder)
    if not pairs:
        return []
    current = _current(pairs, now)
    others = [pair for pair in pairs if pair.line != current.line]
    rests = any(pair.made > current.made for pair in others)
    serving = OVER_AGE if now - current.made > max_age and not rests else "current"
    found = [(current, serving), *((pair, "resting" if rests else "retired") for pair in others)]
    return sorted(found, key=lambda one: one[0].made)


def renew(*, now: float | None = None) -> float:
    """Make a new pair; returns in how many seconds it will be current (0: it is).

    Raises StateError while a change is under way, for what an ssh has read stays good until it has logged in.
    """
    now = time.time() if now is None else now
    with open_folder(data_folder()) as folder, folder.lock(_LOCK):
        if not _pairs(folder):
            _finish(folder, now)
            return 0.0
        pairs = _finish(folder, now)
        wait = _changing_until(pairs, now) - now
        if wait > 0:
            raise StateError(
                "the key was renewed minutes ago, and connections may still be about to use the one before it",
                f"Try again in {max(1, round(wait / 60))} minutes, or remove both: ssm-ssh key remove",
            )
        _make(folder, SLOTS[1], now)
        return GRACE


def remove() -> int:
    """Delete every pair, also for connections that are just starting; returns how many there were."""
    with open_folder(data_folder()) as folder, folder.lock(_LOCK):
        try:
            lines = {pair.line for pair in _pairs(folder)}
        except StateError:  # what cannot be read is to go all the more
            lines = set()
        halves = 0
        for slot in SLOTS:
            folder.discard_temporaries(slot)
            # The private half first: what is left after an interruption is of no use to anybody.
            halves += folder.remove(slot)
            folder.remove(f"{slot}.pub")
        return len(lines) or min(halves, 1)


def kept_until(current: Pair) -> float:
    """Return until when (epoch seconds) the pair that `current` has retired is kept for connections just starting."""
    return current.made + 2 * GRACE


def _ahead(pair: Pair, now: float) -> bool:
    """Whether a clock that was wrong says when the pair was made."""
    return pair.made >= now + GRACE


def _near(moment: float, now: float) -> bool:
    """Whether `moment` is less than a grace period ago, or ahead: a clock may have been set back a little."""
    return abs(now - moment) < GRACE


def _one(pairs: list[Pair]) -> bool:
    """Whether both names hold the same pair."""
    return len(pairs) == len(SLOTS) and pairs[0].line == pairs[1].line


def _current(pairs: list[Pair], now: float) -> Pair:
    """The newest, unless it rests yet. Where both names hold it, the file that was written first tells its age."""
    return pairs[0] if _one(pairs) or _near(pairs[-1].made, now) else pairs[-1]


def _unfinished(pairs: list[Pair], now: float) -> bool:
    """Whether the current pair should be under both names and is not, or a time is wrong."""
    if len(pairs) < len(SLOTS) or _ahead(pairs[-1], now):
        return True
    return not _one(pairs) and now > kept_until(pairs[-1])


def _due(pairs: list[Pair], max_age: float, now: float) -> bool:
    """Whether the only pair has served long enough to be given a successor."""
    return now - pairs[0].made > max_age and _changing_until(pairs, now) <= now


def _changing_until(pairs: list[Pair], now: float) -> float:
    """Return when (epoch seconds) another pair may be made, if a connection does then what is to be done."""
    if not _one(pairs):
        return pairs[-1].made + 3 * GRACE
    # The second may have been written long after the first, over a pair that an ssh had read.
    written = pairs[-1].made
    return written + GRACE if written != pairs[0].made and _near(written, now) else now


def _finish(folder: Folder, now: float) -> list[Pair]:
    """Make the first pair, or have the current one under both names if it is time; returns what is there then."""
    pairs = _pairs(folder) or _make(folder, SLOTS[0], now)
    for pair in pairs:
        if _ahead(pair, now):  # it would serve until then, and rest for as long
            folder.set_modified(pair.slot, now)
            pairs = _pairs(folder)
    if not _unfinished(pairs, now):
        return pairs
    pair = pairs[-1]
    private = folder.read(pair.slot)
    if private is None:
        raise StateError(f"{folder.path / pair.slot} is gone", "Connect again")
    return _put(folder, SLOTS[1 - SLOTS.index(pair.slot)], private, pair.line, now)


def _pairs(folder: Folder) -> list[Pair]:
    """Return what is under each name, the newest file last; one half alone is nothing."""
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


def _make(folder: Folder, slot: str, now: float) -> list[Pair]:
    """Make a pair under a name that no ssh can still be about to use; returns what is there then."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    # An earlier run may have ended before it wrote the first public half, and an ssh may have read the private one.
    private = folder.read(slot) if slot == SLOTS[0] else None
    if private is None:
        key = Ed25519PrivateKey.generate()
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
        )
    else:
        try:
            loaded = serialization.load_ssh_private_key(private, None)
        except (ValueError, TypeError) as error:
            raise StateError(f"{folder.path / slot} is not a private key of ours", "Run: ssm-ssh key remove") from error
        if not isinstance(loaded, Ed25519PrivateKey):
            raise StateError(f"{folder.path / slot} is not an Ed25519 private key", "Run: ssm-ssh key remove")
        key = loaded
    line = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return _put(folder, slot, private, line.decode("ascii"), now)


def _put(folder: Folder, slot: str, private: bytes, line: str, now: float) -> list[Pair]:
    """Write a pair; at no moment is one half beside another's, and without its public half a pair does not count."""
    for one in SLOTS:  # copies of private halves are not to lie about for longer than these
        folder.discard_temporaries(one)
    folder.remove(f"{slot}.pub")
    folder.write(slot, private, modified=now)
    folder.write(f"{slot}.pub", f"{line} ssm-ssh\n".encode("ascii"))
    return _pairs(folder)
