"""What all tests stand on."""

from __future__ import annotations

import signal
from collections import Counter

import pytest

from tests.needs import hiding, missing

_NOT_RUN = pytest.StashKey[dict[str, list[str]]]()


def pytest_configure(config: pytest.Config) -> None:
    """Take signals as a terminal's foreground job does, however the tests were started; hide what is to be hidden.

    Behind `&` or nohup they are ignored, and so would they be by every program of a test that is to die of one.
    """
    for number, usual in (
        (signal.SIGINT, signal.default_int_handler),
        (signal.SIGHUP, signal.SIG_DFL),
        (signal.SIGQUIT, signal.SIG_DFL),
    ):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, usual)
    config.stash[_NOT_RUN] = {}
    # Each worker of xdist inherits the PATH of the process that distributes, and finds nothing left to hide.
    hidden = hiding()
    hidden.__enter__()
    config.add_cleanup(lambda: hidden.__exit__(None, None, None))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out tests that need a program which this machine has not."""
    known: dict[str, bool] = {}
    kept, left_out = [], []
    for item in items:
        wanted = [str(name) for mark in item.iter_markers("needs") for name in mark.args]
        for name in wanted:
            known.setdefault(name, bool(missing([name])))
        lacking = [name for name in wanted if known[name]]
        if lacking:
            config.stash[_NOT_RUN][item.nodeid] = lacking
            left_out.append(item)
        else:
            kept.append(item)
    if left_out:
        items[:] = kept
        config.hook.pytest_deselected(items=left_out)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: object) -> None:
    """Take over what an xdist worker left out; all of them collect the same."""
    output = getattr(node, "workeroutput", {})
    node.config.stash[_NOT_RUN].update(output.get("not_run", {}))  # type: ignore[attr-defined]


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Tell the process that distributes what was left out; under CI that is a failure, unless it was asked for."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["not_run"] = session.config.stash[_NOT_RUN]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say how many tests were left out, and for want of what."""
    left_out = config.stash[_NOT_RUN]
    if left_out:
        counts = Counter(name for lacking in left_out.values() for name in lacking)
        names = ", ".join(f"{name} ({count})" for name, count in sorted(counts.items()))
        terminalreporter.write_line(f"{len(left_out)} not run: need {names}", yellow=True)
