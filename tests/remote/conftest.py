from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.remote.machine import SHELLS, Machine


@pytest.fixture(scope="session")
def the_machine() -> Iterator[Machine]:
    machine = Machine()
    yield machine
    machine.close()


@pytest.fixture
def machine(the_machine: Machine) -> Machine:
    the_machine.fresh()
    return the_machine


@pytest.fixture(params=[pytest.param(shell, marks=pytest.mark.needs(shell)) for shell in SHELLS])
def shell(request: pytest.FixtureRequest) -> str:
    return str(request.param)
