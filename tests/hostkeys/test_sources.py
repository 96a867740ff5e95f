"""How the sources report."""

from __future__ import annotations

import pytest

from ssm_ssh.errors import (
    AccessDenied,
    CommandTimedOut,
    NetworkError,
    Throttled,
)
from ssm_ssh.hostkeys import console, instance_files
from ssm_ssh.hostkeys.sources import (
    AMBIGUOUS,
    COMMAND,
    CONSOLE,
    DENIED,
    EMPTY,
    FAILED,
    REPORTED,
    Report,
    aws_sources,
    reasons,
)
from ssm_ssh.ssh.hostkey import Shown
from tests.hostkeys.fakes import (
    INSTANCE,
    KEY,
    NODE,
)


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        (Shown(frozenset({KEY})), REPORTED),
        (Shown(frozenset()), EMPTY),
        (Shown(frozenset(), "odd"), AMBIGUOUS),
        (AccessDenied("no"), DENIED),
        (Throttled("slow"), FAILED),
        (NetworkError("away"), FAILED),
        (CommandTimedOut("late"), FAILED),
    ],
)
def test_how_sources_answer(outcome: Shown | Exception, status: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(*_args: object, **_limits: object) -> Shown:
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    monkeypatch.setattr(console, "host_keys", answer)
    monkeypatch.setattr(instance_files, "host_keys", answer)
    sources = aws_sources(lambda: None, INSTANCE)
    for call, source in ((sources.console, CONSOLE), (sources.command, COMMAND)):
        assert call is not None
        answered = call()
        assert (answered.source, answered.status) == (source, status)
        assert bool(answered.reason) == (status != REPORTED)


def test_managed_nodes_have_no_console() -> None:
    assert aws_sources(lambda: None, NODE).console is None


def test_a_forbidden_command_counts_as_denied_and_an_unneeded_one_as_failed() -> None:
    sources = aws_sources(lambda: pytest.fail("it called"), INSTANCE, commands=False)
    assert sources.command is not None
    assert sources.command().status == DENIED
    sources = aws_sources(lambda: pytest.fail("it called"), INSTANCE, still_wanted=lambda: False)
    assert sources.command is not None
    assert sources.command().status == FAILED


def test_a_long_denial_is_not_cut() -> None:
    arn = f"arn:aws:ec2:eu-central-1:123456789012:instance/{INSTANCE}"
    why = f"ec2:GetConsoleOutput is not allowed on {arn}: no permissions boundary allows it"
    place = ", in eu-central-1 (profile 'default')"
    assert why in reasons([Report(CONSOLE, DENIED, reason=why + place)])
