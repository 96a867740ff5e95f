"""One direction of one session, when faults are in force: frames wait, are lost, doubled or overtaken here.

Bounded: when too much waits, the sender is not read from until it has drained.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from ssm_ssh.lab.faults.plan import Plan

# Frame bytes that may wait in a direction before its source is held.
DIRECTION_BYTES = 256 * 1024
# A frame that nothing overtakes is not held back longer than this.
REORDER_PATIENCE = 0.05


class Direction:
    """Frames on their way in one direction. `deliver` takes them at their time, `hold` stops the source."""

    def __init__(self, deliver: Callable[[list[bytes]], None], hold: Callable[[bool], None]) -> None:
        self._deliver = deliver
        self._hold = hold
        self._waiting: deque[tuple[float, bytes]] = deque()
        self._bytes = 0
        self._held = False
        self._last_due = 0.0
        self._free = 0.0  # when the limited line has carried what was given to it
        self._timer: asyncio.TimerHandle | None = None
        self._patience: asyncio.TimerHandle | None = None

    @property
    def idle(self) -> bool:
        """True when nothing waits: frames may pass by the direction."""
        return not self._waiting

    def push(self, frames: list[bytes], plan: Plan | None) -> None:
        """Send `frames` on, as `plan` wants it (None: behind what waits, otherwise unharmed)."""
        now = asyncio.get_running_loop().time()
        for frame in frames:
            for copy in plan.shape(frame) if plan else (frame,):
                self._append(copy, now, plan)
        if plan is not None and plan.holding and self._patience is None:
            self._patience = asyncio.get_running_loop().call_later(REORDER_PATIENCE, self._release, plan)
        self._run()

    def _append(self, frame: bytes, now: float, plan: Plan | None) -> None:
        due = now
        if plan is not None:
            due += plan.delay()
            rate = plan.rate()
            if rate:
                self._free = max(self._free, now) + len(frame) / rate
                due = max(due, self._free)
        self._last_due = due = max(due, self._last_due)  # a line keeps the order
        self._waiting.append((due, frame))
        self._bytes += len(frame)

    def _release(self, plan: Plan) -> None:
        self._patience = None
        now = asyncio.get_running_loop().time()
        for frame in plan.release():
            self._append(frame, now, plan)
        self._run()

    def _run(self) -> None:
        loop = asyncio.get_running_loop()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        # The loop's timers are good to a resolution of their own; what is due within it is due now.
        now = loop.time() + 0.0005
        due: list[bytes] = []
        while self._waiting and self._waiting[0][0] <= now:
            frame = self._waiting.popleft()[1]
            self._bytes -= len(frame)
            due.append(frame)
        if due:
            self._deliver(due)
        if self._waiting and self._timer is None:
            self._timer = loop.call_at(self._waiting[0][0], self._run)
        held = self._bytes > (DIRECTION_BYTES // 2 if self._held else DIRECTION_BYTES)
        if held != self._held:
            self._held = held
            self._hold(held)

    def close(self) -> None:
        """Forget what waits."""
        self._waiting.clear()
        self._bytes = 0
        for timer in (self._timer, self._patience):
            if timer is not None:
                timer.cancel()
        self._timer = self._patience = None
