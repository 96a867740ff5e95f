"""Search several accounts and regions at the same time, for one instance or for all."""

from __future__ import annotations

import queue
import threading
import time

from ssm_ssh.errors import SsmSshError, TargetNotConnected
from ssm_ssh.startup import TYPE_CHECKING, NamedTuple, TypeVar
from ssm_ssh.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ssm_ssh.aws.api.client import Api
    from ssm_ssh.aws.services.inventory import Inventory, Node
    from ssm_ssh.locate.query import Query
    from ssm_ssh.locate.selection import Scope

    T = TypeVar("T")
    K = TypeVar("K")
else:
    T = TypeVar("T")
    K = TypeVar("K")

# More calls at once would be throttled rather than save time.
_AT_ONCE = 16
# Seconds for a place to tell whether it has the instance: a call, and before it a login that may wait for a person.
_PATIENCE = 60.0


class Answer(NamedTuple):
    """The answer of one place: its instances, or the error that kept it from telling."""

    scope: Scope
    inventory: Inventory | None
    error: SsmSshError | None


class Found(NamedTuple):
    """The instances of one place that a query means, or the error that kept it from telling."""

    scope: Scope
    nodes: list[Node]
    error: SsmSshError | None


def find(scopes: Sequence[Scope], instance_id: str, connect: Callable[[Scope], Api]) -> tuple[Scope, Node]:
    """Return the place whose answer is the first to contain the instance. `connect` makes the Api of a place.

    Raises TargetNotConnected with the answer of every place, or SsmSshError if no place could tell.
    """
    from ssm_ssh.aws.services.inventory import find_node

    deadline = time.monotonic() + _PATIENCE
    outcomes: dict[Scope, str] = {}
    failures: list[SsmSshError] = []

    def look(scope: Scope) -> Node | None:
        return find_node(connect(scope), instance_id, deadline=deadline)

    for scope, node, error in _ask(scopes, look, deadline):
        if node is not None:
            return scope._replace(region=node.region), node
        outcomes[scope] = printable(error.message, 200) if error else "not there"
        if error is not None:
            failures.append(error)
    tried = "; ".join(f"{_named(scope)}: {outcomes.get(scope, 'no answer in time')}" for scope in scopes)
    if len(failures) == len(outcomes):
        hint = failures[0].hint if failures else "Try again; check the network and HTTPS_PROXY"
        raise SsmSshError(f"{instance_id} could not be searched for. Tried {printable(tried, 300)}", hint)
    raise TargetNotConnected(
        f"{instance_id} was not found. Tried {printable(tried, 300)}",
        "Name profile or region in the host name, or add them to the search setting",
        operation="DescribeInstanceInformation",
    )


def everything(
    scopes: Sequence[Scope], tags: Sequence[tuple[str, Sequence[str]]], connect: Callable[[Scope], Api]
) -> list[Answer]:
    """Return the answers of `scopes`, in their order. A place that fails does not affect the others."""
    from ssm_ssh.aws.services.inventory import list_nodes

    answers = {
        scope: Answer(scope, nodes, error)
        for scope, nodes, error in _ask(scopes, lambda scope: list_nodes(connect(scope), tags=tags), None)
    }
    return [answers[scope] for scope in scopes]


def look_up(scopes: Sequence[Scope], query: Query, connect: Callable[[Scope], Api]) -> list[Found]:
    """Return the instances that `query` means in each of `scopes`, in their order; a place may fail by itself."""
    from ssm_ssh.aws.services import lookup
    from ssm_ssh.locate.query import ADDRESS, NAME

    def look(scope: Scope) -> list[Node]:
        api = connect(scope)
        if query.kind == ADDRESS:
            return lookup.nodes_with_address(api, query.values[0])
        if query.kind == NAME:
            return lookup.nodes_with_name(api, query.values[0])
        return lookup.nodes_with_tag(api, query.key, query.values)

    answers = {scope: Found(scope, nodes or [], error) for scope, nodes, error in _ask(scopes, look, None)}
    return [answers[scope] for scope in scopes]


def each(scopes: Sequence[K], ask: Callable[[K], T]) -> list[tuple[K, T | None, SsmSshError | None]]:
    """Return what `ask` returns or raises for each of `scopes`, in their order. It runs in threads."""
    answers = {scope: (scope, answer, error) for scope, answer, error in _ask(scopes, ask, None)}
    return [answers[scope] for scope in scopes]


def _named(scope: Scope) -> str:
    return f"{scope.profile or 'default'} in {scope.region or 'its region'}"


def _ask(
    scopes: Sequence[K], ask: Callable[[K], T], deadline: float | None
) -> Iterator[tuple[K, T | None, SsmSshError | None]]:
    """Ask all `scopes` and yield the answers as they come, until the deadline (in seconds of time.monotonic())."""
    waiting: queue.SimpleQueue[K] = queue.SimpleQueue()
    answers: queue.SimpleQueue[tuple[K, T | None, SsmSshError | BaseException | None]] = queue.SimpleQueue()
    for scope in scopes:
        waiting.put(scope)

    def work() -> None:
        while True:
            try:
                scope = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                answers.put((scope, ask(scope), None))
            except BaseException as error:
                answers.put((scope, None, error))

    for _ in range(min(_AT_ONCE, len(scopes))):
        # Daemon threads, because the process does not wait for the rest once the instance is found.
        threading.Thread(target=work, daemon=True).start()
    for _ in scopes:
        try:
            scope, answer, error = answers.get(
                timeout=None if deadline is None else max(0.0, deadline - time.monotonic())
            )
        except queue.Empty:
            return
        if error is not None and not isinstance(error, SsmSshError):
            raise error
        yield scope, answer, error
