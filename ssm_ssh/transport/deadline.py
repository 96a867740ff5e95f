"""Deadlines in seconds of `time.monotonic()`."""

from __future__ import annotations

import time

from ssm_ssh.errors import NetworkError


def remaining(deadline: float, what: str) -> float:
    """Return the seconds left until `deadline` (monotonic), always more than zero.

    Raises NetworkError when none are left; `what` names what the caller waits for.
    """
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise timed_out(what)
    return seconds


def timed_out(what: str) -> NetworkError:
    """Return the error for `what` not having happened in time."""
    return NetworkError(
        f"no answer in time: {what}",
        "Check the network, VPN, firewall and HTTPS_PROXY; outbound TCP port 443 must be open",
    )
