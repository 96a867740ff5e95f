from __future__ import annotations

import time

import pytest

from ssm_ssh.errors import NetworkError
from ssm_ssh.transport.deadline import remaining


def test_what_remains_is_positive() -> None:
    assert remaining(time.monotonic() + 60, "the answer") > 0


def test_a_past_deadline_names_what_was_waited_for() -> None:
    with pytest.raises(NetworkError, match="the answer") as caught:
        remaining(time.monotonic(), "the answer")
    assert "443" in caught.value.hint
