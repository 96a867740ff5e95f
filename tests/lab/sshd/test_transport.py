"""What a client that has gone does to the threads that still have something to send to it."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING, cast

import paramiko
import pytest

from ssm_ssh.lab.sshd import session as lab_session
from ssm_ssh.lab.sshd.forward import carry
from ssm_ssh.lab.sshd.session import Session
from ssm_ssh.lab.sshd.transport import GONE

if TYPE_CHECKING:
    from ssm_ssh.lab.accounts.accounts import Accounts


class Deserted:
    """A channel whose client has gone, which a thread learns when it sends."""

    closed = False
    remote_chanid = 0

    def __init__(self, error: Exception) -> None:
        self._error = error

    def recv(self, _: int) -> bytes:
        raise self._error

    def close(self) -> None:
        self.closed = True
        raise self._error

    def shutdown_write(self) -> None:
        raise self._error

    def get_transport(self) -> Deserted:
        return self

    sendall = sendall_stderr = send_exit_status = _send_user_message = recv


@pytest.fixture(params=GONE)
def channel(request: pytest.FixtureRequest) -> paramiko.Channel:
    return cast("paramiko.Channel", Deserted(request.param()))


# An exception that ends a thread is an error of the test: pytest's warnings are.


def test_a_forwarded_connection_is_closed(channel: paramiko.Channel) -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        carry(channel, ours)
        assert theirs.recv(1) == b""
    for thread in threading.enumerate():
        if thread.daemon and thread is not threading.current_thread() and "ward" in thread.name:
            thread.join()
    assert ours.fileno() == -1


@pytest.mark.parametrize("term", ["", "dumb"])
def test_a_session_is_over(accounts: Accounts, channel: paramiko.Channel, term: str) -> None:
    session = Session(accounts, "ec2-user")
    if term:
        session.want_pty(term, 80, 24)
    assert session.run(channel, "echo out; echo err >&2")
    session.begin()
    for thread in threading.enumerate():
        if thread.name == lab_session.THREAD:
            thread.join()
    assert session.over
    assert session._terminal == -1
