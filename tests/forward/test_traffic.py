"""Local sockets and the streams of a session: bytes, ends on either side, slow readers, and what is told."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from ssm_ssh.forward.local import Local
from ssm_ssh.forward.traffic import TELL_AFTER, Traffic
from ssm_ssh.mux.frames import FIN, PSH, SYN, Decoder, Frame, encode, encode_data
from ssm_ssh.mux.streams import HOLD, Mux
from ssm_ssh.mux.unread import Total, Unread
from ssm_ssh.relay.poller import Poller


class StubChannel:
    def __init__(self) -> None:
        self.space = 100_000
        self.sent = b""

    def room(self) -> int:
        return self.space

    def send(self, data: bytes, now: float) -> None:
        self.sent += data

    def take(self) -> list[Frame]:
        data, self.sent = self.sent, b""
        return Decoder().feed(data)


class Stage:
    def __init__(self) -> None:
        self.now = 100.0
        self.gone = False
        self.told: list[str] = []
        self.channel = StubChannel()
        self.unread = Unread(Total(), 200_000)
        self.poller = Poller()
        self.traffic = Traffic(
            Mux(self.now),
            self.channel,  # type: ignore[arg-type]
            self.unread,
            self.told.append,
            now=self.now,
            hold=HOLD,
        )
        self.programs: list[socket.socket] = []

    def program(self) -> socket.socket:
        """A program that has connected; its stream is opened."""
        ours, theirs = socket.socketpair()
        theirs.settimeout(5)
        self.programs.append(theirs)
        self.traffic.take(Local(ours, "db:5432", lambda sock: self.gone), self.now)
        return theirs

    def turn(self, seconds: float = 0.0) -> list[Frame]:
        self.now += seconds
        for _ in range(3):
            self.traffic.watch(self.poller)
            self.traffic.on_ready(self.poller.wait(0.0), self.now)
            self.traffic.on_time(self.now)
        return self.channel.take()

    def say(self, data: bytes) -> None:
        self.traffic.on_output(data, self.now)


@pytest.fixture
def stage() -> Iterator[Stage]:
    stage = Stage()
    yield stage
    stage.traffic.detach(stage.poller)
    for program in stage.programs:
        program.close()


def test_bytes_pass_both_ways(stage: Stage) -> None:
    program = stage.program()
    program.sendall(b"ask")
    assert stage.turn() == [Frame(SYN, 3), Frame(PSH, 3, b"ask")]
    stage.say(encode_data(3, b"answer"))
    assert program.recv(100) == b"answer"


def test_programs_are_not_read_while_the_channel_has_no_room(stage: Stage) -> None:
    program = stage.program()
    stage.turn()
    stage.channel.space = 0
    program.sendall(b"x")
    assert stage.turn() == []
    stage.channel.space = 100
    assert stage.turn() == [Frame(PSH, 3, b"x")]


def test_the_end_of_the_server_comes_behind_its_bytes_and_nothing_is_reset(stage: Stage) -> None:
    program = stage.program()
    stage.turn()
    program.sendall(b"not read by the server")
    stage.say(encode_data(3, b"bye") + encode(FIN, 3))
    stage.turn()
    assert program.recv(100) == b"bye"
    assert program.recv(100) == b""
    assert stage.traffic.count == 0
    program.close()
    stage.turn()
    assert not stage.traffic._locals


def test_a_program_that_never_closes_is_let_go_after_a_while(stage: Stage) -> None:
    stage.program()
    stage.turn()
    stage.say(encode(FIN, 3))
    stage.turn()
    assert stage.traffic._locals
    stage.turn(10.0)
    assert not stage.traffic._locals


def test_a_refused_connection_is_told(stage: Stage) -> None:
    stage.program()
    stage.turn()
    stage.traffic.mux.connect_failed()
    stage.say(encode(FIN, 3))
    assert stage.told == ["the instance could not connect to db:5432"]
    assert stage.traffic.count == 0


def test_a_half_close_is_held_and_told_of(stage: Stage) -> None:
    program = stage.program()
    program.shutdown(socket.SHUT_WR)
    assert stage.turn() == [Frame(SYN, 3)]
    assert stage.turn(HOLD - 1) == []
    assert stage.turn(2.0) == [Frame(FIN, 3)]
    assert "cannot convey a half-close" in stage.told[0]


def test_a_program_that_is_gone_is_not_waited_for(stage: Stage) -> None:
    program = stage.program()
    program.shutdown(socket.SHUT_WR)
    stage.turn()
    stage.gone = True
    assert stage.turn(1.0) == [Frame(FIN, 3)]
    assert stage.told == []
    assert stage.traffic.count == 0


def test_a_slow_reader_fills_its_session_and_is_named(stage: Stage) -> None:
    program = stage.program()
    stage.turn()
    for _ in range(40):
        stage.say(encode_data(3, bytes(30_000)))
    assert stage.unread.full
    stage.turn(1.0)
    stage.turn(TELL_AFTER)
    assert len(stage.told) == 1
    assert "the local program has read nothing" in stage.told[0]
    stage.say(encode(FIN, 3))
    assert stage.traffic.finishing
    received = 0
    while data := program.recv(1 << 20):
        received += len(data)
        stage.turn()
    assert received == 40 * 30_000
    assert not stage.unread.full


def test_the_end_of_the_session_resets_what_is_not_whole(stage: Stage) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        program = socket.create_connection(server.getsockname(), timeout=5)
        stage.traffic.take(Local(server.accept()[0], "db:5432"), stage.now)
    stage.say(encode_data(3, b"part"))
    stage.traffic.detach(stage.poller)
    with pytest.raises(ConnectionResetError):
        read_to_the_end(program)
    program.close()


def read_to_the_end(program: socket.socket) -> None:
    while program.recv(100):
        pass


def test_output_for_nothing_is_dropped(stage: Stage) -> None:
    stage.say(encode_data(99, b"x") + encode(FIN, 99))
    assert stage.turn() == []
    assert stage.traffic.suspect() is None
