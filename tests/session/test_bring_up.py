"""Bringing an instance up, in virtual time."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from ssm_ssh.aws.services.instance_power import PowerState
from ssm_ssh.errors import AccessDenied, AwsError, NetworkError, SsmSshError, TargetMissing, TargetNotConnected
from ssm_ssh.session import bring_up, power
from ssm_ssh.session.bring_up import ALWAYS, ASK, NEVER, BringUp

INSTANCE = "i-0123456789abcdef0"
ERROR = TargetNotConnected(f"{INSTANCE} is not connected", code="TargetNotConnected", operation="StartSession")


class VirtualWorld:
    """EC2, Systems Manager and a person, as they are at a time (bring_up.World)."""

    where = "eu-west-1"

    def __init__(self, state: str, *, pending: float = 20.0, boot: float = 15.0) -> None:
        self.time = 0.0
        self.state = state
        self.pending, self.boot = pending, boot
        self.stopped_at: float | None = None
        self.started_at: float | None = None
        self.answer: bool | None = True
        self.asked: list[str] = []
        self.starts = 0
        self.noted: float | None = None
        self.shown: list[str] = []
        self.told: list[str] = []
        self.failures: list[SsmSshError] = []
        self.refusals: list[SsmSshError] = []
        self.unknown = False
        self.gone_at = float("inf")
        self.questions = 0
        self.open_line = False

    def power(self) -> PowerState | None:
        self.questions += 1
        if self.failures:
            raise self.failures.pop(0)
        if self.state == "stopping" and self.stopped_at is not None and self.time >= self.stopped_at:
            self.state = "stopped"
        if self.started_at is not None and self.time >= self.started_at + self.pending:
            self.state = "running"
        return PowerState(self.state) if self.state else None

    def start(self) -> None:
        if self.refusals:
            raise self.refusals.pop(0)
        self.starts += 1
        self.state, self.started_at = "pending", self.time

    def connected(self) -> bool | None:
        if self.unknown:
            return None
        return self.started_at is not None and self.time >= self.started_at + self.pending + self.boot

    def agrees(self, question: str) -> bool | None:
        self.asked.append(question)
        return self.answer

    def started_since(self) -> float | None:
        return self.noted

    def note_start(self) -> None:
        self.noted = self.time

    def forget_start(self) -> None:
        self.noted = None

    def show(self, text: str, seconds: int) -> None:
        self.open_line = True
        if text not in self.shown:
            self.shown.append(text)

    def tell(self, text: str) -> None:
        self.told.append(text)

    def end_line(self) -> None:
        self.open_line = False

    def pause(self, seconds: float) -> None:
        self.time += seconds
        if self.time >= self.gone_at:
            raise SsmSshError("not waited for any more")

    def now(self) -> float:
        return self.time

    def clock(self, at: float) -> str:
        return f"T+{at:.0f}"

    def hint(self) -> str:
        return "start it"


def run(world: VirtualWorld, wish: str, instance_id: str = INSTANCE) -> BringUp:
    made = BringUp(instance_id, wish, world)
    made.run(ERROR)
    return made


def refused(made: BringUp) -> SsmSshError:
    """Return the error that ends a connection whose StartSession is refused again and again."""
    for _ in range(1000):
        try:
            made.run(ERROR)
        except SsmSshError as failure:
            return failure
    raise AssertionError("no end")


def test_a_stopped_instance_is_started_and_its_agent_awaited() -> None:
    world = VirtualWorld("stopped")
    run(world, ALWAYS)
    assert world.starts == 1
    assert world.asked == []
    assert 35.0 <= world.time <= 35.0 + 2 * power.POLL
    assert world.shown == [f"waiting for {INSTANCE} to start", f"{INSTANCE} runs, waiting for its SSM Agent"]
    assert not world.open_line
    assert world.noted is None


def test_one_that_is_stopping_is_started_when_it_has_stopped() -> None:
    world = VirtualWorld("stopping")
    world.stopped_at = 60.0
    run(world, ASK)
    assert world.asked == [f"ssm-ssh: {INSTANCE} is stopping. Start it? [y/N]"]
    assert world.starts == 1
    assert world.time >= 95.0


def test_one_that_starts_already_is_waited_for_without_a_question() -> None:
    world = VirtualWorld("pending")
    world.started_at = 0.0
    run(world, NEVER)
    assert (world.starts, world.asked) == (0, [])


@pytest.mark.parametrize(("wish", "answer"), [(NEVER, True), (ASK, False), (ASK, None)])
@pytest.mark.parametrize("state", ["stopped", "stopping"])
def test_nothing_is_started_that_should_not_be(wish: str, answer: bool | None, state: str) -> None:
    world = VirtualWorld(state)
    world.answer = answer
    with pytest.raises(TargetMissing) as failure:
        run(world, wish)
    assert (failure.value.message, failure.value.hint) == (f"{INSTANCE} is {state} in eu-west-1", "start it")
    assert (failure.value.code, failure.value.operation) == ("TargetNotConnected", "StartSession")
    assert world.starts == 0
    assert world.time == 0.0


@pytest.mark.parametrize("state", ["running", ""])
@pytest.mark.parametrize("wish", [ASK, NEVER, ALWAYS])
def test_where_being_off_is_not_the_cause_the_error_stays(wish: str, state: str) -> None:
    world = VirtualWorld(state)
    with pytest.raises(TargetNotConnected) as failure:
        run(world, wish)
    assert failure.value is ERROR
    assert (world.questions, world.time) == (1, 0.0)


def test_each_call_keeps_its_own_error_then() -> None:
    """A push of the key says that the instance does not exist, where StartSession calls it not connected."""
    made = BringUp(INSTANCE, ASK, VirtualWorld(""))
    for error in (ERROR, TargetMissing("EC2 knows no such instance"), ERROR):
        with pytest.raises(TargetNotConnected) as failure:
            made.run(error)
        assert failure.value is error


def test_the_next_connection_says_since_when_it_is_starting_and_waits() -> None:
    world = VirtualWorld("pending")
    world.started_at, world.noted = -15.0, 4.0
    run(world, NEVER)
    assert world.told == [f"{INSTANCE} has been starting since T+4"]
    assert world.starts == 0
    world = VirtualWorld("running")
    world.started_at, world.noted = -30.0, 0.0
    run(world, ASK)
    assert (world.asked, world.starts) == ([], 0)


def test_a_start_that_came_to_nothing_is_made_again() -> None:
    world = VirtualWorld("stopped")
    world.noted = -60.0
    run(world, ASK)
    assert world.told == []
    assert (len(world.asked), world.starts) == (1, 1)


def test_a_user_who_leaves_ends_the_wait_and_the_start_is_remembered() -> None:
    world = VirtualWorld("stopped")
    world.gone_at = 10.0
    with pytest.raises(SsmSshError, match="not waited for"):
        run(world, ALWAYS)
    assert (world.starts, world.noted) == (1, 0.0)


def test_a_state_that_is_denied_is_unknown_unless_a_start_was_demanded() -> None:
    denied = AccessDenied("ec2:DescribeInstances is denied")
    for wish in (ASK, NEVER):
        world = VirtualWorld("stopped")
        world.failures = [denied]
        with pytest.raises(TargetNotConnected) as failure:
            run(world, wish)
        assert failure.value is ERROR
    world = VirtualWorld("stopped")
    world.failures = [denied]
    with pytest.raises(AccessDenied, match="DescribeInstances"):
        run(world, ALWAYS)
    world.failures = [NetworkError("no network")]
    with pytest.raises(TargetNotConnected) as failure:
        run(world, ALWAYS)
    assert failure.value is ERROR


def test_a_question_that_fails_on_the_way_does_not_end_the_wait() -> None:
    world = VirtualWorld("stopped")
    power_of, count = world.power, [0]

    def sometimes() -> PowerState | None:
        count[0] += 1
        if count[0] in (3, 5):
            raise NetworkError("no network")
        return power_of()

    world.power = sometimes  # type: ignore[method-assign]
    run(world, ALWAYS)
    assert world.starts == 1


@pytest.mark.parametrize("code", ["InsufficientInstanceCapacity", "UnauthorizedOperation"])
def test_a_start_that_is_refused_is_the_error(code: str) -> None:
    world = VirtualWorld("stopped")
    world.refusals = [AwsError("no", code=code)]
    made = BringUp(INSTANCE, ALWAYS, world)
    for _ in range(2):  # all that wait for the same start get the same answer
        with pytest.raises(AwsError) as failure:
            made.run(ERROR)
        assert failure.value.code == code
    assert world.noted is None


def test_one_that_begins_to_stop_before_the_call_is_waited_for() -> None:
    world = VirtualWorld("stopped")
    world.refusals = [AwsError("no", code="IncorrectInstanceState")]
    run(world, ALWAYS)
    assert world.starts == 1


def test_where_only_start_session_can_tell_it_is_tried_again_and_again() -> None:
    world = VirtualWorld("stopped")
    world.unknown = True
    made = BringUp(INSTANCE, ALWAYS, world)
    for _ in range(10):
        made.run(ERROR)
    assert world.starts == 1
    assert world.time >= 10 * power.POLL
    assert "has not connected within" in refused(made).message
    assert world.time < 20.0 + power.AGENT_LIMIT + 4 * power.POLL


def test_systems_manager_may_lag_behind_its_own_word() -> None:
    world = VirtualWorld("stopped")
    made = run(world, ALWAYS)
    ready = world.time
    assert refused(made) is ERROR
    assert ready + bring_up.SETTLING <= world.time <= ready + bring_up.SETTLING + power.POLL


@pytest.mark.parametrize(
    ("wish", "words"), [(ASK, "is not connected"), (ALWAYS, "managed node, which AWS cannot start")]
)
def test_managed_nodes_cannot_be_started(wish: str, words: str) -> None:
    world = VirtualWorld("stopped")
    with pytest.raises(TargetNotConnected, match=words):
        run(world, wish, "mi-0123456789abcdef0")
    assert world.questions == 0


def test_two_threads_start_it_once() -> None:
    world = VirtualWorld("stopped")
    made = BringUp(INSTANCE, ASK, world)
    ended: list[bool] = []

    def call(work: Callable[[TargetNotConnected], None]) -> None:
        work(ERROR)
        ended.append(True)

    threads = [threading.Thread(target=call, args=(made.run,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60.0)
    assert ended == [True, True]
    assert (world.starts, len(world.asked)) == (1, 1)
