from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ssm_ssh.aws.services.instances import instance_states
from ssm_ssh.errors import ProtocolError

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Calls, FakeAws


def answered(*pairs: tuple[str, str]) -> bytes:
    items = "".join(
        f"<item><instancesSet><item><instanceId>{one}</instanceId><instanceState><code>0</code><name>{state}</name>"
        "</instanceState></item></instancesSet></item>"
        for one, state in pairs
    )
    return f"<R><reservationSet>{items}</reservationSet></R>".encode()


def test_states_are_those_of_the_instances_that_are_known(
    calls: Calls, aws: FakeAws, answer: Callable[..., bytes]
) -> None:
    aws.answers = [answer(200, answered(("i-1", "running"), ("i-2", "terminated"), ("i-9", "running")))]
    assert instance_states(calls.api, ["i-1", "i-2", "i-3"]) == {"i-1": "running", "i-2": "terminated"}
    assert b"Filter.1.Name=instance-id&Filter.1.Value.1=i-1&Filter.1.Value.2=i-2" in aws.requests[0].body


def test_none_and_many_are_asked_for_in_as_few_calls_as_can_be(
    calls: Calls, aws: FakeAws, answer: Callable[..., bytes]
) -> None:
    assert instance_states(calls.api, []) == {}
    assert aws.requests == []
    aws.answers = [answer(200, answered()), answer(200, b"<R><reservationSet/><nextToken/></R>")]
    assert instance_states(calls.api, [f"i-{number}" for number in range(201)]) == {}
    assert len(aws.requests) == 2


def test_all_pages_count(calls: Calls, aws: FakeAws, answer: Callable[..., bytes]) -> None:
    first = answered(("i-1", "running")).replace(b"</R>", b"<nextToken>more</nextToken></R>")
    aws.answers = [answer(200, first), answer(200, answered(("i-2", "stopped")))]
    assert instance_states(calls.api, ["i-1", "i-2"]) == {"i-1": "running", "i-2": "stopped"}
    assert b"NextToken=more" in aws.requests[1].body


@pytest.mark.parametrize(
    "body", [b"<R/>", b"<html><body>Log in</body></html>", b"<R><reservationSet>x</reservationSet></R>"]
)
def test_an_answer_without_a_list_says_of_nothing_that_it_is_gone(
    calls: Calls, aws: FakeAws, answer: Callable[..., bytes], body: bytes
) -> None:
    aws.answers = [answer(200, body)]
    with pytest.raises(ProtocolError):
        instance_states(calls.api, ["i-1"])
