"""Which step before the login is awaited, in virtual time, with a real channel and a real gate."""

from __future__ import annotations

import pytest

from ssm_ssh.channel.session import Channel
from ssm_ssh.errors import SsmSshError
from ssm_ssh.ssh.gate import Gate
from ssm_ssh.tunnel import login_wait
from ssm_ssh.tunnel.login_watch import LoginWatch
from tests.ssh.streams import recordings

RECORDING = recordings()[0]


class FakeService:
    """Has a word for everything."""

    asking = False

    def explain_step(self, awaited: str) -> str:
        return f"waiting: {awaited}"

    def explain_overdue(self, awaited: str, last: SsmSshError | None) -> SsmSshError:
        return SsmSshError(f"overdue: {awaited}")

    def explain_silence(self) -> SsmSshError:
        return SsmSshError("silence")


class FakeLink:
    """An open connection to a started session."""

    def __init__(self) -> None:
        self.session: object | None = "session-1"
        self.socket: object | None = "socket"
        self.channel = Channel(client_id="x", epoch=0.0)


class Connection:
    """What the handler holds; `until` looks at it in virtual time."""

    def __init__(self) -> None:
        self.now = 100.0
        self.service = FakeService()
        self.watch = LoginWatch(self.service, self.now)  # type: ignore[arg-type]
        self.link = FakeLink()
        self.gate = Gate()

    def until(self, wanted: str, limit: float = 90.0) -> float:
        """Seconds until that verdict; other verdicts are passed over."""
        began = self.now
        while self.now < began + limit:
            if self.watch.look(self.now, self.link, self.gate) == wanted:  # type: ignore[arg-type]
                return self.now - began
            self.now += 0.1
        raise AssertionError(f"no {wanted!r} within {limit:.0f} s")


@pytest.fixture
def connection() -> Connection:
    return Connection()


def test_an_agent_without_a_handshake_is_named_in_time(connection: Connection) -> None:
    assert connection.until(login_wait.TELL) <= 5
    assert connection.watch.sentence() == "waiting: handshake"
    assert connection.until(login_wait.FAIL) <= 30
    assert connection.watch.error(login_wait.FAIL, None).message == "overdue: handshake"


def test_a_server_that_stops_in_the_key_exchange_is_named_in_time(connection: Connection) -> None:
    connection.link.channel._established = True
    connection.gate.feed_client(RECORDING.client)
    connection.gate.feed(RECORDING.server[: RECORDING.server.index(b"\n") + 3])
    assert connection.gate.servers_turn
    assert connection.until(login_wait.FAIL) <= 30
    assert connection.watch.error(login_wait.FAIL, None).message == "overdue: key exchange"


def test_a_server_that_waits_for_us_is_not_blamed(connection: Connection) -> None:
    connection.link.channel._established = True
    connection.gate.feed_client(RECORDING.client)
    connection.gate.feed(RECORDING.server)
    assert connection.gate.held
    with pytest.raises(AssertionError):
        connection.until(login_wait.FAIL)


def test_a_server_that_takes_nothing_is_called_silent(connection: Connection) -> None:
    connection.link.channel._established = True
    connection.link.channel.send(b"SSH-2.0-client\r\n", connection.now)
    assert connection.until(login_wait.SERVER_SILENT) <= 7
    assert connection.watch.error(login_wait.SERVER_SILENT, None).message == "silence"


def test_another_session_has_all_its_time(connection: Connection) -> None:
    connection.link.channel._established = True
    connection.now += 20
    connection.until(login_wait.TELL)
    connection.now += 4
    connection.watch.restart(connection.now)
    assert connection.until(login_wait.FAIL) >= login_wait.LIMIT - 1
