"""One direction of a session under faults: it delays, drops, duplicates and reorders frames.

The queue is bounded: while it is full, its source is not read.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from ssm_ssh.lab.faults.plan import Plan

# Bytes of queued frames above which the source is paused.
MAX_QUEUED = 256 * 1024
# Seconds after which a frame that no other frame has overtaken is sent anyway.
REORDER_PATIENCE = 0.05


class Direction:
    """A queue of frames. `deliver` gets frames when they are due, and `hold` pauses and resumes the source."""

    def __init__(self, deliver: Callable[[list[bytes]], None], hold: Callable[[bool], None]) -> None:
        self._deliver = deliver
        self._hold = hold
        self._waiting: deque[tuple[float, bytes]] = deque()
        self._bytes = 0
        self._held = False
        self._last_due = 0.0
        self._free = 0.0  # when the rate limit has let through everything queued so far
        self._timer: asyncio.TimerHandle | None = None
        self._patience: asyncio.TimerHandle | None = None

    @property
    def idle(self) -> bool:
        """True when the queue is empty, so that frames may bypass it."""
        return not self._waiting

    def push(self, frames: list[bytes], plan: Plan | None) -> None:
        """Queue `frames` as `plan` wants (None: unchanged, behind the queued ones)."""
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
        self._last_due = due = max(due, self._last_due)  # delays keep the order
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
        # The loop's timers have a limited resolution; a frame that is due within it is due now.
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
        held = self._bytes > (MAX_QUEUED // 2 if self._held else MAX_QUEUED)
        if held != self._held:
            self._held = held
            self._hold(held)

    def close(self) -> None:
        """Drop the queue and cancel its timers."""
        self._waiting.clear()
        self._bytes = 0
        for timer in (self._timer, self._patience):
            if timer is not None:
                timer.cancel()
        self._timer = self._patience = None
