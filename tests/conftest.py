"""What all tests stand on."""

from __future__ import annotations

import signal


def pytest_configure() -> None:
    """Take signals as a terminal's foreground job does, however the tests were started.

    Behind `&` or nohup they are ignored, and so would they be by every program of a test that is to die of one.
    """
    for number, usual in (
        (signal.SIGINT, signal.default_int_handler),
        (signal.SIGHUP, signal.SIG_DFL),
        (signal.SIGQUIT, signal.SIG_DFL),
    ):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, usual)
