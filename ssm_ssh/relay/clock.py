"""The clocks of this machine, as environment.Clock."""

from __future__ import annotations

import time


class SystemClock:
    """Both clocks in seconds, without a call in between."""

    monotonic = staticmethod(time.monotonic)
    wall = staticmethod(time.time)
