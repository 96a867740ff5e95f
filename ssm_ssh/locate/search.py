"""Looking in several accounts and regions at the same time: for one instance, or for all there are."""

from __future__ import annotations

import queue
import threading
import time
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from ssm_ssh.errors import SsmSshError, TargetNotConnected
from ssm_ssh.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ssm_ssh.aws.api.client import Api
    from ssm_ssh.aws.services.inventory import Inventory, Node
    from ssm_ssh.locate.selection import Spot

    T = TypeVar("T")
else:
    T = TypeVar("T")

# More than this at once would rather meet throttling than save time.
_AT_ONCE = 16
# Seconds that a place may take to say whether it has the instance: a call, and before it a login that may ask a person.
_PATIENCE = 60.0


class Answer(NamedTuple):
    """What one place said: its instances, or why it could not tell."""

    spot: Spot
    found: Inventory | None
    error: SsmSshError | None


def find(spots: Sequence[Spot], instance_id: str, connect: Callable[[Spot], Api]) -> tuple[Spot, Node]:
    """Return the first of `spots` that knows the instance, whoever answers first. `connect` makes a spot's Api.

    Raises TargetNotConnected that names every place and what it said; where no place could tell, SsmSshError.
    """
    from ssm_ssh.aws.services.inventory import find_node

    deadline = time.monotonic() + _PATIENCE
    said: dict[Spot, str] = {}
    failures: list[SsmSshError] = []
    for spot, node, error in _ask(spots, lambda one: find_node(connect(one), instance_id, deadline=deadline), deadline):
        if node is not None:
            return spot._replace(region=node.region), node
        said[spot] = printable(error.message, 200) if error else "not there"
        if error is not None:
            failures.append(error)
    tried = "; ".join(f"{_named(one)}: {said.get(one, 'no answer in time')}" for one in spots)
    if len(failures) == len(said):
        hint = failures[0].hint if failures else "Try again; check the network and HTTPS_PROXY"
        raise SsmSshError(f"{instance_id} could not be searched for. Tried {printable(tried, 300)}", hint)
    raise TargetNotConnected(
        f"{instance_id} was not found. Tried {printable(tried, 300)}",
        "Name profile or region in the host name, or add them to the search setting",
        operation="DescribeInstanceInformation",
    )


def everything(
    spots: Sequence[Spot], tags: Sequence[tuple[str, Sequence[str]]], connect: Callable[[Spot], Api]
) -> list[Answer]:
    """Return what each of `spots` answers, in their order; a place that fails does not spoil the others."""
    from ssm_ssh.aws.services.inventory import list_nodes

    answers = {
        spot: Answer(spot, found, error)
        for spot, found, error in _ask(spots, lambda one: list_nodes(connect(one), tags=tags), None)
    }
    return [answers[one] for one in spots]


def _named(spot: Spot) -> str:
    return f"{spot.profile or 'default'} in {spot.region or 'its region'}"


def _ask(
    spots: Sequence[Spot], ask: Callable[[Spot], T], deadline: float | None
) -> Iterator[tuple[Spot, T | None, SsmSshError | None]]:
    """Ask all `spots`, and give the answers as they come, until the deadline (in time.monotonic()'s seconds)."""
    waiting: queue.SimpleQueue[Spot] = queue.SimpleQueue()
    answers: queue.SimpleQueue[tuple[Spot, T | None, SsmSshError | BaseException | None]] = queue.SimpleQueue()
    for one in spots:
        waiting.put(one)

    def work() -> None:
        while True:
            try:
                spot = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                answers.put((spot, ask(spot), None))
            except BaseException as error:
                answers.put((spot, None, error))

    for _ in range(min(_AT_ONCE, len(spots))):
        # Daemons: whoever has found what was looked for does not wait for the rest.
        threading.Thread(target=work, daemon=True).start()
    for _ in spots:
        try:
            spot, found, error = answers.get(
                timeout=None if deadline is None else max(0.0, deadline - time.monotonic())
            )
        except queue.Empty:
            return
        if error is not None and not isinstance(error, SsmSshError):
            raise error
        yield spot, found, error
