from __future__ import annotations

import pytest

from ssm_ssh.channel.limits import (
    BASE_RTT_AGE,
    FIRST_RTO,
    FIRST_WINDOW,
    MAX_WINDOW,
    MIN_RTO,
    MIN_WINDOW,
    QUEUE_TARGET,
    ROUND,
)
from ssm_ssh.channel.path import Path


class Pipe:
    """A path of fixed round trip and rate, kept full: each round all of the window is sent and acknowledged."""

    def __init__(self, rtt: float, rate: float) -> None:
        self.path = Path()
        self.rtt, self.rate = rtt, rate
        self.now = 10.0
        self.transmission = 0

    def round(self, full: bool = True, size: int | None = None) -> None:
        path = self.path
        amount = path.window if size is None else size
        path.begin_round(self.transmission, self.now)
        path.window_limited = full
        took = max(self.rtt, amount / self.rate)
        self.now += took
        path.add_sample(took, self.now)
        path.acknowledged(amount, self.transmission, self.transmission + 1, amount, self.now)
        self.transmission += 1


def test_initial_values_are_the_official_ones() -> None:
    path = Path()
    assert path.rto == FIRST_RTO == 0.2
    assert path.window == FIRST_WINDOW


def test_the_timeout_follows_round_trip_and_variation() -> None:
    path = Path()
    path.add_sample(0.1, 1.0)
    assert path.rto == pytest.approx(0.3)
    for i in range(100):
        path.add_sample(0.1, 2.0 + i)
    assert path.rto == pytest.approx(0.11)
    path.add_sample(0.5, 200.0)
    assert path.rto > 0.4


def test_the_timeout_has_a_floor() -> None:
    path = Path()
    for i in range(50):
        path.add_sample(0.0001, float(i))
    assert path.rto == MIN_RTO


def test_the_window_settles_at_the_rate_times_round_trip_and_target() -> None:
    pipe = Pipe(0.1, 200e3)
    pipe.round(full=False, size=200)
    for _ in range(12):
        pipe.round()
    assert pipe.path.window == pytest.approx(200e3 * (0.1 + QUEUE_TARGET), rel=0.05)


def test_the_window_fills_a_fast_long_path_within_a_second() -> None:
    pipe = Pipe(0.1, 40e6)
    start = pipe.now
    while pipe.path.window < 4_000_000:
        pipe.round()
    assert pipe.now - start < 1
    for _ in range(5):
        pipe.round()
    assert pipe.path.window == MAX_WINDOW


def test_the_window_has_a_floor() -> None:
    pipe = Pipe(0.1, 5000)
    pipe.round(full=False, size=200)
    for _ in range(12):
        pipe.round()
    assert pipe.path.window == MIN_WINDOW


def test_little_traffic_says_nothing_about_the_path() -> None:
    pipe = Pipe(0.1, 10e6)
    for _ in range(6):
        pipe.round()
    wide = pipe.path.window
    for _ in range(20):
        pipe.round(full=False, size=200)
    assert pipe.path.window == wide


def test_a_rate_that_falls_shrinks_the_window_within_a_few_rounds() -> None:
    pipe = Pipe(0.1, 2e6)
    for _ in range(10):
        pipe.round()
    pipe.rate = 200e3
    for _ in range(8):
        pipe.round()
    assert pipe.path.window < 200e3 * 0.5


def test_a_round_that_takes_too_long_is_cut_short() -> None:
    path = Path()
    path.begin_round(1000, 10.0)
    path.window_limited = True
    path.add_sample(0.1, 10.1)
    path.acknowledged(1000, 5, 2000, 50_000, 10.0 + ROUND / 2)
    assert path.window == FIRST_WINDOW
    path.acknowledged(1000, 6, 2000, 50_000, 10.0 + ROUND)
    assert path.window == MIN_WINDOW


def test_a_round_shorter_than_the_round_trip_measures_nothing() -> None:
    path = Path()
    path.add_sample(0.1, 10.0)
    path.begin_round(0, 10.0)
    path.window_limited = True
    path.acknowledged(1_000_000, 5, 9, 50_000, 10.0)
    path.acknowledged(1_000_000, 6, 9, 50_000, 10.05)
    assert path.window == FIRST_WINDOW


def test_an_old_lowest_round_trip_is_measured_anew_with_the_queue_drained() -> None:
    pipe = Pipe(0.1, 200e3)
    for _ in range(12):
        pipe.round()
    wide = pipe.path.window
    pipe.rtt = 0.2
    pipe.now += BASE_RTT_AGE
    smallest = wide
    for _ in range(8):
        pipe.round()
        smallest = min(smallest, pipe.path.window)
    assert smallest < wide / 4
    assert pipe.path.base_rtt == pytest.approx(0.2, rel=0.05)
    assert pipe.path.window > wide


def test_reset_keeps_the_timeout_and_measures_the_round_trip_anew() -> None:
    pipe = Pipe(0.5, 5e6)
    for _ in range(6):
        pipe.round()
    rto = pipe.path.rto
    pipe.path.tolerate_reordering()
    pipe.path.reset()
    assert pipe.path.rto == rto
    assert pipe.path.window == FIRST_WINDOW
    assert pipe.path.tolerance == 1
    pipe.rtt = 0.7
    for _ in range(8):
        pipe.round()
    assert pipe.path.base_rtt == pytest.approx(0.7)


def test_the_round_trip_is_not_measured_anew_before_the_queue_has_drained() -> None:
    pipe = Pipe(0.1, 200e3)
    pipe.round(full=False, size=200)
    for _ in range(12):
        pipe.round()
    pipe.rtt = 0.2
    pipe.now += BASE_RTT_AGE
    pipe.round(full=False, size=200)
    drained = pipe.path.window
    for _ in range(5):
        pipe.round(full=False, size=drained + 1)
        assert pipe.path.base_rtt == pytest.approx(0.1)
    for _ in range(2):
        pipe.round(full=False, size=200)
    assert pipe.path.base_rtt == float("inf")
