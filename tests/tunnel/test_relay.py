# Over 350 lines: one fake instance serves every end of a connection.
"""The whole relay with real threads and pipes, and with a fake channel, connection and service."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any, NoReturn

import pytest

from ssm_ssh.channel.events import Closed, Established, Output, Refused
from ssm_ssh.errors import (
    AccessDenied,
    Disconnected,
    HostKeyChanged,
    HostKeyRefused,
    NetworkError,
    ProtocolError,
    SessionGone,
    SsmSshError,
    TargetMissing,
    TargetNotConnected,
)
from ssm_ssh.log import Log
from ssm_ssh.relay.loop import Relay
from ssm_ssh.relay.stdio import StandardStreams
from ssm_ssh.ssh.disconnect import BANNER, disconnect
from ssm_ssh.ssh.gate import Gate
from ssm_ssh.tunnel.relay import ssh_relay
from tests.ssh.streams import CLIENT, recordings

RECORDING = recordings()[0]


class FakeChannel:
    """Frames are numbers of events in `world.events`."""

    agent_version = ""
    unacknowledged = 0
    progress = acknowledged = received = 0
    gap = away = False
    drained = True
    established = False
    closed = False

    def __init__(self, world: FakeWorld) -> None:
        self.world = world
        self.sent = b""
        self.terminated = False

    def room(self) -> int:
        return 65536

    def send(self, data: bytes, now: float) -> None:
        self.sent += data

    def receive(self, frame: bytes, now: float) -> list[Any]:
        event = self.world.events[int(frame)]
        if isinstance(event, Exception):
            raise event
        self.closed = self.closed or isinstance(event, Closed)
        self.established = self.established or isinstance(event, Established)
        return [event]

    def frames(self, now: float, budget: int) -> list[bytes]:
        return []

    def timer(self) -> None:
        return None

    def connected(self, now: float) -> None:
        pass

    def disconnected(self, heard: float) -> None:
        pass

    def terminate(self, now: float) -> None:
        self.terminated = True


class FakeSocket:
    backlog = 0
    wants_write = incomplete = False

    def __init__(self, frames: list[bytes]) -> None:
        self.frames = frames
        self.closed = False
        self._reader, self._writer = os.pipe()
        os.write(self._writer, b"x")

    def fileno(self) -> int:
        return self._reader

    def has_pending(self) -> bool:
        return bool(self.frames)

    def receive(self) -> list[bytes]:
        if not self.frames:
            os.read(self._reader, 1)
            return []
        frame = self.frames.pop(0)
        if frame == b"broken":
            raise Disconnected("the cable was pulled")
        return [frame]

    def send(self, frames: list[bytes]) -> None:
        pass

    def flush(self) -> None:
        pass

    def ping(self, payload: bytes) -> None:
        pass

    def close(self) -> None:
        self.closed = True


class FakeSession:
    """Connects as the world says."""

    def __init__(self, world: FakeWorld) -> None:
        self.world = world
        self.id = f"session-{world.opened}"

    def connect(self, channel: object) -> FakeSocket:
        return self.world.opening.pop(0)()

    def guard(self) -> None: ...

    def forget(self) -> None: ...

    def resume(self, channel: object) -> FakeSocket:
        self.world.resumed += 1
        return self.world.resuming()

    def terminate(self, patience: float) -> None:
        self.world.terminated.append(self.id)


class FakeWorld:
    """A TunnelService whose calls do as they are told, and the ends that ssh holds."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.asking = False
        self.library = ""
        self.opened = 0
        self.ends: list[tuple[str, bool]] = []
        self.resumed = 0
        self.terminated: list[str] = []
        self.channels: list[FakeChannel] = []
        self.authorizing: Callable[[], str] = lambda: ""
        self.opening: list[Callable[[], FakeSocket]] = []
        self.resuming: Callable[[], FakeSocket] = self.connection
        stdin, self.writes = os.pipe()
        self.reads, stdout = os.pipe()
        self.pipes = StandardStreams(stdin, stdout)
        self.said = b""
        self.content = 0  # ssh hangs up when it has read so much

    def connection(self, *events: object, then: bytes = b"") -> FakeSocket:
        first = len(self.events)
        self.events += events
        frames = [b"%d" % (first + number) for number in range(len(events))]
        return FakeSocket([*frames, then] if then else frames)

    def run(self) -> int:
        relay = ssh_relay(self, self.pipes, self.channel, Log(None), random=lambda: 0.0)  # type: ignore[arg-type]
        reader = threading.Thread(target=self._read)
        reader.start()
        status = relay.run()
        reader.join(30)
        return status

    def _read(self) -> None:
        """As ssh does: read to the end, or hang up behind an error."""
        while data := os.read(self.reads, 65536):
            self.said += data
            if b"\1\0\0\0\2" in self.said or (self.content and len(self.said) >= self.content):
                break
        os.close(self.writes)

    def channel(self) -> FakeChannel:
        self.channels.append(FakeChannel(self))
        return self.channels[-1]

    # the TunnelService

    def authorize(self) -> str:
        return self.authorizing()

    def still_authorized(self) -> bool:
        return True

    def explain_key_wait(self) -> str:
        return "waiting"

    def check_host_key(self, key: object, *, judged_by_ssh: bool) -> str:
        return ""

    def start(self) -> FakeSession:
        self.opened += 1
        return FakeSession(self)

    def cancel(self) -> None:
        pass

    def ended(self, login: object) -> None:
        pass

    def explain_end(self, reason: str) -> SsmSshError:
        return SsmSshError(f"ended: {reason}")

    def explain_step(self, awaited: str) -> str:
        return f"waiting: {awaited}"

    def explain_overdue(self, awaited: str, last: SsmSshError | None) -> SsmSshError:
        return SsmSshError(f"overdue: {awaited}")

    def explain_no_session(self, reason: str) -> SsmSshError:
        return SsmSshError(f"no session: {reason}")

    def explain_unanswered(self, seconds: float, *, unfinished: bool) -> SsmSshError:
        return SsmSshError("unanswered")

    def explain_outside(self) -> SsmSshError:
        return SsmSshError("from outside")

    def record_outage(self, lost: bool) -> None:
        pass

    def record_end(self, sentence: str, *, told: bool) -> None:
        self.ends.append((sentence, told))

    def explain_refused_login(self) -> SsmSshError:
        return SsmSshError("refused")

    def explain_silence(self) -> SsmSshError:
        return SsmSshError("silence")

    def refused_by_sshd(self, reason: str) -> bool:
        return "refused" not in reason


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> FakeWorld:
    made = FakeWorld()
    # The test's own stdin, stdout and stderr are to stay.
    monkeypatch.setattr(StandardStreams, "detach", lambda pipes: (os.close(pipes.stdin), os.close(pipes.stdout)))
    return made


def fail(error: BaseException) -> Callable[[], Any]:
    def raising() -> NoReturn:
        raise error

    return raising


def test_an_unexpected_error_in_the_loop_is_told_and_leaves_no_session(world: FakeWorld) -> None:
    world.opening = [lambda: world.connection(KeyError("surprise"))]
    assert world.run() == 1
    assert world.said.startswith(BANNER)
    assert b"unexpected error: KeyError: 'surprise'" in world.said
    assert world.terminated == ["session-1"]


def test_an_unexpected_error_in_a_task_is_told_too(world: FakeWorld) -> None:
    world.opening = [fail(ZeroDivisionError("no"))]
    assert world.run() == 1
    assert b"unexpected error: ZeroDivisionError: no" in world.said


def test_of_two_errors_the_more_precise_is_told(world: FakeWorld) -> None:
    world.opening = [fail(TargetNotConnected("not connected"))]
    world.authorizing = fail(TargetMissing("there is no such instance"))
    world.run()
    assert b"there is no such instance" in world.said
    assert b"not connected" not in world.said


@pytest.mark.parametrize("error", [AccessDenied("denied"), ProtocolError("a wrong stream URL")])
def test_a_final_error_is_told_at_once(world: FakeWorld, error: SsmSshError) -> None:
    world.opening = [fail(error)]
    assert world.run() == 1
    assert error.message.encode() in world.said
    assert world.resumed == 0
    assert world.terminated == ["session-1"]


def test_a_network_error_behind_a_started_session_is_tried_again(world: FakeWorld) -> None:
    world.opening = [fail(NetworkError("a lost packet"))]
    world.resuming = fail(SessionGone("gone"))
    assert world.run() == 1
    assert world.resumed == 1
    assert b"a lost packet" in world.said  # which is why the session has ended


def test_a_broken_connection_is_resumed(world: FakeWorld) -> None:
    world.opening = [lambda: world.connection(Established("3.3"), then=b"broken")]
    world.resuming = lambda: world.connection(Closed("refused"))
    assert world.run() == 1
    assert (world.opened, world.resumed) == (1, 1)
    assert b"ended: refused" in world.said


def test_a_refusal_by_sshd_is_tried_again_with_the_same_words(world: FakeWorld) -> None:
    os.write(world.writes, CLIENT)
    world.opening = [
        lambda: world.connection(Established(""), Output(b"Exceeded MaxStartups\r\n"), Closed("")),
        lambda: world.connection(Established(""), Closed("refused")),
    ]
    assert world.run() == 1
    assert world.opened == 2
    assert b"ended: refused" in world.said
    assert b"MaxStartups" not in world.said
    assert world.channels[1].sent == CLIENT


def test_a_handshake_that_cannot_be_met_is_said(world: FakeWorld) -> None:
    world.opening = [lambda: world.connection(Refused(ProtocolError("the session asks for KMS")))]
    assert world.run() == 1
    assert b"the session asks for KMS" in world.said
    assert world.terminated == ["session-1"]


def test_the_server_is_passed_on_up_to_its_host_key_and_then_all_of_it(world: FakeWorld) -> None:
    os.write(world.writes, RECORDING.client)
    judged = threading.Event()
    world.authorizing = lambda: "" if judged.wait(30) else "late"
    world.check_host_key = lambda key, *, judged_by_ssh: (judged.set(), "")[1]  # type: ignore[method-assign]
    world.opening = [lambda: world.connection(Output(RECORDING.server))]
    world.content = len(RECORDING.server)
    assert world.run() == 0
    assert world.said == RECORDING.server


@pytest.mark.parametrize(("error", "shown"), [(HostKeyChanged("it is another"), True), (HostKeyRefused("no"), False)])
def test_ssh_sees_a_changed_host_key_and_nothing_behind_it(world: FakeWorld, error: SsmSshError, shown: bool) -> None:
    os.write(world.writes, RECORDING.client)
    world.check_host_key = lambda key, *, judged_by_ssh: fail(error)()  # type: ignore[method-assign]
    world.opening = [lambda: world.connection(Output(RECORDING.server))]
    gate = Gate()
    gate.feed_client(RECORDING.client)
    before = gate.feed(RECORDING.server)
    assert world.run() == 1
    assert world.said == before + (gate.show() if shown else b"") + disconnect(error.message, begun=True)
    assert gate.show() not in before


def opened(world: FakeWorld) -> None:
    """Begin an SSH connection whose key exchange is over."""
    os.write(world.writes, RECORDING.client)
    world.opening = [lambda: world.connection(Output(RECORDING.server), Closed(""))]


def test_an_end_from_outside_is_said_when_ssh_does_not_leave_by_itself(world: FakeWorld) -> None:
    opened(world)
    assert world.run() == 1
    assert [sentence for sentence, _ in world.ends] == ["from outside"]


def test_an_end_that_ssh_knows_of_is_not_said(world: FakeWorld) -> None:
    opened(world)
    world.content = len(RECORDING.server)  # sshd has said goodbye in it
    assert world.run() == 0
    assert world.ends == []


def test_nothing_spins_while_ssh_is_given_time_to_leave(world: FakeWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    opened(world)
    monkeypatch.setattr(FakeChannel, "unacknowledged", 1)
    turns = []
    turn = Relay._turn
    monkeypatch.setattr(Relay, "_turn", lambda relay: (turns.append(1), turn(relay))[1])
    assert world.run() == 1
    assert len(turns) < 200


def test_an_end_from_outside_during_the_key_exchange_is_said_inside_ssh(world: FakeWorld) -> None:
    os.write(world.writes, CLIENT)
    world.opening = [lambda: world.connection(Output(b"SSH-2.0-there\r\n"), Closed(""))]
    assert world.run() == 1
    assert b"from outside" in world.said


def test_an_agent_that_ends_the_session_before_its_handshake_is_not_tried_again(world: FakeWorld) -> None:
    world.opening = [lambda: world.connection(Closed("Handshake timed out"))]
    assert world.run() == 1
    assert world.opened == 1
    assert b"no session: Handshake timed out" in world.said
