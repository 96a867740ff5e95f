from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ssm_ssh.channel.limits import ACKS, REORDER_BYTES, REORDER_MESSAGES, REPEATED_ACKS
from ssm_ssh.channel.message import Message
from ssm_ssh.channel.receiver import Receiver
from tests.linear import FACTOR, growth


def message(sequence: int, payload: bytes = b"") -> Message:
    return Message("output_stream_data", sequence, 1, payload or b"%d," % sequence, bytes(16))


def deliver(receiver: Receiver, arrived: Message) -> list[int]:
    """Numbers that become deliverable with this arrival, in order."""
    numbers = []
    message_in_order = arrived if receiver.accept(arrived) else None
    while message_in_order is not None:
        numbers.append(message_in_order.sequence)
        message_in_order = receiver.next_buffered()
    return numbers


@given(st.permutations(range(12)), st.lists(st.integers(0, 11), max_size=10))
def test_any_order_and_any_repetition_come_out_in_order_once(order: list[int], again: list[int]) -> None:
    receiver = Receiver()
    arrivals = order + again
    out = [number for arrival in arrivals for number in deliver(receiver, message(arrival))]
    assert out == list(range(12))
    assert [number for number, _ in receiver.acks] == arrivals


def test_a_duplicate_is_acknowledged_again_whether_buffered_or_delivered() -> None:
    receiver = Receiver()
    for number in (1, 1, 0, 0, 1):
        deliver(receiver, message(number))
    assert [number for number, _ in receiver.acks] == [1, 1, 0, 0, 1]


def test_negative_numbers_are_ignored() -> None:
    receiver = Receiver()
    assert deliver(receiver, message(-1)) == []
    assert deliver(receiver, message(-(2**63))) == []
    assert receiver.acks == []


def test_a_number_too_far_out_of_order_is_neither_buffered_nor_acknowledged() -> None:
    receiver = Receiver()
    for number in (REORDER_MESSAGES + 1, 2**63 - 1):
        assert deliver(receiver, message(number)) == []
    assert receiver.acks == []
    deliver(receiver, message(REORDER_MESSAGES))
    assert len(receiver.acks) == 1


def test_the_reorder_buffer_is_bounded_in_bytes_and_drains() -> None:
    receiver = Receiver()
    large = bytes(256 * 1024)
    for number in range(1, 200):
        deliver(receiver, message(number, large))
    kept = len(receiver.acks)
    assert kept * len(large) <= REORDER_BYTES < (kept + 1) * (len(large) + 1024)
    assert deliver(receiver, message(0)) == list(range(kept + 1))
    assert deliver(receiver, message(kept + 2, large)) == []
    assert receiver.acks[-1][0] == kept + 2


def test_acknowledgements_are_bounded_while_delivery_goes_on() -> None:
    receiver = Receiver()
    for number in range(ACKS + 10):
        assert deliver(receiver, message(number)) == [number]
    assert len(receiver.acks) == ACKS
    receiver.acks.clear()
    deliver(receiver, message(ACKS + 5))
    assert receiver.acks == [(ACKS + 5, bytes(16))]


def test_only_the_latest_acknowledgements_are_repeated_in_order_and_once() -> None:
    receiver = Receiver()
    for number in range(REPEATED_ACKS + 50):
        deliver(receiver, message(number))
    receiver.acks_sent(REPEATED_ACKS + 40, 5.0)
    receiver.connection_lost(5.0)
    assert [sequence for sequence, _ in receiver.repeats] == list(range(40, REPEATED_ACKS + 40))
    assert [sequence for sequence, _ in receiver.acks] == list(range(REPEATED_ACKS + 40, REPEATED_ACKS + 50))
    receiver.repeats.clear()
    receiver.connection_lost(5.0)
    assert not receiver.repeats


def test_acknowledgements_of_the_last_second_of_a_connection_are_repeated() -> None:
    receiver = Receiver()
    for number in range(4):
        deliver(receiver, message(number))
        receiver.acks_sent(1, number * 0.6)
    receiver.connection_lost(1.8 + 0.1)
    assert [sequence for sequence, _ in receiver.repeats] == [2, 3]


def test_acknowledgements_given_to_a_dead_connection_are_repeated_however_late_that_was_noticed() -> None:
    receiver = Receiver()
    deliver(receiver, message(0))
    receiver.acks_sent(1, 10.0)
    receiver.connection_lost(9.9)
    assert [sequence for sequence, _ in receiver.repeats] == [0]


def test_messages_in_reverse_order_cost_in_proportion_to_their_number() -> None:
    def backwards(size: int) -> None:
        receiver = Receiver()
        for number in range(size, 0, -1):
            deliver(receiver, message(number))
        assert len(deliver(receiver, message(0))) == size + 1

    assert growth(backwards, REORDER_MESSAGES // 5) < 2 * FACTOR
