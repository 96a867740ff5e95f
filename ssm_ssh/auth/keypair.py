"""ssm-ssh's own key pairs: created under a lock, rotated, never replaced under a running ssh. Private keys stay here.

ssh opens its IdentityFiles while it starts the proxy, and reads the private keys when it logs in. So a new pair may
appear under a free name, and then serves that very connection, but a pair that an ssh has read must stay valid until
that ssh has logged in. There are two names, ssh is given both, and they hold the same pair except during a rotation:

    name 1: [ A ...................................][ B ..........
    name 2: [ A ...........][ B: rests ][ B: current ][ B ..........
                     A is due ^   + grace ^       ^ + 2 x grace: A is gone

B rests first, since an ssh that is just starting may have read A under both names. Then B is current, and A stays for
the connections that started with it. Finally B takes A's name, which ssh tries first, so that no login starts with a
refused key, and ssh never complains about a missing file. Connections do all of this; without one, nothing changes.

Pairs of different types (key_type.py) live side by side: each connection says which one its ssh was given.
"""

from __future__ import annotations

import time

from ssm_ssh.auth.key_type import ED25519, TYPES, generate, is_public_key, public_file, public_line, slots
from ssm_ssh.errors import StateError
from ssm_ssh.startup import TYPE_CHECKING, NamedTuple
from ssm_ssh.storage.paths import data_folder
from ssm_ssh.storage.private_dir import open_folder

if TYPE_CHECKING:
    from pathlib import Path

    from ssm_ssh.storage.private_dir import Folder

_LOCK = "key.lock"
# Seconds. A pair serves for a day. A connection logs in within minutes: sshd waits for two minutes, and the
# steps before (MFA, a held key exchange, retries after refusals by sshd) are bounded too.
MAX_AGE = 86400.0
GRACE = 900.0
# The state of a pair that has served for too long.
OVER_AGE = "current, to be replaced soon after the next connection"


class Pair(NamedTuple):
    """An existing pair: the file of its private key, its public key, and when it was created (epoch seconds)."""

    slot: str
    line: str
    made: float


def identity_files(key_type: str = ED25519) -> tuple[Path, ...]:
    """Paths for ssh's IdentityFile lines; the files need not exist yet."""
    return tuple(data_folder() / slot for slot in slots(key_type))


def in_use(key_type: str) -> bool:
    """Return whether there is a private key of that type. Nothing is created, not even the folder."""
    return any(path.exists() for path in identity_files(key_type))


def public_key(key_type: str = ED25519, *, max_age: float = MAX_AGE, now: float | None = None) -> str:
    """Return the current public key (`TYPE BASE64`); start a rotation if it is older than `max_age` seconds.

    If nothing can be written (a full disk), the existing pair continues to serve. Raises StateError where the folder or
    a file cannot be used, or there is no pair.
    """
    now = time.time() if now is None else now
    with open_folder(data_folder()) as folder:
        pairs = _pairs(folder, key_type)
        if _unfinished(pairs, now) or _due(pairs, max_age, now):
            try:
                with folder.lock(_LOCK):
                    pairs = _finish(folder, key_type, now)
                    if _due(pairs, max_age, now):
                        pairs = _create(folder, key_type, slots(key_type)[1], now)
            except StateError:
                pairs = _pairs(folder, key_type)
                if not pairs:
                    raise
        return _current(pairs, now).line


def show(*, max_age: float = MAX_AGE, now: float | None = None) -> list[tuple[Pair, str]]:
    """Return the existing pairs with their states: `current`, `retired`, or `resting` before it becomes current.

    Only a connection rotates pairs. So a pair that has served for more than `max_age` seconds, and has no successor
    yet, is OVER_AGE. There is a current pair of each type that is in use.
    """
    now = time.time() if now is None else now
    shown: list[tuple[Pair, str]] = []
    with open_folder(data_folder()) as folder:
        for key_type in TYPES:
            shown += _states(_pairs(folder, key_type), max_age, now)
    return sorted(shown, key=lambda state: state[0].made)


def _states(pairs: list[Pair], max_age: float, now: float) -> list[tuple[Pair, str]]:
    """Return the pairs of one type with their states."""
    if not pairs:
        return []
    current = _current(pairs, now)
    others = [pair for pair in pairs if pair.line != current.line]
    rests = any(pair.made > current.made for pair in others)
    serving = OVER_AGE if now - current.made > max_age and not rests else "current"
    return [(current, serving), *((pair, "resting" if rests else "retired") for pair in others)]


def renew(*, now: float | None = None) -> float:
    """Create a new pair of each type that is in use; returns in how many seconds they will be current (0: now).

    Raises StateError during a rotation, since a pair that an ssh has read stays valid until that ssh has logged in.
    """
    now = time.time() if now is None else now
    with open_folder(data_folder()) as folder, folder.lock(_LOCK):
        used = [key_type for key_type in TYPES if _pairs(folder, key_type)]
        if not used:
            _finish(folder, ED25519, now)
            return 0.0
        wait = max(_changing_until(_finish(folder, key_type, now), now) for key_type in used) - now
        if wait > 0:
            raise StateError(
                "the key was renewed minutes ago, and starting connections may still use the previous one",
                f"Try again in {max(1, round(wait / 60))} minutes, or remove both: ssm-ssh key remove",
            )
        for key_type in used:
            _create(folder, key_type, slots(key_type)[1], now)
        return GRACE


def remove() -> int:
    """Delete every pair, even if connections that are just starting need it; returns how many there were."""
    count = 0
    with open_folder(data_folder()) as folder, folder.lock(_LOCK):
        for key_type in TYPES:
            try:
                lines = {pair.line for pair in _pairs(folder, key_type)}
            except StateError:  # unreadable files are deleted as well
                lines = set()
            halves = 0
            for slot in slots(key_type):
                folder.discard_temporaries(slot)
                # The private key first: after an interruption, only a useless public key is left.
                halves += folder.remove(slot)
                folder.remove(public_file(key_type, slot))
            count += len(lines) or min(halves, 1)
    return count


def kept_until(current: Pair) -> float:
    """Return until when (epoch seconds) the pair before `current` is kept for connections that are just starting."""
    return current.made + 2 * GRACE


def _in_future(pair: Pair, now: float) -> bool:
    """Return whether the pair seems to come from the future: a clock was wrong."""
    return pair.made >= now + GRACE


def _near(moment: float, now: float) -> bool:
    """Return whether `moment` is within a grace period of `now`, also after it: a clock may have been set back."""
    return abs(now - moment) < GRACE


def _same(pairs: list[Pair]) -> bool:
    """Return whether both names hold the same pair."""
    return len(pairs) == 2 and pairs[0].line == pairs[1].line


def _current(pairs: list[Pair], now: float) -> Pair:
    """Return the newest pair, unless it still rests. If both names hold it, the older file tells its age."""
    return pairs[0] if _same(pairs) or _near(pairs[-1].made, now) else pairs[-1]


def _unfinished(pairs: list[Pair], now: float) -> bool:
    """Return whether the current pair should have both names and does not, or has a wrong time."""
    if len(pairs) < 2 or _in_future(pairs[-1], now):
        return True
    return not _same(pairs) and now > kept_until(pairs[-1])


def _due(pairs: list[Pair], max_age: float, now: float) -> bool:
    """Return whether the only pair has served long enough to get a successor."""
    return now - pairs[0].made > max_age and _changing_until(pairs, now) <= now


def _changing_until(pairs: list[Pair], now: float) -> float:
    """Return when (epoch seconds) the next pair may be created, if connections finish the rotation until then."""
    if not _same(pairs):
        return pairs[-1].made + 3 * GRACE
    # The second may have been written long after the first, over a pair that an ssh had read.
    written = pairs[-1].made
    return written + GRACE if written != pairs[0].made and _near(written, now) else now


def _finish(folder: Folder, key_type: str, now: float) -> list[Pair]:
    """Create the first pair, or give the current one both names if it is time; returns the pairs afterwards."""
    names = slots(key_type)
    pairs = _pairs(folder, key_type) or _create(folder, key_type, names[0], now)
    for pair in pairs:
        if _in_future(pair, now):  # else it would rest, and serve, until then
            folder.set_modified(pair.slot, now)
            pairs = _pairs(folder, key_type)
    if not _unfinished(pairs, now):
        return pairs
    pair = pairs[-1]
    private = folder.read(pair.slot)
    if private is None:
        raise StateError(f"{folder.path / pair.slot} is gone", "Connect again")
    return _write(folder, key_type, names[1 - names.index(pair.slot)], (private, pair.line), now)


def _pairs(folder: Folder, key_type: str) -> list[Pair]:
    """Return the pair of each name, the newest file last; one file without the other is no pair."""
    pairs = []
    for slot in slots(key_type):
        file = public_file(key_type, slot)
        public = folder.read(file)
        made = folder.modified(slot)
        if public is None or made is None:
            continue
        words = public.decode("ascii", "replace").split()
        if not is_public_key(key_type, words):
            raise StateError(f"{folder.path / file} is not a public key of type {key_type}", "Run: ssm-ssh key remove")
        pairs.append(Pair(slot, " ".join(words[:2]), made))
    return sorted(pairs, key=lambda pair: (pair.made, pair.slot))


def _create(folder: Folder, key_type: str, slot: str, now: float) -> list[Pair]:
    """Create a pair under a name that no starting ssh can have read; returns the pairs afterwards."""
    # An earlier run may have ended before it wrote the public key, and an ssh may have read the private one.
    private = folder.read(slot) if slot == slots(key_type)[0] else None
    if private is None:
        private = generate(key_type)
    try:
        line = public_line(key_type, private)
    except ValueError as error:
        raise StateError(
            f"{folder.path / slot} is not a private key of ssm-ssh of type {key_type}", "Run: ssm-ssh key remove"
        ) from error
    return _write(folder, key_type, slot, (private, line), now)


def _write(folder: Folder, key_type: str, slot: str, halves: tuple[bytes, str], now: float) -> list[Pair]:
    """Write the private and the public half. At no time are the two files of different pairs.

    Without a public key, there is no pair.
    """
    for name in slots(key_type):  # copies of private keys must not outlive the keys
        folder.discard_temporaries(name)
    file = public_file(key_type, slot)
    folder.remove(file)
    folder.write(slot, halves[0], modified=now)
    folder.write(file, f"{halves[1]} ssm-ssh\n".encode("ascii"))
    return _pairs(folder, key_type)
