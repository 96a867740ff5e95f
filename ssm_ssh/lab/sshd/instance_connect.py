"""The public keys that EC2 Instance Connect has pushed to an instance; each is accepted for sixty seconds."""

from __future__ import annotations

import threading
from collections.abc import Callable

# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-instance-connect-methods.html
LIFETIME = 60.0


class PushedKeys:
    """Keys by user, each until LIFETIME after it was pushed. `clock` returns seconds.

    `effective` is False where the ec2-instance-connect package is missing: the push succeeds, and sshd never asks.
    The embedded server asks in threads of its own, while keys are pushed in the event loop's.
    """

    def __init__(self, clock: Callable[[], float], *, effective: bool = True) -> None:
        self._clock = clock
        self._keys: dict[tuple[str, str], float] = {}
        self._lock = threading.Lock()
        self.effective = effective

    def push(self, user: str, line: str) -> None:
        """Accept the public key `line` ("type base64 comment") for `user` from now on; the comment is dropped."""
        with self._lock:
            self._keys[user, " ".join(line.split()[:2])] = self._clock() + LIFETIME

    def lines(self, user: str) -> list[str]:
        """Return the key lines that are accepted for `user` at this moment."""
        now = self._clock()
        with self._lock:
            self._keys = {key: end for key, end in self._keys.items() if end > now}
            return [line for (name, line) in self._keys if name == user] if self.effective else []

    def next_end(self) -> float | None:
        """Return the seconds until the next key expires; None when there is none."""
        with self._lock:
            return max(0.0, min(self._keys.values()) - self._clock()) if self._keys else None
