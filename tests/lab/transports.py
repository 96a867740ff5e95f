"""What asynchronous tests leave open."""

from __future__ import annotations

import asyncio


async def close_transports() -> None:
    """Close the connections that are left, or the garbage collector complains of them in another test."""
    open_ones = getattr(asyncio.get_running_loop(), "_transports", {})
    for transport in list(open_ones.values()):
        transport.abort()
    for _ in range(3):  # what is aborted is closed in a later turn, and what TLS has wrapped in one more
        await asyncio.sleep(0)
