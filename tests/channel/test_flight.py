from __future__ import annotations

from random import Random

from ssm_ssh.channel.limits import MAX_TOLERANCE, PROBES, REORDER_PACKETS
from ssm_ssh.channel.message import decode
from ssm_ssh.channel.sender import Sender

PLENTY = 1 << 20


class Sending:
    """A sender on a path of 100 ms, and what it sends."""

    def __init__(self) -> None:
        self.now = 50.0
        self.sender = Sender(Random(1).getrandbits)
        self.sender.flight.connected(self.now)
        self.sender.held = False
        # One message there and back tells the round trip.
        self.send(1)
        self.now += 0.1
        self.acknowledge(0)

    def numbers(self) -> list[int]:
        frames: list[bytes] = []
        self.sender.frames(frames, self.now, PLENTY, 0)
        return [decode(frame).sequence for frame in frames]

    def send(self, messages: int) -> list[int]:
        self.sender.queue(bytes(1024 * messages))
        return self.numbers()

    def acknowledge(self, *numbers: int) -> None:
        for number in numbers:
            self.sender.flight.acknowledged(number, self.now)

    def wait(self) -> list[int]:
        """Let the time of the timer come."""
        at = self.sender.flight.timer()
        assert at is not None
        self.now = max(self.now, at)
        return self.numbers()


def test_the_first_probe_comes_after_the_resend_timeout_with_the_oldest_messages_only() -> None:
    sending = Sending()
    sent = sending.send(10)
    start = sending.now
    assert sending.wait() == sent[:PROBES]
    assert 0.2 < sending.now - start < 0.4
    assert sending.wait() == sent[:PROBES]
    assert 0.6 < sending.now - start < 1.2


def test_before_any_round_trip_the_timeout_is_200_ms() -> None:
    sender = Sender(Random(1).getrandbits)
    sender.flight.connected(10.0)
    sender.queue_control(6, b"{}")
    sender.frames([], 10.0, PLENTY, 0)
    assert sender.flight.timer() == 10.2


def test_an_acknowledgement_of_a_later_message_shows_a_loss_after_a_round_trip_and_a_quarter() -> None:
    sending = Sending()
    sent = sending.send(3)
    start = sending.now
    sending.now += 0.1
    sending.acknowledge(sent[1])
    assert sending.numbers() == []
    assert sending.wait() == [sent[0], sent[2]][:1]
    assert abs(sending.now - start - 0.125) < 1e-6


def test_many_later_acknowledgements_show_a_loss_at_once() -> None:
    sending = Sending()
    sending.sender.flight.path.window = sending.sender.flight.path._full_window = 1 << 20
    sent = sending.send(REORDER_PACKETS + 2)
    sending.now += 0.1
    sending.acknowledge(*sent[1:-2])
    assert sending.numbers() == []
    sending.acknowledge(sent[-2])
    assert sending.numbers() == sent[:1]


def test_a_needless_resend_makes_it_more_patient_up_to_a_bound() -> None:
    sending = Sending()
    for _ in range(10):
        first, second, *_ = sending.send(2)
        sending.now += 0.1
        sending.acknowledge(second)
        assert sending.wait() == [first]
        sending.now += 0.01
        sending.acknowledge(first)
    assert sending.sender.flight.path.tolerance == MAX_TOLERANCE
    first, second = sending.send(2)
    start = sending.now
    sending.now += 0.1
    sending.acknowledge(second)
    sending.wait()
    assert sending.now - start > 0.25


def test_a_late_first_transmission_taken_for_lost_is_not_resent() -> None:
    sending = Sending()
    sending.sender.flight.path.window = 3000
    first, second = sending.send(2)
    sending.now += 0.1
    sending.acknowledge(second)
    sending.now += 0.05
    # Another acknowledgement makes it look; before a frame is asked for, the late one arrives.
    sending.acknowledge(second)
    sending.sender.flight._declare_lost(sending.now)
    sending.acknowledge(first)
    assert sending.numbers() == []
    assert sending.sender.drained


def test_when_a_mere_stall_ends_nothing_but_the_probes_was_sent_twice() -> None:
    sending = Sending()
    sent = sending.send(20)
    probes = sending.wait() + sending.wait()
    assert set(probes) == set(sent[:PROBES])
    sending.now += 0.2
    for number in sent:
        sending.acknowledge(number)
        sending.now += 0.004
        assert sending.numbers() == []
    assert sending.sender.drained


def test_when_only_the_probes_are_acknowledged_all_else_is_resent_in_order() -> None:
    sending = Sending()
    sent = sending.send(20)
    probes = sending.wait()
    sending.now += 0.1
    sending.acknowledge(*probes)
    start = sending.now
    assert sending.numbers() == []
    assert sending.wait() == sent[PROBES:]
    assert sending.now - start < 0.2


def test_probes_answered_faster_than_ever_show_a_loss_once_nothing_else_has_come_for_long() -> None:
    """A connection of the agent broke, and the path is now faster than it was under load."""
    sending = Sending()
    sent = sending.send(20)
    for _ in range(2):
        probes = sending.wait()
    sending.now += 0.01
    sending.acknowledge(*probes)
    start = sending.now
    while not (again := sending.wait()):
        pass
    assert again == sent[PROBES:]
    assert sending.now - start < 1


def test_the_timeout_stays_backed_off_until_a_message_sent_once_is_acknowledged() -> None:
    sending = Sending()
    first = sending.send(1)
    for _ in range(4):
        assert sending.wait() == first
    sending.acknowledge(*first)
    start = sending.now
    second = sending.send(1)
    assert sending.wait() == second
    assert sending.now - start > 3
    sending.acknowledge(*second)
    third = sending.send(1)
    sending.now += 0.1
    sending.acknowledge(*third)
    fourth = sending.send(1)
    start = sending.now
    assert sending.wait() == fourth
    assert sending.now - start < 0.5


def test_an_idle_sender_has_no_timer() -> None:
    assert Sending().sender.flight.timer() is None


def test_nothing_is_probed_without_a_budget() -> None:
    sending = Sending()
    sending.send(3)
    sending.now += 100
    frames: list[bytes] = []
    sending.sender.frames(frames, sending.now, 0, 0)
    assert frames == []
    assert len(sending.numbers()) == PROBES


def test_what_is_lost_and_acknowledged_after_all_is_not_resent() -> None:
    sending = Sending()
    sent = sending.send(8)
    sending.sender.flight.connected(sending.now)
    sending.acknowledge(*sent[1:])
    assert sending.numbers() == sent[:1]


def test_the_newest_evidence_counts_whatever_the_order_of_acknowledgements() -> None:
    sending = Sending()
    sent = sending.send(4)
    sending.now += 0.1
    sending.acknowledge(sent[3], sent[2])
    assert sending.wait() == sent[:2]
    # Once for each transmission, of which the second tells nothing that the first did not.
    sending.now += 0.1
    sending.acknowledge(sent[1], sent[0])
    assert sending.sender.drained


def test_a_doubtful_acknowledgement_counts_for_nothing_when_an_older_one_follows() -> None:
    sending = Sending()
    sent = sending.send(6)
    sending.wait()
    sending.now += 0.15
    sending.acknowledge(sent[0])
    sending.now += 0.01
    sending.acknowledge(sent[2])
    sending.now += 0.09
    assert sending.numbers() == []


def test_a_silence_of_hours_ends_in_no_overflow() -> None:
    sending = Sending()
    sent = sending.send(1)
    for _ in range(2000):
        assert sending.wait() == sent
    sending.now += 0.1
    sending.acknowledge(*sent)
    assert sending.sender.drained


def test_a_repeated_resumption_leaves_what_is_due_alone() -> None:
    sending = Sending()
    sent = sending.send(3)
    flight = sending.sender.flight
    for _ in range(2):
        flight.pause(sending.now)
        flight.unpause()
        assert not flight.paused
        assert flight.bytes_in_flight == 0
    assert sending.numbers() == sent
