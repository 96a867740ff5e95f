"""Whole connections in virtual time: hypothesis chooses what goes wrong, when and in which order."""

from __future__ import annotations

import itertools
import signal
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ssm_ssh.errors import AccessDenied, CredentialsError, HostKeyChanged, HostKeyRefused, NetworkError, SsmSshError
from ssm_ssh.relay import loop, shutdown, unanswered
from ssm_ssh.tunnel import login_wait
from tests.tunnel.virtual_ssh import DISCONNECT, RECORDING, Sshd, Stage

# Seconds from the end of ssh to the end of the relay, whatever AWS does.
LONGEST_END = shutdown.END_OPENING + shutdown.END_IN_REACH + 1.0


def step(stage: Stage, kind: str, number: int) -> None:
    """What happens; `number` makes data of different lengths."""
    client, gateway, world, sshd = stage.client, stage.gateway, stage.world, stage.sshd
    if kind == "write":
        client.put(Random(number).randbytes(1 + number * 37 % 20_000))
    elif kind == "output":
        if sshd is not None:
            sshd.say(Random(-number).randbytes(1 + number * 91 % 20_000))
    elif kind == "cut":
        gateway.cut()
    elif kind in ("away", "long away"):
        gateway.unreachable = True
        gateway.cut()
        stage.after(8.0 if kind == "away" else 100.0, setattr, gateway, "unreachable", False)
    elif kind == "silent":
        if gateway.socket is not None:
            gateway.socket.silent = True
    elif kind == "credentials expire":
        gateway.errors += [CredentialsError("expired")]
    elif kind == "denied":
        gateway.errors += [AccessDenied("denied")]
    elif kind in ("ended", "ended with a reason"):
        for session in gateway.sessions[-1:]:
            session.end("" if kind == "ended" else "Duration limit")
    elif kind == "mute":
        for session in gateway.sessions:
            session.agent.acknowledging = False
    elif kind == "slow reader":
        client.reading = False
        stage.after(30.0, setattr, client, "reading", True)
    elif kind == "slept":
        world.offset += 3600
    elif kind == "orphaned":
        client.parent = False
    elif kind == "the key has expired":
        stage.service.key_expired = True
    elif kind == "no key":
        stage.service.key_error = SsmSshError("no key")
    elif kind == "another host key":
        stage.service.host_key_error = HostKeyChanged("changed")
    elif kind in ("INT", "TERM", "HUP"):
        stage.signal(signal.Signals[f"SIG{kind}"])
    elif kind == "ssh ends":
        client.end()
    else:
        assert kind == "ssh is killed"
        client.kill()


KINDS = (
    *("write", "output", "cut", "away", "long away", "silent", "credentials expire", "denied", "ended"),
    *("ended with a reason", "mute", "slow reader", "slept", "orphaned", "the key has expired", "no key"),
    *("another host key", "INT", "TERM", "HUP", "ssh ends", "ssh is killed"),
)
MILD = ("write", "output", "cut", "away", "silent", "slept", "slow reader", "orphaned", "the key has expired")
PAUSES = st.one_of(st.floats(0, 0.5), st.floats(0, 15))


def plays(kinds: tuple[str, ...], *, least: int = 0) -> st.SearchStrategy[list[tuple[float, str]]]:
    return st.lists(st.tuples(PAUSES, st.sampled_from(kinds)), min_size=least, max_size=12)


def play(stage: Stage, steps: list[tuple[float, str]], *, rest: float) -> float:
    """Have the steps happen, and ssh end `rest` seconds behind the last; returns when that is."""
    at = 0.0
    for number, (pause, kind) in enumerate(steps, 1):
        at += pause
        stage.after(at, step, stage, kind, number)
    stage.after(at + rest, stage.client.end)
    return at + rest


def check_no_spin(stage: Stage) -> None:
    """A turn needs a reason: an event, or a clock of a second or less (while closing, 20 a second)."""
    assert stage.world.turns < 60 * (stage.seconds + 10) + 4 * stage.world._count


DELAYS = st.lists(st.floats(0.001, 4.0), min_size=1, max_size=6)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(plays(KINDS), DELAYS, st.integers(0, 3))
def test_whatever_happens_it_ends_in_time_and_nothing_is_mixed_up(
    steps: list[tuple[float, str]], delays: list[float], refusals: int
) -> None:
    delay = itertools.cycle(delays)
    stage = Stage(delay=lambda: next(delay), refusals=refusals)
    end = play(stage, steps, rest=20.0)
    status = stage.run()
    assert status in (0, 1)
    stage.check()
    check_no_spin(stage)
    assert stage.seconds <= end + LONGEST_END
    # A session is left to AWS's own timeout only where AWS could not be told.
    trouble = {"away", "long away", "credentials expire", "denied", "silent", "mute", "cut"}
    if not trouble & {kind for _, kind in steps}:
        stage.world.pass_time(1.0)
        assert stage.gateway.running == []


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(plays(MILD, least=1), st.floats(0.001, 1.0))
def test_every_byte_arrives_once_and_in_order(steps: list[tuple[float, str]], delay: float) -> None:
    stage = Stage(delay=lambda: delay)
    steps = [(5.0, "write"), *steps, (1.0, "write"), (0.1, "output")]
    play(stage, steps, rest=120.0)
    assert stage.run() == 0
    stage.check()
    (session,) = stage.gateway.sessions
    assert bytes(session.agent.received) == stage.client.written
    assert isinstance(session.agent, Sshd)
    assert stage.client.received == session.agent.sent
    assert DISCONNECT not in stage.client.received
    assert session.ended
    assert stage.service.finished == 1


def test_a_connection_is_made_and_ended() -> None:
    stage = Stage()
    stage.after(5, stage.client.end)
    assert stage.run() == 0
    assert stage.client.received == RECORDING.server
    assert stage.gateway.running == []
    assert [(one.guarded, one.recorded) for one in stage.gateway.sessions] == [(True, False)]
    assert 5 < stage.seconds < 6


@pytest.mark.parametrize("late", ["key", "host key"])
def test_a_late_judgement_holds_the_host_key_back(late: str) -> None:
    """The first task is the session's start, the second the key's push; the host key is looked up later."""
    delays = iter([0.05, 9.0 if late == "key" else 0.05, 0.05, 9.0 if late == "host key" else 0.05])
    stage = Stage(delay=lambda: next(delays, 0.05))
    stage.after(20, stage.client.end)
    seen: list[int] = []
    stage.after(8, lambda: seen.append(len(stage.client.received)))
    assert stage.run() == 0
    assert 0 < seen[0] < len(RECORDING.server)
    assert stage.client.received == RECORDING.server
    assert [line for line in stage.client.told if b"waiting" in line] != []


@pytest.mark.parametrize("error", [HostKeyChanged("changed"), HostKeyRefused("refused")])
def test_a_refused_host_key_ends_it(error: SsmSshError) -> None:
    stage = Stage()
    stage.service.host_key_error = error
    assert stage.run() == 1
    assert error.message.encode() in stage.client.received
    assert stage.gateway.running == []


def test_sshd_refuses_by_chance() -> None:
    stage = Stage(refusals=3)
    stage.after(30, stage.client.end)
    assert stage.run() == 0
    assert stage.client.received == RECORDING.server
    assert len(stage.gateway.sessions) == 4
    assert stage.gateway.running == []


def test_sshd_always_refuses() -> None:
    stage = Stage(refusals=1000)
    assert stage.run() == 1
    assert len(stage.gateway.sessions) == 10
    assert b"ended: Exceeded MaxStartups" in stage.client.received
    assert stage.gateway.running == []


@pytest.mark.parametrize("quirk", ["no handshake", "no banner", "silent port"])
def test_a_half_dead_peer_is_named_before_the_login(quirk: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if quirk == "no handshake":
        monkeypatch.setattr(Sshd, "start", lambda agent: None)
    elif quirk == "no banner":
        monkeypatch.setattr(Sshd, "_port_up", lambda agent: setattr(agent, "port_up", True))
    else:
        monkeypatch.setattr(Sshd, "_port_up", lambda agent: None)
    stage = Stage()
    assert stage.run() == 1
    assert stage.seconds <= login_wait.LIMIT + 5
    assert any(b"waiting: " in line for line in stage.client.told)
    wanted = {"no handshake": b"overdue: handshake", "no banner": b"overdue: banner", "silent port": b"silence"}
    assert wanted[quirk] in stage.client.received


def test_an_agent_that_acknowledges_nothing_ends_an_open_session_in_time() -> None:
    stage = Stage()
    stage.after(5, step, stage, "mute", 0)
    stage.after(6, step, stage, "write", 1)
    assert stage.run() == 1
    assert stage.seconds <= 6 + 90
    assert stage.service.recorded == ["unanswered"]
    assert stage.seconds >= unanswered.FIRST + unanswered.SECOND


def test_a_lost_connection_is_told_of_and_given_up() -> None:
    stage = Stage()
    stage.after(5, lambda: (setattr(stage.gateway, "unreachable", True), stage.gateway.cut()))
    assert stage.run() == 1
    assert 900 <= stage.seconds <= 920
    assert b"tries to restore it" in stage.client.told[-2]
    assert stage.service.recorded[0] == "lost"
    assert stage.service.recorded[1].startswith("no connection for 900 s")


def test_before_the_login_a_lost_connection_is_given_up_sooner() -> None:
    delays = itertools.chain([0.05, 60.0], itertools.repeat(0.05))  # the key is late
    stage = Stage(delay=lambda: next(delays))
    stage.after(3, lambda: (setattr(stage.gateway, "unreachable", True), stage.gateway.cut()))
    assert stage.run() == 1
    assert stage.seconds <= 3 + 30 + loop.LINGER + 5
    assert DISCONNECT in stage.client.received


def test_a_session_that_is_being_started_is_ended_when_its_id_is_known() -> None:
    delays = itertools.chain([6.0], itertools.repeat(0.05))
    stage = Stage(delay=lambda: next(delays))
    stage.after(1, stage.client.end)
    assert stage.run() == 0
    assert stage.seconds <= 1 + shutdown.END_OPENING
    assert [one.id for one in stage.gateway.sessions] == ["session-1"]
    assert stage.gateway.running == []


@pytest.mark.parametrize(("parent", "ends"), [(True, True), (False, False)])
def test_ctrl_c_ends_the_connection_of_an_ssh_in_the_foreground_alone(parent: bool, ends: bool) -> None:
    stage = Stage()
    stage.client.parent = parent
    stage.after(5, step, stage, "INT", 0)
    stage.after(20, stage.client.end)
    assert stage.run() == 0
    assert (stage.seconds < 10) == ends
    assert stage.gateway.running == []


def test_a_wrong_protocol_on_stdin_is_refused() -> None:
    stage = Stage()
    stage.client._inbox = stage.client.written = b""
    stage.client.put(b"GET / HTTP/1.1\r\n")
    assert stage.run() == 1
    assert b"does not speak SSH" in stage.client.received


def test_more_than_a_greeting_is_not_read_before_the_server_speaks() -> None:
    stage = Stage(delay=lambda: 3.0)
    stage.client.put(bytes(200_000))
    left: list[int] = []
    stage.after(2, lambda: left.append(len(stage.client._inbox)))
    stage.after(10, stage.client.end)
    stage.run()
    assert left == [len(RECORDING.client) + 200_000 - 64 * 1024]


def test_a_network_error_of_the_first_connection_is_tried_again() -> None:
    stage = Stage()
    stage.after(0.07, stage.gateway.errors.append, NetworkError("a lost packet"))
    stage.after(10, stage.client.end)
    assert stage.run() == 0
    assert stage.client.received == RECORDING.server
