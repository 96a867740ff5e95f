from hypothesis import given
from hypothesis import strategies as st

from ssm_ssh.relay.backoff import Backoff


@given(st.floats(0.01, 5), st.floats(5, 60), st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_delays_grow_within_their_bounds(first: float, longest: float, dice: list[float]) -> None:
    rolls = iter(dice)
    backoff = Backoff(first, longest, lambda: next(rolls))
    whole = first
    for _ in dice:
        assert whole / 2 <= backoff.delay() <= whole
        whole = min(longest, whole * 2)


def test_success_starts_again() -> None:
    backoff = Backoff(1.0, 8.0, lambda: 1.0)
    assert [backoff.delay() for _ in range(5)] == [1, 2, 4, 8, 8]
    backoff.reset()
    assert backoff.delay() == 1
