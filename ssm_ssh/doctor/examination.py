"""The examination of one target: the cheapest checks first, and nothing beyond what keeps all sessions from it."""

from __future__ import annotations

import threading
import time

from ssm_ssh.doctor import caller, causes, remote, rights, way_out
from ssm_ssh.doctor.finding import Finding, State
from ssm_ssh.doctor.instance import Place
from ssm_ssh.errors import SsmSshError
from ssm_ssh.startup import TYPE_CHECKING
from ssm_ssh.values import text_member

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ssm_ssh.aws.api.client import Api
    from ssm_ssh.doctor.answers import Answer

# Seconds for all questions to AWS, however many are repeated.
LIMIT = 20.0


def examine_account(api: Api, *, clock: Callable[[], float] = time.time) -> list[Finding]:
    """Return what is found out about the caller and the way to AWS alone."""
    routes = way_out.begin(api)
    try:
        answer = caller.collect(api, deadline=time.monotonic() + LIMIT)
    except SsmSshError as error:
        return _without_caller(caller.failed(error), way_out.check(routes()))
    found = caller.check(
        answer, expires=api.credentials.get().expires, now=clock(), skew=api.skew or api.clock_difference()
    )
    return [*way_out.check(routes()), *found]


def examine(
    api: Api,
    instance_id: str,
    *,
    document: str,
    api_in: Callable[[str], Api],
    try_session: Callable[[], Finding] | None,
    clock: Callable[[], float] = time.time,
) -> list[Finding]:
    """Return what is found out about the target, in order. `try_session` starts the only session, None: none is wanted.

    Only Describe, Get, List and Simulate calls and a dry run are made, and those of the session.
    """
    deadline = time.monotonic() + LIMIT
    routes = way_out.begin(api)
    try:
        answer = caller.collect(api, deadline=deadline)
    except SsmSshError as error:
        return _without_caller(caller.failed(error), way_out.check(routes()))
    found = caller.check(
        answer, expires=api.credentials.get().expires, now=clock(), skew=api.skew or api.clock_difference()
    )
    allowed: Mapping[str, Answer] = {}

    def ask_rights() -> None:
        nonlocal allowed
        arn = text_member(answer, "Arn")
        allowed = rights.collect(api, arn, instance_id, document=document, deadline=deadline)

    asking = threading.Thread(target=ask_rights, daemon=True)
    asking.start()
    recorded = remote.collect(api, instance_id, api_in=api_in, deadline=deadline)
    asking.join()
    settings = api.settings
    place = Place(settings.region, settings.region, settings.profile or "")
    found += [*way_out.check(routes()), *remote.check(recorded, instance_id, place)]
    if allowed:
        found += rights.check(allowed)
    if try_session is None:
        found.append(Finding("session", State.NOT_CHECKED, "not tried, as --no-session asks"))
    elif _hopeless(found):
        found.append(Finding("session", State.NOT_CHECKED, "not tried, as none can be started"))
    else:
        found = causes.after_session(found, try_session())
    return causes.ordered(found)


def _without_caller(failure: Finding, routes: list[Finding]) -> list[Finding]:
    """Return what is known where AWS has not said who the caller is: one failure of the network is enough."""
    if failure.name != way_out.NAME:
        return [*routes, failure]
    return [item for item in routes if item.state is State.PROBLEM] or [failure]


def _hopeless(findings: list[Finding]) -> bool:
    """Whether the instance or this computer's network keeps every session away, so that one need not be tried."""
    return any(item.state is State.PROBLEM and item.name in ("instance", way_out.NAME) for item in findings)
