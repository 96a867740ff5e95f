"""What agents can do, by version."""

from __future__ import annotations

import pytest

from ssm_ssh.mux.agents import keeps_alive, multiplexes, reaches_hosts


@pytest.mark.parametrize(
    ("version", "mux", "alive", "hosts"),
    [
        ("2.3.1205.0", False, False, False),
        ("3.0.196.0", False, False, False),
        ("3.0.196.1", True, True, False),
        ("3.1.1374.0", True, True, True),
        ("3.1.1511.0", True, True, True),
        ("3.1.1511.1", True, False, True),
        ("3.3.4851.0", True, False, True),
        ("3.3", True, False, True),
        ("", True, False, True),
        ("3.²", True, False, True),
        ("9" * 5000, True, False, True),
    ],
)
def test_a_version_tells(version: str, mux: bool, alive: bool, hosts: bool) -> None:
    assert (multiplexes(version), keeps_alive(version), reaches_hosts(version)) == (mux, alive, hosts)
