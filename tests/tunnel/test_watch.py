"""One look at a connection, in virtual time, with a real channel and a real gate."""

from __future__ import annotations

import pytest

from ssm_ssh.channel.session import Channel
from ssm_ssh.errors import SsmSshError
from ssm_ssh.relay import unanswered
from ssm_ssh.ssh.gate import Gate
from ssm_ssh.tunnel import login_wait
from ssm_ssh.tunnel.watch import Watch
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

    def explain_unanswered(self, seconds: float, *, unfinished: bool) -> SsmSshError:
        return SsmSshError(f"{'unfinished' if unfinished else 'unanswered'} for {seconds:.0f} s")


class Connection:
    """What the relay holds; `until` looks at it in virtual time."""

    def __init__(self) -> None:
        self.now = 100.0
        self.service = FakeService()
        self.watch = Watch(self.service, self.now)  # type: ignore[arg-type]
        self.channel = Channel(client_id="x", epoch=0.0)
        self.gate = Gate()
        self.online = True
        self.incomplete = False

    def until(self, wanted: str, limit: float = 90.0) -> float:
        """Seconds until that verdict; other verdicts are passed over."""
        began = self.now
        while self.now < began + limit:
            verdict = self.watch.look(
                self.now, self.channel, self.gate, session=True, online=self.online, incomplete=self.incomplete
            )
            if verdict == wanted:
                return self.now - began
            self.now += 0.1
        raise AssertionError(f"no {wanted!r} within {limit:.0f} s")

    def open(self) -> None:
        """Take the SSH connection through its key exchange."""
        self.gate.feed_client(RECORDING.client)
        self.gate.feed(RECORDING.server)
        self.gate.release()
        assert self.gate.open


@pytest.fixture
def connection() -> Connection:
    return Connection()


def test_an_agent_without_a_handshake_is_named_in_time(connection: Connection) -> None:
    assert connection.until(login_wait.TELL) <= 5
    assert connection.watch.sentence() == "waiting: handshake"
    assert connection.until(login_wait.FAIL) <= 30
    assert connection.watch.error(login_wait.FAIL, None).message == "overdue: handshake"


def test_a_server_that_stops_in_the_key_exchange_is_named_in_time(connection: Connection) -> None:
    connection.channel._established = True
    connection.gate.feed_client(RECORDING.client)
    connection.gate.feed(RECORDING.server[: RECORDING.server.index(b"\n") + 3])
    assert connection.gate.servers_turn
    assert connection.until(login_wait.FAIL) <= 30
    assert connection.watch.error(login_wait.FAIL, None).message == "overdue: key exchange"


def test_a_server_that_waits_for_us_is_not_blamed(connection: Connection) -> None:
    connection.channel._established = True
    connection.gate.feed_client(RECORDING.client)
    connection.gate.feed(RECORDING.server)
    assert connection.gate.held
    with pytest.raises(AssertionError):
        connection.until(login_wait.FAIL)


def test_an_open_session_whose_input_is_not_taken_ends_in_time(connection: Connection) -> None:
    connection.open()
    connection.channel.send(b"x", connection.now)
    resumed = connection.until(unanswered.RESUME)
    ended = connection.until(unanswered.END)
    assert resumed + ended <= 90
    assert connection.watch.error(unanswered.END, None).message.startswith("unanswered for ")


def test_a_message_that_is_never_finished_is_called_that(connection: Connection) -> None:
    connection.open()
    connection.incomplete = True
    connection.until(unanswered.RESUME)
    connection.until(unanswered.END)
    assert connection.watch.error(unanswered.END, None).message.startswith("unfinished for ")


def test_an_idle_open_session_is_left_alone(connection: Connection) -> None:
    connection.open()
    for verdict in (unanswered.RESUME, unanswered.PROBE):
        with pytest.raises(AssertionError):
            connection.until(verdict, 600)


def test_another_session_is_waited_for_as_long_as_the_first(connection: Connection) -> None:
    first = connection.until(login_wait.FAIL)
    connection.watch.restart(connection.now)
    assert connection.until(login_wait.FAIL) == pytest.approx(first, abs=1.0)


def test_a_server_that_says_nothing_is_called_silent(connection: Connection) -> None:
    connection.channel._established = True
    connection.gate.feed_client(RECORDING.client)
    connection.channel.send(RECORDING.client, connection.now)
    connection.until(login_wait.SILENT)
    assert connection.watch.error(login_wait.SILENT, None).message == "silence"


def test_there_is_nothing_to_look_at_while_an_open_session_is_idle(connection: Connection) -> None:
    assert connection.watch.timer(connection.gate, connection.channel) == connection.now
    connection.open()
    assert connection.watch.timer(connection.gate, connection.channel) is None
    connection.channel.send(b"x", connection.now)
    assert connection.watch.timer(connection.gate, connection.channel) == connection.now
