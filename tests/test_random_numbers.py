from hypothesis import given
from hypothesis import strategies as st

from ssm_ssh.random_numbers import random_bits, random_fraction


@given(st.integers(1, 200))
def test_random_bits_are_as_many_as_wanted(count: int) -> None:
    assert 0 <= random_bits(count) < 1 << count
    assert 0 <= random_fraction() < 1
