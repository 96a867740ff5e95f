"""Which session takes a connection, when others are started, and what an ended session means."""

from __future__ import annotations

from typing import Any

import pytest

from ssm_ssh.errors import AccessDenied, NetworkError, SessionEnded
from ssm_ssh.forward.pool import Pool
from ssm_ssh.mux.unread import Total
from ssm_ssh.relay.states import CLOSING, ONLINE, OVER


class FakeLocal:
    def __init__(self) -> None:
        self.was_reset = False

    def reset(self) -> None:
        self.was_reset = True


class FakeSession:
    """A handler and its relay in one."""

    def __init__(self) -> None:
        self.state = ONLINE
        self.begun_at: float | None = None
        self.several = True
        self.forbidden = False
        self.ranked = (False, False, 0)
        self.taken: list[Any] = []
        self.blocks = False

    @property
    def begun(self) -> bool:
        return self.begun_at is not None

    def accepts(self) -> bool:
        return self.begun

    def rank(self, now: float) -> tuple[bool, bool, int]:
        return self.ranked

    def useless(self, now: float) -> bool:
        return self.blocks

    def take(self, local: Any, now: float) -> None:  # noqa: ANN401
        self.taken.append(local)

    def begin(self) -> None:
        pass

    def close(self, now: float) -> None:
        self.state = CLOSING


class Stage:
    def __init__(self, most: int = 2) -> None:
        self.now = 100.0
        self.told: list[str] = []
        self.made: list[FakeSession] = []
        self.pool = Pool(
            self.assemble,
            Total(),
            self.told.append,
            destination="db:5432",
            remote=True,
            most=most,
            hold=10.0,
            random=lambda: 0.5,
            clock=lambda: self.now,
        )

    def assemble(self, pool: Pool, make: object) -> Any:  # noqa: ANN401
        self.made.append(FakeSession())
        return self.made[-1]

    def ready(self, number: int) -> FakeSession:
        session = self.made[number]
        session.begun_at = self.now
        self.pool.ready(session, self.now)  # type: ignore[arg-type]
        return session

    def offer(self) -> FakeLocal:
        local = FakeLocal()
        self.pool.offer(local, self.now)  # type: ignore[arg-type]
        return local

    def after(self, seconds: float) -> None:
        self.now += seconds
        self.pool.turn(self.now)


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    stage = Stage()

    def start() -> None:
        from ssm_ssh.forward.pool import Assembly

        session: Any = stage.assemble(stage.pool, None)
        stage.pool.sessions.append(Assembly(session, session))

    monkeypatch.setattr(stage.pool, "start", start)
    stage.pool.start()
    return stage


def test_a_free_session_takes_a_connection_at_once(stage: Stage) -> None:
    session = stage.ready(0)
    local = stage.offer()
    assert session.taken == [local]
    assert len(stage.made) == 1


def test_a_busy_session_is_shared_only_until_another_is_there(stage: Stage) -> None:
    first = stage.ready(0)
    first.ranked = (False, True, 1)
    local = stage.offer()
    assert first.taken == []
    assert len(stage.made) == 2
    second = stage.ready(1)
    stage.after(0.3)
    assert second.taken == [local]


def test_a_session_that_starts_slowly_is_not_waited_for(stage: Stage) -> None:
    first = stage.ready(0)
    first.ranked = (False, True, 1)
    local = stage.offer()
    stage.after(1.5)
    assert first.taken == [local]


def test_a_blocked_session_is_avoided_and_replaced_when_nothing_uses_it(stage: Stage) -> None:
    first = stage.ready(0)
    first.ranked, first.blocks = (True, False, 0), True
    stage.offer()
    second = stage.ready(1)
    second.ranked = (False, True, 3)
    stage.after(0.1)
    assert first.state is CLOSING
    third = stage.ready(2)
    stage.after(0.1)
    assert len(third.taken) == 1
    assert second.taken == []


def test_connections_wait_for_the_first_session_and_not_for_ever(stage: Stage) -> None:
    local = stage.offer()
    stage.after(59.0)
    assert not local.was_reset
    stage.after(2.0)
    assert local.was_reset
    assert "no session to db:5432" in stage.told[-1]


def test_an_ended_session_is_replaced_by_the_next_connection(stage: Stage) -> None:
    first = stage.ready(0)
    stage.pool.failed(first, SessionEnded("the idle limit ended it"))  # type: ignore[arg-type]
    first.state = OVER
    stage.after(1.0)
    assert len(stage.made) == 1
    assert "the idle limit ended it. The next connection to db:5432 starts another session" in stage.told
    local = stage.offer()
    assert len(stage.made) == 2
    second = stage.ready(1)
    stage.after(0.1)
    assert second.taken == [local]


def test_a_lost_network_is_tried_again_while_connections_wait(stage: Stage) -> None:
    first = stage.ready(0)
    first.state = OVER
    local = stage.offer()
    stage.pool.failed(stage.made[1], NetworkError("no route"))  # type: ignore[arg-type]
    stage.made[1].state = OVER
    stage.after(0.1)
    assert len(stage.made) == 2
    stage.after(1.0)
    assert len(stage.made) == 3
    assert not local.was_reset


def test_a_denial_resets_what_waits_and_is_told(stage: Stage) -> None:
    first = stage.ready(0)
    first.state = OVER
    local = stage.offer()
    stage.pool.failed(stage.made[1], AccessDenied("StartSession is denied"))  # type: ignore[arg-type]
    assert local.was_reset
    assert "StartSession is denied" in stage.told[-1]
    assert stage.pool.last_failed
    stage.ready(1)
    assert not stage.pool.last_failed


def test_the_first_error_and_a_forbidden_destination_are_the_forwards(stage: Stage) -> None:
    error = NetworkError("no route")
    stage.pool.failed(stage.made[0], error)  # type: ignore[arg-type]
    assert stage.pool.fatal is error
    other = SessionEnded("refused")
    session = stage.ready(0)
    session.forbidden = True
    stage.pool.failed(session, other)  # type: ignore[arg-type]
    assert stage.pool.fatal is other


def test_an_old_agent_is_told_of_once(stage: Stage) -> None:
    stage.made[0].several = False
    stage.ready(0)
    stage.ready(0)
    assert [line for line in stage.told if "one connection at a time" in line] == stage.told


def test_the_end_resets_what_waits_and_ends_all_sessions(stage: Stage) -> None:
    local = stage.offer()
    stage.pool.close(stage.now)
    assert local.was_reset
    assert stage.made[0].state is CLOSING
    stage.pool.failed(stage.ready(0), SessionEnded("later"))  # type: ignore[arg-type]
    assert stage.told == []
    assert stage.pool.timer(stage.now) is None
