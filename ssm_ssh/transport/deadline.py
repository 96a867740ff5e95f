"""Points in time by which something must have happened, as `time.monotonic()` counts them."""

from __future__ import annotations

import time

from ssm_ssh.errors import NetworkError


def remaining(deadline: float, what: str) -> float:
    """Return the seconds left until `deadline` (monotonic seconds), always above zero.

    Raises NetworkError when there are none: `what` names what was waited for.
    """
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise timed_out(what)
    return seconds


def timed_out(what: str) -> NetworkError:
    """Return the error that says that `what` did not happen in time."""
    return NetworkError(
        f"no answer in time: {what}",
        "Check the network, VPN, firewall and HTTPS_PROXY; outbound TCP port 443 must be open",
    )
