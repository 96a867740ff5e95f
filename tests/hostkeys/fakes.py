"""Sources that answer as they are told, and the keys that tests of host keys share."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ssm_ssh.errors import (
    HostKeyRefused,
)
from ssm_ssh.hostkeys.known_hosts import KNOWN, HostFile
from ssm_ssh.hostkeys.sources import (
    AMBIGUOUS,
    COMMAND,
    CONSOLE,
    DENIED,
    EMPTY,
    FAILED,
    REPORTED,
    Report,
    Sources,
)
from ssm_ssh.hostkeys.verdict import CONFIRMED, CONTRADICTED, NOT_NOW, UNCONFIRMED, UNVERIFIED
from ssm_ssh.hostkeys.verify import Server, check
from ssm_ssh.log import Log
from ssm_ssh.ssh.hostkey import HostKey
from tests.ssh.streams import ed25519, string

INSTANCE = "i-0123456789abcdef0"
NODE = "mi-0123456789abcdef1"
KEY, SECOND, EVIL = ed25519(1), ed25519(2), ed25519(6)
# Every answer of a source to the question for KEY; None: it is not asked.
STATUSES: dict[str, tuple[str, frozenset[HostKey]] | None] = {
    "same": (REPORTED, frozenset({KEY, SECOND})),
    "other": (REPORTED, frozenset({EVIL})),
    "empty": (EMPTY, frozenset()),
    "ambiguous": (AMBIGUOUS, frozenset()),
    "denied": (DENIED, frozenset()),
    "failed": (FAILED, frozenset()),
    "none": None,
}


class Asked:
    """Sources that answer as told, and what was asked of them."""

    def __init__(self, console: str, command: str) -> None:
        self.asked: list[str] = []
        self.sources = Sources(self._source(CONSOLE, console), self._source(COMMAND, command))

    def _source(self, source: str, kind: str) -> Callable[[], Report] | None:
        answer = STATUSES[kind]
        if answer is None:
            return None

        def call() -> Report:
            self.asked.append(source)
            return Report(source, *answer, reason="" if answer[0] == REPORTED else f"{source} {kind}")

        return call


FIRST = {
    ("same", "none"): CONFIRMED,
    ("same", "other"): CONFIRMED,  # one source is enough, and the command costs
    ("other", "same"): CONTRADICTED,
    ("empty", "same"): CONFIRMED,
    ("ambiguous", "same"): CONFIRMED,
    ("denied", "same"): CONFIRMED,
    ("failed", "same"): CONFIRMED,
    ("none", "same"): CONFIRMED,
    ("empty", "other"): CONTRADICTED,
    ("denied", "other"): CONTRADICTED,
    ("none", "other"): CONTRADICTED,
    ("denied", "denied"): UNVERIFIED,
    ("empty", "denied"): UNVERIFIED,
    ("none", "denied"): UNVERIFIED,
    ("ambiguous", "denied"): UNCONFIRMED,
    ("failed", "denied"): NOT_NOW,
    ("denied", "failed"): NOT_NOW,
    ("empty", "failed"): NOT_NOW,
    ("none", "failed"): NOT_NOW,
    ("ambiguous", "failed"): NOT_NOW,
    ("denied", "empty"): UNCONFIRMED,
    ("empty", "empty"): UNCONFIRMED,
    ("none", "ambiguous"): UNCONFIRMED,
}
CHANGED = {
    ("same", "same"): CONFIRMED,
    ("denied", "same"): CONFIRMED,
    ("same", "denied"): CONFIRMED,
    ("none", "same"): CONFIRMED,
    ("same", "other"): CONTRADICTED,
    ("other", "same"): CONTRADICTED,
    ("empty", "same"): UNCONFIRMED,
    ("ambiguous", "same"): UNCONFIRMED,
    ("failed", "same"): NOT_NOW,
    ("same", "failed"): NOT_NOW,
    ("same", "empty"): UNCONFIRMED,
    ("same", "ambiguous"): UNCONFIRMED,
    ("denied", "denied"): UNCONFIRMED,
    ("none", "denied"): UNCONFIRMED,
    ("none", "other"): CONTRADICTED,
    ("none", "failed"): NOT_NOW,
}
WHERE = Server(INSTANCE, 22, INSTANCE, "eu-central-1 default")
NEVER = Asked("none", "none")


def judge(
    console: str,
    command: str,
    key: HostKey = KEY,
    where: Server = WHERE,
    *,
    require: bool = False,
    judged_by_ssh: bool = True,
) -> tuple[str, list[str]]:
    asked = Asked(console, command)
    said = check(where, key, asked.sources, require=require, judged_by_ssh=judged_by_ssh, log=Log(None))
    return said, asked.asked


def known(name: str = INSTANCE) -> frozenset[HostKey]:
    return HostFile(KNOWN).keys(name)


def know(*keys: HostKey, name: str = INSTANCE) -> None:
    HostFile(KNOWN).record([name], keys, "console, 2026-01-01, eu-central-1 default")


def unverified(when: str = "") -> None:
    judge("denied", "denied")
    if when:
        HostFile(KNOWN).record([INSTANCE], {KEY}, f"unverified, {when}, {WHERE.origin}")


def refused_once() -> None:
    with pytest.raises(HostKeyRefused):
        judge("other", "none")


def of_type(kind: str, fill: int = 1) -> HostKey:
    return HostKey(kind, string(kind.encode()) + string(bytes([fill]) * 32))


RSA, OTHER_RSA = (HostKey("ssh-rsa", string(b"ssh-rsa") + string(b"\3") + string(n * 256)) for n in (b"\x61", b"\x62"))
RARE = of_type("sk-new@openssh.com")


class Showing(Asked):
    """Sources that show these keys; None: one that denies."""

    def __init__(self, console: set[HostKey] | None, command: set[HostKey] | None) -> None:
        self.asked = []
        self.sources = Sources(self._showing(CONSOLE, console), self._showing(COMMAND, command))

    def _showing(self, source: str, keys: set[HostKey] | None) -> Callable[[], Report]:
        def call() -> Report:
            self.asked.append(source)
            if keys is None:
                return Report(source, DENIED, reason=f"{source} denied")
            return Report(source, REPORTED, frozenset(keys))

        return call


def judge_shown(
    console: set[HostKey] | None, command: set[HostKey] | None, key: HostKey = KEY, *, require: bool = False
) -> tuple[str, list[str]]:
    shown = Showing(console, command)
    said = check(WHERE, key, shown.sources, require=require, judged_by_ssh=True, log=Log(None))
    return said, shown.asked


def refused(console: set[HostKey] | None, command: set[HostKey] | None, key: HostKey = KEY) -> HostKeyRefused:
    with pytest.raises(HostKeyRefused) as caught:
        judge_shown(console, command, key)
    assert key not in known()
    return caught.value
