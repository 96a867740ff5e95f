"""Which instances there are: Systems Manager knows agents and platforms, EC2 knows tags and states.

https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_DescribeInstanceInformation.html
https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeInstances.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from ssm_ssh.aws.services.platform_users import default_user
from ssm_ssh.errors import AccessDenied, AwsError, ProtocolError, SsmSshError
from ssm_ssh.names import is_instance_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from threading import Thread

    from ssm_ssh.aws.api.client import Api

# The most that the services give in one answer.
_SSM_PAGE, _EC2_PAGE = 50, 1000
# A service that hands out tokens without end is broken; this is 100,000 instances.
_PAGES = 2000
# Seconds that EC2 may stay silent once Systems Manager has answered: until its first page, and between two pages, which
# throttling keeps apart. It only tells names, which are not worth a longer wait.
_FIRST_SILENCE, _SILENCE = 8.0, 30.0
# EC2's words for instances that are gone or about to be: their tags must not name anything any more.
_GONE = frozenset({"terminated", "shutting-down"})


class Node(NamedTuple):
    """An instance with an agent. What AWS did not tell is empty.

    `name`: the Name tag, or for a managed node what its activation calls it. `state` is EC2's word ("" for `mi-`),
    `ping` Systems Manager's: Online, ConnectionLost or Inactive. `user` is the platform's usual one.
    """

    instance_id: str
    name: str
    platform: str
    user: str
    agent_version: str
    ping: str
    address: str
    state: str
    profile: str
    region: str


class Found(NamedTuple):
    """The instances of one `profile` in one `region`; `nameless`: why EC2 told no names, "" where it did."""

    nodes: list[Node]
    nameless: str
    profile: str = ""
    region: str = ""


def nodes(api: Api, *, tags: Sequence[tuple[str, Sequence[str]]] = ()) -> Found:
    """Return the instances that Systems Manager knows, those alone that have all `tags` (key, accepted values).

    No values: any. Both services are asked at the same time. Raises what Api.call raises for Systems Manager; an EC2
    that denies, fails or stays silent only costs the names.
    """
    import threading

    pages: list[list[dict[str, Any]]] = []
    failure: list[Exception] = []

    def ask_ec2() -> None:
        try:
            pages.extend(_instances(api))
        except Exception as error:
            failure.append(error)

    ec2 = threading.Thread(target=ask_ec2, daemon=True)
    ec2.start()
    infos = list(_informations(api, [_tag_filter(key, values) for key, values in tags]))
    nameless = "" if _finished(ec2, lambda: len(pages)) else "EC2 does not answer DescribeInstances in time"
    if failure:
        if not isinstance(failure[0], SsmSshError):
            raise failure[0]
        nameless = failure[0].message
    described = {instance["instanceId"]: instance for page in list(pages) for instance in page}
    profile, region = api.settings.profile or "", api.settings.region
    listed = []
    for info in infos:
        instance = described.get(_text(info, "InstanceId"), {})
        state = _text(_part(instance, "instanceState"), "name")
        hybrid = _text(info, "InstanceId").startswith("mi-")
        unknown = bool(nameless) and not instance
        if hybrid or unknown or (instance and state not in _GONE):
            listed.append(_node(info, instance, state=state, profile=profile, region=region))
    return Found(listed, nameless, profile, region)


def _finished(thread: Thread, progress: Callable[[], int]) -> bool:
    """Wait for `thread` while `progress` goes on; return whether it has ended."""
    while True:
        before = progress()
        thread.join(_SILENCE if before else _FIRST_SILENCE)
        if not thread.is_alive():
            return True
        if progress() == before:
            return False


def knows(api: Api, instance_id: str, *, deadline: float | None = None) -> Node | None:
    """Return the instance if Systems Manager knows it here, with its platform alone; None if not.

    Where describing is denied, a connected agent is found by GetConnectionStatus; of another it is not known whether
    it is here, which is the denial again. Raises what Api.call raises, and ProtocolError for an answer without a list.
    """
    payload = {"Filters": [{"Key": "InstanceIds", "Values": [instance_id]}]}
    try:
        answer = api.call("ssm", "DescribeInstanceInformation", payload, target=instance_id, deadline=deadline)
    except AccessDenied as error:
        status = api.call("ssm", "GetConnectionStatus", {"Target": instance_id}, target=instance_id, deadline=deadline)
        if status.get("Status") != "connected":
            message = f"{error.message}, and no agent of it is connected"
            raise AccessDenied(
                message, error.hint, code=error.code, operation=error.operation, status=error.status
            ) from None
        answer = {"InstanceInformationList": [{"InstanceId": instance_id}]}
    except AwsError as error:
        # What some versions of the service say of an id that they do not know.
        if error.code.startswith(("InvalidInstanceId", "InvalidFilterValue")):
            return None
        raise
    profile, region = api.settings.profile or "", api.settings.region
    for info in _list(answer, "InstanceInformationList", "DescribeInstanceInformation"):
        if info.get("InstanceId") == instance_id:
            return _node(info, {}, state="", profile=profile, region=region)
    return None


def _informations(api: Api, filters: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    payload: dict[str, Any] = {"MaxResults": _SSM_PAGE}
    if filters:
        payload["Filters"] = filters
    for answer in _pages(api, "ssm", "DescribeInstanceInformation", payload, "NextToken"):
        for info in _list(answer, "InstanceInformationList", "DescribeInstanceInformation"):
            if is_instance_id(_text(info, "InstanceId")):
                yield info


def _instances(api: Api) -> Iterator[list[dict[str, Any]]]:
    """Return the instances page by page."""
    for answer in _pages(api, "ec2", "DescribeInstances", {"MaxResults": _EC2_PAGE}, "nextToken"):
        yield [
            instance
            for reservation in _list(answer, "reservationSet", "DescribeInstances")
            for instance in _dicts(reservation.get("instancesSet"))
            if is_instance_id(_text(instance, "instanceId"))
        ]


def _pages(api: Api, service: str, operation: str, payload: dict[str, Any], token: str) -> Iterator[dict[str, Any]]:
    seen = set()
    for _ in range(_PAGES):
        answer = api.call(service, operation, payload)
        yield answer
        following = answer.get(token)
        if not following:
            return
        if not isinstance(following, str) or following in seen:
            break
        seen.add(following)
        payload = {**payload, "NextToken": following}
    raise ProtocolError(f"{operation} gives pages without end", "Check the endpoint URL")


def _tag_filter(key: str, values: Iterable[str]) -> dict[str, Any]:
    accepted = list(values)
    return {"Key": f"tag:{key}", "Values": accepted} if accepted else {"Key": "tag-key", "Values": [key]}


def _node(info: dict[str, Any], instance: dict[str, Any], *, state: str, profile: str, region: str) -> Node:
    names = [_text(one, "value") for one in _dicts(instance.get("tagSet")) if one.get("key") == "Name"]
    platform = _text(info, "PlatformName")
    return Node(
        instance_id=_text(info, "InstanceId"),
        name=names[0] if names else _text(info, "Name"),
        platform=f"{platform} {_text(info, 'PlatformVersion')}".strip(),
        user=default_user(platform),
        agent_version=_text(info, "AgentVersion"),
        ping=_text(info, "PingStatus"),
        address=_text(info, "IPAddress") or _text(instance, "privateIpAddress"),
        state=state,
        profile=profile,
        region=region,
    )


def _list(answer: dict[str, Any], name: str, operation: str) -> list[dict[str, Any]]:
    """Return the list `name`, which AWS always sends: without it, an answer says nothing of what there is."""
    if not isinstance(answer.get(name), list):
        raise ProtocolError(f"the answer to {operation} holds no {name}", "Check the endpoint URL and the proxy")
    return _dicts(answer[name])


def _dicts(value: object) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _part(value: dict[str, Any], name: str) -> dict[str, Any]:
    found = value.get(name)
    return found if isinstance(found, dict) else {}


def _text(value: dict[str, Any], name: str) -> str:
    found = value.get(name)
    return found if isinstance(found, str) else ""
