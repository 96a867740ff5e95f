"""The one session of the doctor: what its end means, in virtual time and as a finding."""

from __future__ import annotations

from typing import Any

import pytest

from ssm_ssh.channel.events import ConnectFailed, Established
from ssm_ssh.doctor import way_in
from ssm_ssh.doctor.finding import Finding, State
from ssm_ssh.doctor.way_in import Banner
from ssm_ssh.errors import (
    AccessDenied,
    AgentTooOld,
    DocumentMissing,
    NetworkError,
    SessionEnded,
    SsmSshError,
    TargetNotConnected,
)
from ssm_ssh.relay.states import ENDED, ONLINE

INSTANCE = "i-0123456789abcdef0"


class FakeRelay:
    """The relay, its link and its channel in one."""

    def __init__(self) -> None:
        self.state = ONLINE
        self.ended: tuple[str, float] | None = None
        self.closed = False
        self.unacknowledged = 0
        self.link = self.channel = self
        self.failed: SsmSshError | None = None

    def send(self, data: bytes, now: float) -> None:
        self.unacknowledged += len(data)

    def close(self, now: float) -> None:
        self.closed = True

    def fail(self, error: SsmSshError, now: float) -> None:
        self.failed = error


@pytest.fixture
def relay() -> FakeRelay:
    return FakeRelay()


@pytest.fixture
def banner(relay: FakeRelay) -> Banner:
    parts: Any = type("Parts", (), {"now": 100.0})
    made = Banner(INSTANCE, parts)
    anything: Any = relay
    made.start(anything)
    return made


def found(banner: Banner) -> Finding:
    return way_in.finding(banner, 22, 0.5)


def test_the_banner_ends_it(banner: Banner, relay: FakeRelay) -> None:
    banner.on_event(Established("3.3.0.0"), 101.0)
    banner.on_output(b"hello\r\nSSH-2.0-Open", 101.5)
    assert not relay.closed
    banner.on_output(b"SSH_9.2 \x1b[31m\r\n", 102.0)
    assert relay.closed
    assert (found(banner).name, found(banner).state) == ("session", State.OK)
    assert "SSH-2.0-OpenSSH_9.2" in found(banner).evidence
    assert "\x1b" not in found(banner).evidence


def test_a_port_that_nothing_listens_on(banner: Banner, relay: FakeRelay) -> None:
    banner.on_event(Established("3.3.0.0"), 101.0)
    banner.on_event(ConnectFailed(), 101.2)
    assert relay.closed
    assert (found(banner).name, found(banner).state) == ("sshd", State.PROBLEM)
    assert "nothing listens on port 22" in found(banner).evidence


@pytest.mark.parametrize(("acknowledged", "words"), [(False, "nothing listens"), (True, "sent nothing within 6 s")])
def test_a_silent_port(banner: Banner, relay: FakeRelay, acknowledged: bool, words: str) -> None:
    banner.on_event(Established("3.3.0.0"), 101.0)
    if acknowledged:
        relay.unacknowledged = 0
    banner.on_time(106.9)
    assert not relay.closed
    assert banner.timer(106.9) == 107.0
    banner.on_time(107.0)
    assert relay.closed
    assert words in found(banner).evidence


def test_an_agent_that_never_begins(banner: Banner, relay: FakeRelay) -> None:
    banner.on_time(115.0)
    assert relay.closed
    assert found(banner).evidence == "the agent has not begun the session within 15 s"


def test_a_session_that_is_ended_from_outside(banner: Banner, relay: FakeRelay) -> None:
    relay.state, relay.ended = ENDED, ("the plugin failed", 101.0)
    banner.on_time(101.0)
    assert "the plugin failed" in found(banner).evidence


def test_an_end_from_outside_is_not_taken_for_a_port_that_nothing_listens_on(banner: Banner, relay: FakeRelay) -> None:
    banner.on_event(Established("3.3.0.0"), 101.0)
    relay.state, relay.ended = ENDED, ("", 101.5)
    banner.on_time(101.5)
    assert "nothing listens" not in found(banner).evidence
    assert "the agent has ended the session" in found(banner).evidence


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (AccessDenied("ssm:StartSession is denied"), "rights"),
        (TargetNotConnected("not connected"), "agent"),
        (AgentTooOld("too old"), "agent version"),
        (DocumentMissing("there is none"), "document"),
        (NetworkError("no route"), "connection to AWS"),
        (SessionEnded("over"), "session"),
    ],
)
def test_an_error_belongs_to_the_cause_that_it_shows(
    banner: Banner, relay: FakeRelay, error: SsmSshError, name: str
) -> None:
    banner.on_not_connected(error, 101.0)
    assert relay.failed is error
    banner.explain(error)
    assert (found(banner).name, found(banner).state) == (name, State.PROBLEM)


def test_an_interruption_is_no_finding_about_the_instance(banner: Banner, relay: FakeRelay) -> None:
    banner.on_signal(2, 101.0)
    assert relay.closed
