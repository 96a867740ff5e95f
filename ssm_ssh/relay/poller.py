"""poll() over a handful of descriptors whose interests change at every turn."""

from __future__ import annotations

import select

READ = select.POLLIN
WRITE = select.POLLOUT
GONE = select.POLLERR | select.POLLHUP | select.POLLNVAL
BROKEN = select.POLLERR


class Poller:
    """Remembers the interests, so that only changes reach poll()."""

    def __init__(self) -> None:
        self._poll = select.poll()
        self._masks: dict[int, int] = {}

    def watch(self, fd: int, mask: int) -> None:
        """Wait for `mask` on `fd`; with 0 only for its end (GONE)."""
        if self._masks.get(fd) != mask:
            self._masks[fd] = mask
            self._poll.register(fd, mask)

    def forget(self, fd: int) -> None:
        """Wait for nothing on `fd` any more; do so before it is closed."""
        if self._masks.pop(fd, None) is not None:
            self._poll.unregister(fd)

    def wait(self, seconds: float) -> dict[int, int]:
        """Return what happened, by descriptor, after at most `seconds`."""
        return dict(self._poll.poll(max(0.0, seconds) * 1000 + 0.5))
