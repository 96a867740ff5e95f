"""What all tests stand on."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import hypothesis
import pytest

from ssm_ssh.lab.hidden_programs import is_hidden
from tests.needs import hiding, missing
from tests.tiers import is_unit, turn

_NOT_RUN = pytest.StashKey[dict[str, list[str]]]()

# How long an example takes says something of the machine and nothing of the program.
hypothesis.settings.register_profile("tests", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
# For tests/coverage_gate.py: few examples, and the same in each run.
hypothesis.settings.register_profile(
    "coverage", hypothesis.settings.get_profile("tests"), derandomize=True, max_examples=25
)
# For `tests/run unit`, which answers in a minute. A whole run takes the usual number of examples.
hypothesis.settings.register_profile("quick", hypothesis.settings.get_profile("tests"), max_examples=20)
hypothesis.settings.load_profile(os.environ.get("SSM_SSH_TESTS_HYPOTHESIS", "tests"))


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


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> Iterator[None]:
    """Mark the unit tests, start with the longest files, and leave out what needs a program that is missing."""
    items.sort(key=turn)
    for item in items:
        if is_unit(item):
            item.add_marker("unit")
    yield  # what was not asked for (-m, -k) needs nothing
    known: dict[str, bool] = {}
    kept = []
    for item in items:
        wanted = [str(name) for mark in item.iter_markers("needs") for name in mark.args]
        for name in wanted:
            known.setdefault(name, bool(missing([name])))
        lacking = [name for name in wanted if known[name]]
        if lacking:
            config.stash[_NOT_RUN][item.nodeid] = lacking
        else:
            kept.append(item)
    items[:] = kept


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: object) -> None:
    """Take over what an xdist worker left out; all of them collect the same."""
    output = getattr(node, "workeroutput", {})
    node.config.stash[_NOT_RUN].update(output.get("not_run", {}))  # type: ignore[attr-defined]


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Tell the process that distributes what was not run; under CI that is a failure, unless it was asked for."""
    left_out = session.config.stash[_NOT_RUN]
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["not_run"] = left_out
    elif left_out and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        unwanted = [name for lacking in left_out.values() for name in lacking if not is_hidden(name)]
        failed = bool(os.environ.get("CI")) and bool(unwanted)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED if failed else pytest.ExitCode.OK


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Close with how many tests were not run, and for want of what, instead of with the time that it took."""
    left_out = config.stash[_NOT_RUN]
    if left_out:
        names = sorted({name for lacking in left_out.values() for name in lacking})
        parts, _ = terminalreporter.build_summary_stats_line()
        closing = ", ".join([*(text for text, _ in parts), f"{len(left_out)} not run: need {', '.join(names)}"])
        closing = closing.removeprefix("no tests ran, ")
        terminalreporter.summary_stats = lambda: terminalreporter.write_line(closing)  # type: ignore[method-assign]
