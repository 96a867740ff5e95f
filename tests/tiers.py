"""Which tests are quick, and which take so long that a run starts with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pure import test_files

TESTS = Path(__file__).parent

# What starts programs, labs or installations. All else is a unit test: pure and fast.
_NOT_UNIT = (
    *("e2e/", "compatibility/", "official/", "remote/", "sshconfig/", "cli/", "lab/machines/", "lab/sshd/"),
    *("lab/accounts/", "lab/process/", "lab/test_client.py", "lab/test_control.py", "lab/test_demo.py"),
    *("aws/credentials/test_relogin.py", "aws/credentials/test_helper_process.py"),
    "doctor/test_remote",  # the lab's API and moto's server
    "aws/test_differential.py",  # thousands of files and environments
    *("lab/agent/", "lab/gateway/", "lab/faults/", "tunnel/test_relay.py"),  # real sockets, threads and seconds
    "channel/test_session_flow.py",  # minutes of virtual time, byte by byte
    *("test_install.py", "test_install_python.py", "test_install_refusals.py", "test_install_upgrade.py"),
    "test_install_killed.py",
    *(
        "test_uninstall.py",
        "test_fresh.py",
        "test_run.py",
        "test_needs.py",
        "test_benchmarks.py",
        "test_distribution.py",
    ),
)
_PURE = {file.relative_to(TESTS).as_posix() for file in test_files()}
# Each file is the work of one process from start to end. A long one that starts last is waited for by all others.
_LONGEST_FIRST = (
    "test_install_upgrade.py",
    *("test_install.py", "sshconfig/test_install_crash.py", "e2e/test_resilience.py", "e2e/test_access_crowd.py"),
    *("e2e/", "sshconfig/test_install.py", "cli/", "remote/", "lab/sshd/", "lab/machines/", "lab/"),
)


def is_unit(item: pytest.Item) -> bool:
    """Return whether `item` belongs to `tests/run unit`."""
    path = _path(item)
    if item.get_closest_marker("e2e") or item.get_closest_marker("needs") or path in _NOT_UNIT:
        return False
    # The coverage gate runs unit tests: those of a pure module belong here whatever their folder is.
    return path in _PURE or not path.startswith(_NOT_UNIT)


def turn(item: pytest.Item) -> int:
    """Return when `item` is to start: a key to sort by, which is one for all of a file."""
    path = _path(item)
    return next((turn for turn, start in enumerate(_LONGEST_FIRST) if path.startswith(start)), len(_LONGEST_FIRST))


def _path(item: pytest.Item) -> str:
    return item.path.relative_to(TESTS).as_posix() if item.path.is_relative_to(TESTS) else item.path.name
