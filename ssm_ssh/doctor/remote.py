"""The target as AWS shows it: the instance, its agent, role and network, and the account's preferences.

Nothing is changed: only Describe, Get, List and Simulate calls are made.
"""

from __future__ import annotations

from ssm_ssh.doctor import instance, network, preferences, role
from ssm_ssh.doctor.answers import Answer, Question, Unseen, ask, not_checked
from ssm_ssh.doctor.finding import Finding, State
from ssm_ssh.startup import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ssm_ssh.aws.api.client import Api
    from ssm_ssh.doctor.instance import Place


class Recorded(NamedTuple):
    """What AWS answered about a target. What was not asked is empty; `elsewhere`: None if not looked for."""

    instance: Mapping[str, Answer]
    elsewhere: Sequence[str] | None = None
    role: Mapping[str, Answer] = {}
    network: Mapping[str, Answer] = {}
    preferences: Mapping[str, Answer] = {}


def collect(
    api: Api, instance_id: str, *, api_in: Callable[[str], Api] | None = None, deadline: float | None = None
) -> Recorded:
    """Ask what is needed about `instance_id`. `api_in` returns the API of another region, where to look for it.

    `deadline` is in seconds of time.monotonic().
    """
    answers = instance.collect(api, instance_id, deadline=deadline)
    known = instance.standing(answers)
    if known.described is None and not known.connected and not known.registered and api_in is not None:
        where = instance.regions(ask(api, Question("regions", "ec2", "DescribeRegions"), deadline=deadline))
        others = [name for name in where if name != api.settings.region]
        elsewhere = instance.search(api_in, others, instance_id, deadline=deadline) if others else None
        return Recorded(answers, elsewhere)
    recorded = Recorded(answers, preferences=preferences.collect(api, deadline=deadline))
    if known.described is None or known.connected or known.state != "running":
        return recorded
    return recorded._replace(
        role=role.collect(api, known.described, deadline=deadline),
        network=network.collect(api, known.described, deadline=deadline),
    )


def check(recorded: Recorded, instance_id: str, place: Place) -> list[Finding]:
    """Return what the recorded answers say, in the order in which causes are to be fixed.

    An agent without a connection is an effect where its role or network is the cause.
    """
    known = instance.standing(recorded.instance)
    found = instance.check(recorded.instance, instance_id, place, elsewhere=recorded.elsewhere)
    if _stops(found, "instance"):
        return found
    last = [item for item in found if item.name in ("agent", "agent version", "activation")]
    found = [item for item in found if item not in last]
    if _stops(found, "status checks"):
        return [*found, *map(_as_effect, last)]
    causes: list[Finding] = []
    if known.described is not None:
        connected = bool(known.connected)
        causes += role.check(known.described, recorded.role, connected=connected)
        causes += network.check(known.described, recorded.network, connected=connected)
    elif known.connected is not True and isinstance(hidden := recorded.instance.get(instance.INSTANCE), Unseen):
        causes += [not_checked(name, hidden) for name in ("role", network.NAME)]
    if any(item.state is State.PROBLEM for item in causes):
        last = [_as_effect(item) if item.name == "agent" else item for item in last]
    return [*found, *causes, *last, *(preferences.check(recorded.preferences) if recorded.preferences else ())]


def _stops(findings: Sequence[Finding], name: str) -> bool:
    return any(item.state is State.PROBLEM and item.name == name for item in findings)


def _as_effect(finding: Finding) -> Finding:
    return finding._replace(state=State.NOTE, todo="") if finding.state is State.PROBLEM else finding
