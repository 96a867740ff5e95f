"""ssh goes into the background (-f): its stderr is let go at once, and not before."""

from __future__ import annotations

import pytest

from ssm_ssh.relay.states import OVER
from tests.tunnel.virtual_ssh import Stage


def goes_at(stage: Stage, seconds: float) -> None:
    stage.after(seconds, setattr, stage.client, "parent", False)


@pytest.mark.parametrize("reports", [True, False], ids=["the system reports it", "it is looked for"])
def test_stderr_is_let_go_when_ssh_goes_into_the_background(reports: bool) -> None:
    stage = Stage()
    stage.client.reports_parent = reports
    goes_at(stage, 1.0)
    stage.after(60.0, stage.client.end)
    stage.run()
    assert stage.client.released_at is not None
    assert 1.0 <= stage.client.released_at - stage.began < 1.0 + (0.01 if reports else 1.0)
    assert stage.relay.state is OVER
    assert stage.client.parent_fd == -1
    assert "ssh is in the background: its stderr is let go" in stage.log.lines


def test_the_descriptor_alone_is_proof_enough() -> None:
    stage = Stage()
    stage.client.client_is_parent = lambda: True  # type: ignore[method-assign]
    goes_at(stage, 1.0)
    stage.after(10.0, stage.client.end)
    stage.run()
    assert stage.client.released_at is not None
    assert stage.world.turns < 200


@pytest.mark.parametrize("reports", [True, False])
def test_stderr_is_kept_while_ssh_is_in_the_foreground(reports: bool) -> None:
    stage = Stage()
    stage.client.reports_parent = reports
    stage.after(60.0, stage.client.end)
    stage.run()
    assert stage.client.released_at is None
    assert stage.client.parent_fd == -1
    assert stage.world.turns < 300


def test_a_late_departure_is_seen_within_the_longest_wait() -> None:
    """ssh may fork long after the last bytes: where it asks a person, or with ExitOnForwardFailure."""
    stage = Stage()
    stage.client.reports_parent = False
    goes_at(stage, 30.0)
    stage.after(60.0, stage.client.end)
    stage.run()
    assert stage.client.released_at is not None
    assert stage.client.released_at - stage.began <= 35.1


def test_before_the_login_nothing_is_let_go() -> None:
    stage = Stage()
    stage.client.parent = False
    stage.gateway.unreachable = True
    stage.after(5.0, stage.client.end)
    stage.run()
    assert stage.client.released_at is None


def test_a_parent_that_ends_after_the_session_does_not_keep_the_loop_busy() -> None:
    stage = Stage()
    stage.after(1.0, lambda: stage.gateway.sessions[-1].end(""))
    goes_at(stage, 1.5)
    stage.after(60.0, stage.client.end)
    stage.run()
    assert stage.world.turns < 200
