"""Reading authorized_keys as sshd does, for the embedded server: sshd(8), "AUTHORIZED_KEYS FILE FORMAT".

An option that is not known denies the key, a line that cannot be read is passed over; both are sshd's way.
"""

from __future__ import annotations

import calendar
import fnmatch
import ipaddress
import os
import re
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_WORD = re.compile(r'(?:[^\s"]|"(?:\\"|[^"])*")+')
_OPTION = re.compile(r'([A-Za-z0-9-]+)(?:="((?:\\"|[^"])*)")?(?:,|$)')
_KEY_TYPE = re.compile(r"(?:ssh|ecdsa|sk-ssh|sk-ecdsa)-[a-z0-9@.-]+")
_FLAGS = ("pty", "port-forwarding", "agent-forwarding", "x11-forwarding", "user-rc")
_EXPIRY = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}


class Grant(NamedTuple):
    """What the holder of a key may do."""

    pty: bool = True
    forwarding: bool = True
    command: str | None = None


def grant(lines: list[str], key: str, *, address: str, now: float) -> Grant | None:
    """Return what `lines` allow the public `key` ("type base64") coming from `address`, at `now`; None: nothing."""
    for options, line_key in _entries(lines):
        if line_key == key:
            allowed = _judge(options, address, now)
            if allowed is not None:
                return allowed
    return None


def _entries(lines: list[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        if line.lstrip().startswith("#"):
            continue
        words = _WORD.findall(line)
        for options, rest in (("", words), (words[0] if words else "", words[1:])):
            if len(rest) >= 2 and _KEY_TYPE.fullmatch(rest[0]):
                yield options, " ".join(rest[:2])
                break


def _judge(options: str, address: str, now: float) -> Grant | None:
    flags = dict.fromkeys(_FLAGS, True)
    command = None
    position = 0
    while position < len(options):
        match = _OPTION.match(options, position)
        if not match:
            return None
        position = match.end()
        name, value = match[1].lower(), match[2]
        if name == "restrict":
            flags = dict.fromkeys(_FLAGS, False)
        elif name in _FLAGS:
            flags[name] = True
        elif name.startswith("no-") and name[3:] in _FLAGS:
            flags[name[3:]] = False
        elif name == "command" and value is not None:
            command = value.replace('\\"', '"')
        elif name == "from" and value is not None:
            if not _comes_from(address, value):
                return None
        elif name == "expiry-time" and value is not None:
            if _expired(value, now):
                return None
        elif name not in ("environment", "permitopen", "permitlisten", "no-touch-required", "verify-required"):
            return None
    return Grant(flags["pty"], flags["port-forwarding"], command)


def _comes_from(address: str, patterns: str) -> bool:
    """The rule of PATTERNS in ssh_config(5): one match, and no negated one."""
    hit = False
    for entry in patterns.split(","):
        pattern = entry.strip()
        negated = pattern.startswith("!")
        pattern = pattern[1:] if negated else pattern
        if "/" in pattern:
            try:
                match = ipaddress.ip_address(address) in ipaddress.ip_network(pattern)
            except ValueError:
                return False
        else:
            match = fnmatch.fnmatchcase(address.lower(), pattern.lower().replace("[", "[[]"))
        if match and negated:
            return False
        hit = hit or match
    return hit


def _expired(value: str, now: float) -> bool:
    """Local time, or UTC with a Z (as OpenSSH 9.1 and later); what cannot be read has expired."""
    utc = value.upper().endswith("Z")
    digits = value[:-1] if utc else value
    form = _EXPIRY.get(len(digits))
    if form is None or not digits.isdigit():
        return True
    try:
        moment = time.strptime(digits, form)
    except ValueError:
        return True
    return now >= (calendar.timegm(moment) if utc else time.mktime(moment))


def read_file(home: Path, uid: int) -> list[str]:
    """Return the lines of `home`/.ssh/authorized_keys; none where StrictModes would refuse the file.

    The file (symlinks followed) and every folder from it up to the home must belong to `uid` or root and be
    writable by no other user: sshd_config(5), StrictModes.
    """
    path = home / ".ssh" / "authorized_keys"
    try:
        real, top = path.resolve(strict=True), home.resolve(strict=True)
        for item in (real, *real.parents):
            status = item.stat()
            if status.st_uid not in (0, uid) or status.st_mode & 0o022:
                return []
            if item == top:
                break
        with os.fdopen(os.open(real, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return []
            return file.read(1 << 20).decode(errors="replace").split("\n")
    except (OSError, RuntimeError):
        return []
