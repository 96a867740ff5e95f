# Over 350 lines: one scripted agent serves every rule of the state machine.
from __future__ import annotations

import json
from itertools import count
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssm_ssh.channel import message as wire
from ssm_ssh.channel.events import Closed, ConnectFailed, Established, Event, ExitCode, Notice, Output, Refused, StdErr
from ssm_ssh.channel.limits import ACKS, BROKEN_FRAMES, HOLD, PAUSE, REORDER_BYTES
from ssm_ssh.channel.session import Channel
from ssm_ssh.errors import ProtocolError

PORT = {"ActionType": "SessionType", "ActionParameters": {"SessionType": "Port"}}
PLENTY = 1 << 20
EVENTS = (Closed, ConnectFailed, Established, ExitCode, Notice, Output, Refused, StdErr)


class Peer:
    """A channel, and an agent whose frames the test chooses."""

    def __init__(self) -> None:
        self.now = 100.0
        self.channel = Channel(client_id="c", epoch=1_000_000.0, random_bits=Random(5).getrandbits)
        self.channel.connected(self.now)
        self.numbers = count()
        self.made = 1  # when the agent makes its frames, in milliseconds

    def frame(self, payload: bytes, payload_type: int = wire.STREAM, number: int | None = None) -> bytes:
        return wire.encode(
            wire.OUTPUT,
            sequence=next(self.numbers) if number is None else number,
            flags=0,
            message_id=bytes(16),
            payload_type=payload_type,
            payload=payload,
            created=self.made,
        )

    def other(self, message_type: str, payload: bytes = b"") -> list[Event]:
        frame = wire.encode(
            message_type, sequence=0, flags=3, message_id=bytes(16), payload_type=0, payload=payload, created=self.made
        )
        return self.channel.receive(frame, self.now)

    def say(self, payload: bytes, payload_type: int = wire.STREAM, number: int | None = None) -> list[Event]:
        return self.channel.receive(self.frame(payload, payload_type, number), self.now)

    def request(self, *actions: object) -> list[Event]:
        asked = {"AgentVersion": "3.3.0.0", "RequestedClientActions": list(actions)}
        return self.say(json.dumps(asked).encode(), wire.HANDSHAKE_REQUEST)

    def complete(self, text: str = "") -> list[Event]:
        return self.say(json.dumps({"CustomerMessage": text}).encode(), wire.HANDSHAKE_COMPLETE)

    def acknowledge(self, number: object) -> None:
        assert self.other(wire.ACKNOWLEDGE, json.dumps({"AcknowledgedMessageSequenceNumber": number}).encode()) == []

    def sent(self, budget: int = PLENTY) -> list[wire.Message]:
        return [wire.decode(frame) for frame in self.channel.frames(self.now, budget)]

    def stream(self, budget: int = PLENTY) -> list[tuple[int, bytes]]:
        return [(m.sequence, m.payload) for m in self.sent(budget) if m.payload_type == wire.STREAM]

    def establish(self) -> Peer:
        self.request(PORT)
        self.sent()
        self.acknowledge(0)
        self.complete()
        self.say(b"SSH-2.0-x\r\n")
        self.sent()
        return self


def test_the_handshake_is_answered_and_establishes() -> None:
    peer = Peer()
    assert peer.request(PORT) == []
    assert [m.payload_type for m in peer.sent()] == [0, wire.HANDSHAKE_RESPONSE]
    assert not peer.channel.established
    assert peer.complete("Be nice\r\n") == [Notice("Be nice"), Established("3.3.0.0")]
    assert peer.channel.established
    assert peer.channel.agent_version == "3.3.0.0"


def test_a_repeated_handshake_is_answered_once() -> None:
    peer = Peer()
    peer.request(PORT)
    peer.request(PORT)
    peer.complete()
    assert peer.complete("again") == []
    peer.request(PORT)
    assert [m.payload_type for m in peer.sent()].count(wire.HANDSHAKE_RESPONSE) == 1


def test_stream_bytes_wait_for_the_first_output() -> None:
    peer = Peer()
    peer.request(PORT)
    peer.channel.send(b"SSH-2.0-client\r\n", peer.now)
    assert peer.stream() == []
    peer.complete()
    assert peer.stream() == []
    assert peer.channel.timer() is not None
    peer.say(b"SSH-2.0-server\r\n")
    assert peer.stream() == [(1, b"SSH-2.0-client\r\n")]


def test_stream_bytes_wait_no_longer_than_the_hold_after_handshake_complete() -> None:
    peer = Peer()
    peer.request(PORT)
    peer.sent()
    peer.acknowledge(0)
    assert peer.channel.timer() is None
    peer.channel.send(b"x", peer.now)
    peer.complete()
    assert peer.channel.timer() == peer.now + HOLD
    peer.now += HOLD
    assert peer.stream() == [(1, b"x")]


def test_output_within_the_handshake_does_not_release_the_stream() -> None:
    peer = Peer()
    peer.request(PORT)
    peer.channel.send(b"x", peer.now)
    assert peer.say(b"early") == [Output(b"early")]
    assert peer.stream() == []
    assert not peer.channel.established


@pytest.mark.parametrize("cut_after", ["request", "response", "complete"])
def test_a_resume_in_the_handshake_keeps_holding(cut_after: str) -> None:
    peer = Peer()
    peer.channel.send(b"x", peer.now)
    peer.request(PORT)
    if cut_after != "request":
        peer.sent()
    if cut_after == "complete":
        peer.complete()
    peer.channel.disconnected(peer.now)
    assert peer.channel.frames(peer.now, PLENTY) == []
    assert peer.channel.timer() is None
    peer.channel.connected(peer.now)
    again = peer.sent()
    assert [m.sequence for m in again if m.message_type == wire.INPUT] == [0]
    assert wire.HANDSHAKE_RESPONSE in [m.payload_type for m in again]
    if cut_after != "complete":
        peer.complete()
    peer.now += HOLD
    assert (1, b"x") in peer.stream()


@pytest.mark.parametrize("action", [{"ActionType": "KMSEncryption"}, {"ActionType": "Other"}])
def test_an_unsupported_handshake_is_refused_and_answered(action: object) -> None:
    peer = Peer()
    [event] = peer.request(PORT, action)
    assert isinstance(event, Refused)
    assert [m.payload_type for m in peer.sent()] == [0, wire.HANDSHAKE_RESPONSE]
    assert peer.channel.room() == 0
    assert peer.complete() == []
    assert peer.say(b"output") == []
    assert peer.say(b"errors", wire.STDERR) == []
    assert not peer.channel.established


def test_an_unreadable_handshake_is_refused_without_answer() -> None:
    peer = Peer()
    [event] = peer.say(b"[" * 30_000, wire.HANDSHAKE_REQUEST)
    assert isinstance(event, Refused)
    assert [m.message_type for m in peer.sent()] == [wire.ACKNOWLEDGE]


def test_each_payload_type_becomes_its_event() -> None:
    peer = Peer().establish()
    assert peer.say(b"out") == [Output(b"out")]
    assert peer.say(b"") == []
    assert peer.say(b"err", wire.STDERR) == [StdErr(b"err")]
    assert peer.say(b"err", wire.ERROR) == [StdErr(b"err")]
    assert peer.say(b"3", wire.EXIT_CODE) == [ExitCode(3)]
    assert peer.say(b"EXIT_CODE: 130", wire.EXIT_CODE) == [ExitCode(130)]
    assert peer.say(b"EXIT_CODE: -1\n", wire.EXIT_CODE) == [ExitCode(-1)]
    assert peer.say(b"9" * 5000, wire.EXIT_CODE) == []
    assert peer.say(b"x", wire.EXIT_CODE) == []
    for _ in range(2):
        assert peer.say(wire.CONNECT_TO_PORT_ERROR, wire.FLAG) == [ConnectFailed()]
    assert peer.say(b"\0\0\0\1", wire.FLAG) == []
    for unknown in (0, 3, 4, 6, 8, 9, 13, 2**32 - 1):
        assert peer.say(b"{}", unknown) == []
    assert peer.other("agent_session_state", b"{}") == []
    assert peer.other("something_new", b"\xff") == []


def test_every_stream_message_is_acknowledged_whatever_its_type() -> None:
    peer = Peer()
    for payload_type in (1, 5, 7, 12, 99):
        peer.say(b"x", payload_type)
    assert [m.message_type for m in peer.sent()].count(wire.ACKNOWLEDGE) == 5


def test_a_broken_frame_is_dropped_unacknowledged_and_delivered_when_resent() -> None:
    peer = Peer().establish()
    good = peer.frame(b"data")
    assert peer.channel.receive(good[:-1] + b"X", peer.now) == []
    assert peer.sent() == []
    assert peer.channel.receive(good, peer.now) == [Output(b"data")]
    assert len(peer.sent()) == 1


def test_only_persistent_damage_is_fatal() -> None:
    peer = Peer().establish()
    for _ in range(BROKEN_FRAMES - 1):
        peer.channel.receive(b"broken", peer.now)
    peer.say(b"progress")
    for _ in range(BROKEN_FRAMES - 1):
        peer.channel.receive(b"broken", peer.now)
    peer.channel.send(b"x", peer.now)
    peer.sent()
    peer.acknowledge(1)
    for _ in range(BROKEN_FRAMES - 1):
        peer.channel.receive(b"broken", peer.now)
    peer.acknowledge(1)
    with pytest.raises(ProtocolError):
        peer.channel.receive(b"broken", peer.now)


@pytest.mark.parametrize("number", [-1, 2, 99, 2**63 - 1, 10**400, "1", None, 1.0, True, [1]])
def test_acknowledgements_of_what_was_never_sent_are_ignored(number: object) -> None:
    peer = Peer().establish()
    peer.channel.send(b"x", peer.now)
    peer.sent()
    before = peer.channel.unacknowledged
    peer.acknowledge(number)
    assert peer.channel.unacknowledged == before == 1
    assert not peer.channel.drained
    peer.acknowledge(1)
    assert peer.channel.unacknowledged == 0
    assert peer.channel.drained


@pytest.mark.parametrize("payload", [b"", b"{}", b"[" * 50_000, b"\xff", b'{"AcknowledgedMessageSequenceNumber":}'])
def test_an_unreadable_acknowledgement_is_ignored(payload: bytes) -> None:
    peer = Peer().establish()
    assert peer.other(wire.ACKNOWLEDGE, payload) == []


def test_channel_closed_reports_its_reason_and_ends_everything() -> None:
    peer = Peer().establish()
    peer.channel.send(b"x", peer.now)
    closed = json.dumps({"MessageType": "channel_closed", "Output": "Session timed out.\r\n"}).encode()
    assert peer.other(wire.CHANNEL_CLOSED, closed) == [Closed("Session timed out.")]
    assert peer.channel.closed
    assert peer.channel.room() == 0
    assert peer.sent() == []
    assert peer.channel.timer() is None
    assert peer.say(b"late") == []


@pytest.mark.parametrize("payload", [b"{}", b"", b"not json"])
def test_channel_closed_without_a_reason_also_closes(payload: bytes) -> None:
    assert Peer().other(wire.CHANNEL_CLOSED, payload) == [Closed("")]


def test_small_writes_share_a_message_and_large_ones_are_cut() -> None:
    peer = Peer().establish()
    peer.channel.send(b"a", peer.now)
    peer.channel.send(b"b", peer.now)
    assert peer.stream() == [(1, b"ab")]
    peer.channel.send(bytes(2500), peer.now)
    assert [len(payload) for _, payload in peer.stream()] == [1024, 1024, 452]


def test_frames_keep_to_the_budget_with_acknowledgements_first() -> None:
    peer = Peer().establish()
    peer.channel.send(bytes(8000), peer.now)
    for _ in range(5):
        peer.say(b"x")
    assert peer.channel.frames(peer.now, 0) == []
    assert [m.message_type for m in peer.sent(600)] == [wire.ACKNOWLEDGE] * 3
    assert [m.message_type for m in peer.sent(1600)] == [wire.ACKNOWLEDGE] * 2 + [wire.INPUT]
    assert len(peer.sent(3000)) == 3


def test_created_dates_are_wall_clock_milliseconds() -> None:
    peer = Peer().establish()
    peer.channel.send(b"x", peer.now)
    assert peer.sent()[0].created == 1_000_100_000


def test_message_ids_differ() -> None:
    peer = Peer().establish()
    peer.channel.send(bytes(10_000), peer.now)
    assert len({m.message_id for m in peer.sent()}) == 10


def test_unacknowledged_counts_what_is_queued_and_what_is_in_flight() -> None:
    peer = Peer().establish()
    assert peer.channel.unacknowledged == 0
    peer.channel.send(bytes(3000), peer.now)
    assert peer.channel.unacknowledged == 3000
    peer.sent(1000)
    assert peer.channel.unacknowledged == 3000
    peer.acknowledge(1)
    assert peer.channel.unacknowledged == 3000 - 1024


def test_terminate_is_queued_once_behind_the_data_and_stops_reading() -> None:
    peer = Peer().establish()
    peer.channel.send(b"last", peer.now)
    peer.channel.terminate(peer.now)
    peer.channel.terminate(peer.now)
    assert peer.channel.room() == 0
    assert [(m.payload_type, m.payload) for m in peer.sent()] == [(1, b"last"), (wire.FLAG, b"\0\0\0\2")]
    assert not peer.channel.drained
    peer.acknowledge(1)
    peer.acknowledge(2)
    assert peer.channel.drained


def test_terminate_waits_for_the_handshake_because_the_agent_would_discard_it() -> None:
    peer = Peer()
    peer.request(PORT)
    peer.channel.terminate(peer.now)
    assert wire.FLAG not in [m.payload_type for m in peer.sent()]
    peer.complete()
    peer.now += HOLD
    assert peer.sent()[-1].payload_type == wire.FLAG


def test_a_pause_delays_probes_but_not_data_and_only_for_a_while() -> None:
    peer = Peer().establish()
    peer.other(wire.PAUSE_PUBLICATION, b"\xff")
    peer.channel.send(b"x", peer.now)
    assert peer.stream() == [(1, b"x")]
    due = peer.channel.timer()
    assert due is not None
    assert peer.now + PAUSE == due
    while peer.now < due + PAUSE:
        # Repeating the advice does not prolong it.
        peer.other(wire.PAUSE_PUBLICATION)
        peer.now += 0.25
    assert peer.stream() == [(1, b"x")]


@pytest.mark.parametrize("sign", ["start", "output", "acknowledgement", "connection"])
def test_any_sign_of_life_ends_a_pause(sign: str) -> None:
    peer = Peer().establish()
    peer.channel.send(bytes(2000), peer.now)
    peer.sent()
    peer.other(wire.PAUSE_PUBLICATION)
    if sign == "start":
        peer.other(wire.START_PUBLICATION)
        assert [number for number, _ in peer.stream()] == [1, 2]  # the agent's connection was away, and took them along
    elif sign == "output":
        peer.say(b"x")
    elif sign == "acknowledgement":
        peer.acknowledge(1)
    else:
        peer.channel.connected(peer.now)
        peer.sent()
    timer = peer.channel.timer()
    assert timer is not None
    assert timer < peer.now + 1


def test_what_is_unacknowledged_is_resent_in_order_and_unchanged_after_a_resume() -> None:
    peer = Peer().establish()
    peer.channel.send(bytes(5000), peer.now)
    first = peer.channel.frames(peer.now, PLENTY)
    peer.acknowledge(2)
    peer.channel.disconnected(peer.now)
    peer.channel.send(b"more", peer.now)
    peer.now += 30
    peer.channel.connected(peer.now)
    frames = peer.channel.frames(peer.now, PLENTY)
    again = [frame for frame in frames if wire.decode(frame).message_type != wire.ACKNOWLEDGE]
    assert again[:4] == [first[0], *first[2:]]
    assert wire.decode(again[4]).payload == b"more"


def acknowledged(messages: list[wire.Message]) -> list[int | None]:
    return [wire.acknowledged_number(m.payload) for m in messages if m.message_type == wire.ACKNOWLEDGE]


def test_acknowledgements_survive_a_lost_connection() -> None:
    peer = Peer().establish()
    peer.say(b"sent")
    sent = acknowledged(peer.sent())
    peer.say(b"still queued")
    (queued,) = [sequence for sequence, _ in peer.channel._receiver.acks]
    repeated = []
    for _ in range(3):
        peer.channel.disconnected(peer.now)
        peer.channel.connected(peer.now)
        repeated.append(acknowledged(peer.sent()))
    # What was never sent comes first, and nothing is repeated twice.
    assert repeated == [[queued, 0, 1, 2, *sent], [queued], []]


def test_progress_counts_what_has_arrived_on_either_side() -> None:
    peer = Peer().establish()
    before = peer.channel.progress
    peer.channel.send(b"x", peer.now)
    peer.sent()
    assert peer.channel.progress == before
    peer.acknowledge(1)
    peer.acknowledge(1)
    peer.say(b"output")
    peer.say(b"output", number=0)
    assert peer.channel.progress == before + 2


def test_each_side_counts_what_has_arrived_in_order() -> None:
    peer = Peer().establish()
    channel = peer.channel
    acknowledged, received = channel.acknowledged, channel.received
    channel.send(b"x", peer.now)
    peer.sent()
    assert (channel.acknowledged, channel.received) == (acknowledged, received)
    peer.acknowledge(1)
    first, second = peer.frame(b"first"), peer.frame(b"second")
    channel.receive(second, peer.now)
    assert channel.gap
    assert (channel.acknowledged, channel.received) == (acknowledged + 1, received)
    channel.receive(first, peer.now)
    assert not channel.gap
    assert (channel.acknowledged, channel.received) == (acknowledged + 1, received + 2)


def test_an_agent_is_away_from_the_report_of_that_to_the_report_of_its_return() -> None:
    peer = Peer().establish()
    assert not peer.channel.away
    peer.other(wire.PAUSE_PUBLICATION)
    assert peer.channel.away
    peer.other(wire.START_PUBLICATION)
    assert not peer.channel.away


def test_what_was_made_before_a_resume_is_stale_until_something_new_comes() -> None:
    peer = Peer().establish()
    channel = peer.channel
    peer.made = 50
    peer.say(b"before")
    assert not channel.only_stale
    late = peer.frame(b"during")
    for resumed_at in (100, 200):
        channel.disconnected(peer.now)
        channel.connected(peer.now)
        peer.made = resumed_at
        peer.other(wire.START_PUBLICATION)
        if late:
            assert not channel.only_stale
            channel.receive(late, peer.now)
        late = b""
        assert channel.only_stale  # also after the next break, which brings nothing
    peer.made = 201
    peer.say(b"after")
    assert not channel.only_stale


def test_a_connection_is_lost_only_once() -> None:
    peer = Peer().establish()
    peer.say(b"x")
    peer.sent()
    peer.channel.disconnected(peer.now)
    repeats = list(peer.channel._receiver.repeats)
    assert repeats
    peer.channel.disconnected(peer.now)
    assert list(peer.channel._receiver.repeats) == repeats


def test_new_input_goes_before_acknowledgements_that_are_repeated() -> None:
    peer = Peer().establish()
    for _ in range(200):
        peer.say(b"output")
    peer.sent()
    peer.channel.disconnected(peer.now)
    peer.channel.send(b"key", peer.now)
    peer.channel.connected(peer.now)
    kinds = [m.message_type for m in peer.sent()]
    assert kinds.index(wire.INPUT) == 0
    assert kinds.count(wire.ACKNOWLEDGE) >= 200


def test_old_acknowledgements_are_not_repeated() -> None:
    peer = Peer().establish()
    for _ in range(200):
        peer.say(b"output")
    peer.sent()
    peer.now += 5
    peer.channel.disconnected(peer.now)
    peer.channel.connected(peer.now)
    assert acknowledged(peer.sent()) == []


def test_a_message_is_resent_on_evidence_and_never_without() -> None:
    peer = Peer().establish()
    peer.channel.send(bytes(4096), peer.now)
    peer.sent()
    peer.now += 0.02
    for number in (2, 3, 4):
        peer.acknowledge(number)
    assert peer.stream() == []
    timer = peer.channel.timer()
    assert timer is not None
    assert peer.now < timer < peer.now + 0.2
    peer.now = timer
    assert [number for number, _ in peer.stream()] == [1]


# ------------------------------------------------------------------------------------------------ hostile peers


def bounded(channel: Channel) -> bool:
    receiver = channel._receiver
    return len(receiver.acks) <= ACKS and receiver._buffered_bytes <= REORDER_BYTES and channel.room() < 1 << 20


texts = st.sampled_from([b"", b"{}", b"[" * 3000, b"\xff\xfe", b'{"RequestedClientActions":[{}]}', b'{"Output":"x"}'])
frames = st.one_of(
    st.binary(max_size=300),
    st.builds(
        lambda kind, sequence, flags, payload_type, payload: wire.encode(
            kind,
            sequence=sequence,
            flags=flags,
            message_id=bytes(16),
            payload_type=payload_type,
            payload=payload,
            created=1,
        ),
        st.sampled_from(
            [
                wire.OUTPUT,
                wire.OUTPUT,
                wire.ACKNOWLEDGE,
                wire.INPUT,
                wire.START_PUBLICATION,
                wire.PAUSE_PUBLICATION,
                "agent_session_state",
                wire.CHANNEL_CLOSED,
            ]
        ),
        st.one_of(st.integers(-2, 20), st.integers(-(2**63), 2**63 - 1)),
        st.integers(0, 2**64 - 1),
        st.one_of(st.integers(0, 13), st.integers(0, 2**32 - 1)),
        st.one_of(
            texts,
            st.binary(max_size=200),
            st.integers(-5, 40).map(lambda n: b'{"AcknowledgedMessageSequenceNumber":%d,"x":1}' % n),
            st.integers().map(lambda n: json.dumps({"AcknowledgedMessageSequenceNumber": n}).encode()),
        ),
    ),
)
mutations = st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=4)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(frames, mutations, st.floats(0, 20)), max_size=40), st.booleans())
def test_no_frame_of_a_hostile_peer_breaks_the_channel(
    steps: list[tuple[bytes, list[tuple[int, int]], float]], begin: bool
) -> None:
    peer = Peer()
    if begin:
        peer.establish()
    channel = peer.channel
    for frame, changes, passed in steps:
        mutated = bytearray(frame)
        for place, value in changes:
            if place < len(mutated):
                mutated[place] = value
        peer.now += passed
        channel.send(b"x" * min(100, channel.room()), peer.now)
        events = channel.receive(bytes(mutated), peer.now)
        assert all(isinstance(event, EVENTS) for event in events)
        sent = channel.frames(peer.now, 4096)
        assert sum(map(len, sent)) < 4096 + 4 * 1200
        timer = channel.timer()
        assert timer is None or timer > 0
        assert bounded(channel)


def test_persistent_garbage_ends_in_the_documented_error() -> None:
    peer = Peer()
    rng = Random(4)
    for _ in range(BROKEN_FRAMES - 1):
        assert peer.channel.receive(rng.randbytes(rng.randrange(300)), peer.now) == []
    with pytest.raises(ProtocolError):
        peer.channel.receive(rng.randbytes(300), peer.now)
    assert bounded(peer.channel)


def test_a_flood_of_messages_out_of_order_stays_bounded() -> None:
    peer = Peer().establish()
    for number in range(10, 3000):
        peer.say(bytes(60_000), number=number)
    assert bounded(peer.channel)


def test_a_flood_of_duplicates_without_a_reader_stays_bounded() -> None:
    peer = Peer().establish()
    duplicate = peer.frame(b"x", number=0)
    for _ in range(ACKS + 100):
        peer.channel.receive(duplicate, peer.now)
    assert bounded(peer.channel)


def test_a_flood_of_publication_messages_causes_no_storm() -> None:
    peer = Peer().establish()
    peer.channel.send(b"x", peer.now)
    peer.sent()
    resent = 0
    for _ in range(1000):
        peer.now += 0.001
        peer.other(wire.START_PUBLICATION)
        resent += len(peer.sent())
    assert resent <= 20


def test_a_probe_is_an_empty_message_that_must_be_acknowledged() -> None:
    channel = Channel(client_id="x", epoch=0.0)
    channel.connected(0.0)
    assert channel.frames(0.0, 65536) == []
    channel.probe()
    (frame,) = channel.frames(0.0, 65536)
    message = wire.decode(frame)
    assert (message.payload_type, message.payload) == (wire.STREAM, b"")
    assert not channel.drained


def sizes(peer: Peer) -> list[object]:
    return [json.loads(m.payload) for m in peer.sent() if m.payload_type == wire.SIZE]


def test_a_size_goes_out_at_once_and_again_in_front_of_the_stream() -> None:
    peer = Peer()
    peer.channel.send(b"ls\n", peer.now)
    peer.channel.resize(80, 24)
    assert not peer.channel.drained
    assert sizes(peer) == [{"cols": 80, "rows": 24}]
    peer.channel.resize(120, 40)
    assert sizes(peer) == [{"cols": 120, "rows": 40}]
    peer.say(b"$ ")
    sent = [m for m in peer.sent() if m.message_type == wire.INPUT]
    # What the agent left unacknowledged, because it had no pty, does not wait for a timer.
    assert [(m.sequence, m.payload_type, m.payload) for m in sent] == [
        (0, wire.SIZE, b'{"cols":80,"rows":24}'),
        (1, wire.SIZE, b'{"cols":120,"rows":40}'),
        (2, wire.SIZE, b'{"cols":120,"rows":40}'),
        (3, wire.STREAM, b"ls\n"),
    ]
    peer.channel.resize(100, 30)
    assert sizes(peer) == [{"cols": 100, "rows": 30}]


def test_a_size_in_a_handshake_waits_until_the_agent_would_not_discard_it() -> None:
    peer = Peer()
    peer.request(PORT)
    peer.complete()
    peer.channel.resize(80, 24)
    assert sizes(peer) == []
    timer = peer.channel.timer()
    assert timer is not None
    peer.now += HOLD
    assert timer <= peer.now
    assert sizes(peer) == [{"cols": 80, "rows": 24}]


def test_a_size_that_the_budget_leaves_out_goes_next() -> None:
    peer = Peer().establish()
    peer.channel.resize(80, 24)
    assert peer.sent(budget=0) == []
    assert sizes(peer) == [{"cols": 80, "rows": 24}]


def test_a_size_is_repeated_after_a_resume() -> None:
    peer = Peer().establish()
    peer.channel.resize(80, 24)
    assert sizes(peer) == [{"cols": 80, "rows": 24}]
    peer.acknowledge(1)
    peer.channel.disconnected(peer.now)
    peer.channel.connected(peer.now)
    assert sizes(peer) == [{"cols": 80, "rows": 24}]


def test_an_agent_without_smux_is_told_the_end_of_a_connection_behind_its_bytes() -> None:
    peer = Peer().establish()
    peer.channel.send(b"last", peer.now)
    assert not peer.channel.disconnect_port()
    assert [message.payload for message in peer.sent()] == [b"last"]
    assert peer.channel.disconnect_port()
    [flag] = peer.sent()
    assert (flag.payload_type, flag.payload) == (wire.FLAG, wire.DISCONNECT_TO_PORT)
