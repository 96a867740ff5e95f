from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING

import pytest

from ssm_ssh.aws.api.client import Api
from ssm_ssh.aws.api.preconnection import PreConnection
from ssm_ssh.aws.config.settings import load
from ssm_ssh.errors import NetworkError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Calls, FakeAws


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    here, there = socket.socketpair()
    with here, there:
        there.settimeout(30)
        yield here, there


def test_a_connection_is_given_once(pair: tuple[socket.socket, socket.socket]) -> None:
    preconnection = PreConnection(lambda: pair[0])
    assert preconnection.take(30) is pair[0]
    assert preconnection.take(30) is None
    preconnection.cancel()
    pair[0].sendall(b"still open")
    assert pair[1].recv(100) == b"still open"


def test_a_failure_is_left_to_the_call() -> None:
    def refused() -> socket.socket:
        raise NetworkError("refused")

    assert PreConnection(refused).take(30) is None


@pytest.mark.parametrize("early", [True, False], ids=["while it is made", "when it is made"])
def test_one_that_nobody_wants_is_closed(pair: tuple[socket.socket, socket.socket], *, early: bool) -> None:
    may, made = threading.Event(), threading.Event()

    def connect() -> socket.socket:
        may.wait(30)
        made.set()
        return pair[0]

    preconnection = PreConnection(connect)
    if early:
        assert preconnection.take(0) is None, "it is not waited for longer than asked"
        preconnection.cancel()
        may.set()
    else:
        may.set()
        made.wait(30)
        preconnection.cancel()
    assert pair[1].recv(100) == b""


def test_one_that_has_waited_long_is_not_used(pair: tuple[socket.socket, socket.socket]) -> None:
    times = iter([0.0, 21.0])
    assert PreConnection(lambda: pair[0], lambda: next(times)).take(30) is None
    assert pair[1].recv(100) == b""


def test_the_next_call_uses_the_preconnection(calls: Calls, aws: FakeAws, answer: object) -> None:
    aws.answers = [answer(200, {"n": 1}), answer(200, {"n": 2})]
    calls.api.preconnect("ssm")
    assert calls.api.call("ssm", "ResumeSession", {}) == {"n": 1}
    assert aws.connections == 1
    assert calls.api.call("ssm", "ResumeSession", {}) == {"n": 2}
    assert aws.connections == 2


def test_a_call_that_must_not_be_repeated_leaves_it_to_another(calls: Calls, aws: FakeAws) -> None:
    calls.api.preconnect("ssm")
    calls.api.call("ssm", "StartSession", {}, repeatable=False)
    calls.api.call("ssm", "ResumeSession", {})
    assert aws.connections == len(aws.requests) == 2


def test_one_that_was_closed_meanwhile_is_made_anew(calls: Calls, aws: FakeAws, answer: object) -> None:
    aws.answers = [b"", answer(200, {"n": 1})]
    calls.api.preconnect("ssm")
    assert calls.api.call("ssm", "ResumeSession", {}) == {"n": 1}
    assert len(aws.requests) == 2


def test_an_endpoint_that_cannot_be_used_is_left_to_the_call(env: dict[str, str]) -> None:
    api = Api(load(env={**env, "AWS_ENDPOINT_URL": "http://example.com"}))
    api.preconnect("ssm")
    with pytest.raises(UsageError):
        api.call("ssm", "ResumeSession", {})
