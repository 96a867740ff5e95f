"""What may wait for local readers, by connection, session and process."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ssm_ssh.mux.unread import MOST_IN_ALL, MOST_OF_ONE, Total, Unread


def test_one_connection_stops_its_own_session() -> None:
    total = Total()
    first, second = Unread(total), Unread(total)
    first.set(3, MOST_OF_ONE - 1)
    second.set(3, 1)
    assert not first.full
    first.set(3, MOST_OF_ONE)
    assert first.full
    assert first.fullest() == 3
    assert not second.full
    first.set(3, 0)
    assert not first.full
    assert first.fullest() is None


def test_too_much_in_all_stops_every_session_that_holds_some_of_it() -> None:
    total = Total()
    sessions = [Unread(total) for _ in range(3)]
    for stream in range(5):
        sessions[stream % 2].set(stream, MOST_OF_ONE - 1)
    assert total.waiting >= MOST_IN_ALL
    assert [session.full for session in sessions] == [True, True, False]


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3), st.integers(0, 100))))
def test_the_total_is_the_sum_of_what_waits(steps: list[tuple[int, int, int]]) -> None:
    total = Total(most=150)
    sessions = [Unread(total, 80) for _ in range(3)]
    waiting: dict[tuple[int, int], int] = {}
    for session, stream, count in steps:
        sessions[session].set(stream, count)
        waiting[session, stream] = count
    assert total.waiting == sum(waiting.values())
    for index, unread in enumerate(sessions):
        own = [count for (session, _), count in waiting.items() if session == index]
        assert unread.full == (max(own, default=0) >= 80 or (sum(own) > 0 and total.waiting >= 150))
