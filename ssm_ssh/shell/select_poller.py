"""select() in the place of poll(), for systems whose poll() does not know terminals (macOS)."""

from __future__ import annotations

import os
import select

from ssm_ssh.relay.poller import READ, WRITE


class SelectPoller:
    """The same methods as relay.poller.Poller. It does not notice the end of what is watched with the mask 0."""

    def __init__(self) -> None:
        self._masks: dict[int, int] = {}

    def watch(self, fd: int, mask: int) -> None:
        """Wait for `mask` on `fd`."""
        self._masks[fd] = mask

    def forget(self, fd: int) -> None:
        """Wait for nothing on `fd` any more."""
        self._masks.pop(fd, None)

    def wait(self, seconds: float) -> dict[int, int]:
        """Return what happened, by descriptor, after at most `seconds`."""
        readers = [fd for fd, mask in self._masks.items() if mask & READ]
        writers = [fd for fd, mask in self._masks.items() if mask & WRITE]
        try:
            readable, writable, _ = select.select(readers, writers, [], max(0.0, seconds))
        except (OSError, ValueError):  # a descriptor was closed
            return {fd: select.POLLNVAL for fd in {*readers, *writers} if not _is_open(fd)}
        ready = dict.fromkeys(readable, READ)
        for fd in writable:
            ready[fd] = ready.get(fd, 0) | WRITE
        return ready


def _is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except (OSError, OverflowError):
        return False
    return True
