"""The recorded agent against our client: the same bytes both ways, the same messages in the same order.

What differs from the official plugin on purpose stands in DIFFERENCES, by name; nothing else may differ.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import NamedTuple

import pytest

from ssm_ssh.channel.handshake import INTERACTIVE, SHELL
from ssm_ssh.channel.message import ACKNOWLEDGE, INPUT, OUTPUT, SIZE, STREAM, Message, decode
from tests.channel.simulation import Agent
from tests.channel.vectors import Recorded, recorded
from tests.relay.virtual import VirtualSession
from tests.shell.virtual_shell import Stage

Sent = list[tuple[int, bytes]]


class Difference(NamedTuple):
    """What our client does and the plugin does not: `without` takes it out of what was sent."""

    why: str
    without: Callable[[Sent], Sent]


def _size_first(sent: Sent) -> Sent:
    return sent[1:] if [kind for kind, _ in sent[:2]] == [SIZE, SIZE] and sent[0] == sent[1] else sent


def _size_repeated(sent: Sent) -> Sent:
    out: Sent = []
    last = b""
    for kind, payload in sent:
        if kind == SIZE and payload == last:
            continue
        last = payload if kind == SIZE else last
        out.append((kind, payload))
    return out


def _keys_joined(sent: Sent) -> Sent:
    out: Sent = []
    for kind, payload in sent:
        if kind == STREAM and out and out[-1][0] == STREAM:
            out[-1] = (STREAM, out[-1][1] + payload)
        else:
            out.append((kind, payload))
    return out


def _flag_last(sent: Sent) -> Sent:
    return [(kind, payload) for kind, payload in sent if kind != 10]


DIFFERENCES = {
    "the size at once": Difference("the shell starts with it; the plugin waits for the first output", _size_first),
    "the size after a resume": Difference("a resize in an outage would be lost with the connection", _size_repeated),
    "keys in one message": Difference("what is typed together is sent together, up to 1024 bytes", _keys_joined),
    "the flag at the end": Difference("ends a session of any type; shells take no notice of it", _flag_last),
}


class RecordedAgent(Agent):
    """Says what the recorded agent said, when it said it, and acknowledges what it gets."""

    session: VirtualSession

    def __init__(self, stage: Stage, rows: list[Recorded]) -> None:
        super().__init__(stage.world, handshake=False)
        self.complete = self.port_up = True
        self.rows = rows
        self.got: dict[int, tuple[int, bytes]] = {}
        self.stage = stage

    def start(self) -> None:
        began = self.world.now
        lines = 0
        for row in self.rows:
            if row.sender == "client" and row.text:
                lines += 1
                if lines > 1:  # the plugin had lost its connection, and opened another
                    self.world.at(began + row.at - 0.001, self.stage.gateway.cut)
            elif row.sender in ("agent", "gateway") and row.receiver == "client" and row.frame:
                if row.fields["message_type"] != ACKNOWLEDGE:
                    self.world.at(began + row.at, self._say, row.frame)
            elif row.sender == "client" and row.fields.get("message_type") == INPUT:
                self.world.at(began + row.at, self._typed, row)

    def _say(self, frame: bytes) -> None:
        message = decode(frame)
        if message.message_type == OUTPUT:
            self.unacked[message.sequence] = [frame, self.world.now]
            if not self._resending:
                self._resending = True
                self.world.at(self.world.now + 0.1, self._resend)
        else:
            self.session.closed = True
        self.link.send([frame])

    def _typed(self, row: Recorded) -> None:
        payload, number = row.frame[120:], row.fields["sequence_number"]
        if number in self.stage.replayed:
            return
        self.stage.replayed.add(number)
        if row.fields["payload_type"] == STREAM:
            self.stage.terminal.type(payload)
        elif row.fields["payload_type"] == SIZE:
            size = json.loads(payload)
            if (size["cols"], size["rows"]) != self.stage.terminal.size():
                self.stage.terminal.columns, self.stage.terminal.rows = size["cols"], size["rows"]
                self.world.signal(28)

    def _process(self, message: Message) -> bool:
        self.got[message.sequence] = (message.payload_type, message.payload)
        return super()._process(message)


class Replay(Stage):
    def __init__(self, name: str) -> None:
        super().__init__(session_types=(SHELL, INTERACTIVE))
        self.rows = recorded(name)
        self.replayed: set[int] = set()
        first = next((payload for kind, payload in official(self.rows) if kind == SIZE), None)
        if first is not None:
            size = json.loads(first)
            self.terminal.columns, self.terminal.rows = size["cols"], size["rows"]
        self.player: RecordedAgent | None = None
        self.after(self.rows[-1].at + 30, lambda: self.world.signal(15))

    def _agent(self) -> Agent:
        self.player = player = RecordedAgent(self, self.rows)
        self.world.at(self.world.now, lambda: setattr(player, "session", self.gateway.sessions[0]))
        return player

    @property
    def sent(self) -> Sent:
        assert self.player is not None
        return [self.player.got[number] for number in sorted(self.player.got)]


def official(rows: list[Recorded]) -> Sent:
    """What the plugin sent, each message once, in the order of their numbers."""
    sent = {
        row.fields["sequence_number"]: (row.fields["payload_type"], row.frame[120:])
        for row in rows
        if row.sender == "client" and row.fields.get("message_type") == INPUT
    }
    return [sent[number] for number in sorted(sent)]


def output_of(rows: list[Recorded]) -> bytes:
    said = {
        row.fields["sequence_number"]: row.frame[120:]
        for row in rows
        if row.sender == "agent" and row.fields.get("message_type") == OUTPUT and row.fields["payload_type"] == STREAM
    }
    return b"".join(said[number] for number in sorted(said))


NAMES = (
    *("shell", "shell-keys", "shell-no-handshake", "shell-profile", "shell-resume", "shell-terminated"),
    *("interactive-command", "interactive-command-ctrl-c"),
)


@pytest.mark.parametrize("name", NAMES)
def test_a_recorded_shell_sends_and_shows_the_same(name: str) -> None:
    replay = Replay(name)
    replay.run()
    assert replay.terminal.shown.startswith(output_of(replay.rows))
    ours, theirs = replay.sent, official(replay.rows)
    for difference in DIFFERENCES.values():
        ours, theirs = difference.without(ours), difference.without(theirs)
    assert ours == theirs


def test_each_difference_is_one() -> None:
    """A row that takes nothing away from any recording would hide a mistake."""
    needed = set()
    for name in ("shell", "shell-keys", "shell-resume", "shell-terminated"):
        replay = Replay(name)
        replay.run()
        for row, difference in DIFFERENCES.items():
            if difference.without(replay.sent) != replay.sent:
                needed.add(row)
    replay = Stage()  # left by the user, so that the flag is sent
    replay.after(2, replay.terminal.type, b"~.")
    replay.run()
    assert needed | {"the flag at the end"} == set(DIFFERENCES)


def test_a_shell_that_could_not_start_says_why_as_recorded() -> None:
    replay = Replay("shell-failed")
    assert replay.run() == 255
    (told,) = replay.terminal.told
    assert "RunAs user nosuchuser does not exist" in told


def test_an_end_from_outside_is_told_as_it_is_known() -> None:
    replay = Replay("shell-terminated")
    assert replay.run() == 0
    assert "no reason was given" in replay.terminal.told[-1]


@pytest.mark.parametrize("name", ["shell", "shell-keys"])
def test_a_shell_that_the_user_ended_ends_in_silence(name: str) -> None:
    replay = Replay(name)
    assert replay.run() == 0
    assert replay.terminal.told == []
