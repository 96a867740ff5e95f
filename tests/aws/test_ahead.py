from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING

from ssm_ssh.aws.ahead import Ahead
from ssm_ssh.errors import NetworkError

if TYPE_CHECKING:
    from conftest import Calls, FakeAws


def test_a_connection_is_given_once() -> None:
    here, there = socket.socketpair()
    with here, there:
        ahead = Ahead(lambda: here)
        assert ahead.take(30) is here
        assert ahead.take(30) is None


def test_a_failure_is_left_to_the_call() -> None:
    def refused() -> socket.socket:
        raise NetworkError("refused")

    assert Ahead(refused).take(30) is None


def test_the_next_call_uses_the_connection_that_was_made_ahead(calls: Calls, aws: FakeAws, answer: object) -> None:
    aws.answers = [answer(200, {"n": 1}), answer(200, {"n": 2})]
    calls.api.connect_ahead("ssm")
    made = calls.api.take_ahead("ssm")
    assert made is not None
    with contextlib.closing(made):
        calls.api.connect_ahead("ssm")
        assert calls.api.call("ssm", "ResumeSession", {}) == {"n": 1}
        assert calls.api.take_ahead("ssm") is None
        assert calls.api.call("ssm", "ResumeSession", {}) == {"n": 2}


def test_one_that_was_closed_meanwhile_is_made_anew(calls: Calls, aws: FakeAws, answer: object) -> None:
    aws.answers = [b"", answer(200, {"n": 1})]
    calls.api.connect_ahead("ssm")
    assert calls.api.call("ssm", "ResumeSession", {}) == {"n": 1}
    assert len(aws.requests) == 2
