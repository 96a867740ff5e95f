"""Which instances there are: Systems Manager knows agents and platforms, EC2 knows tags and states.

https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_DescribeInstanceInformation.html
https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeInstances.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from ssm_ssh.errors import AccessDenied, AwsError, ProtocolError
from ssm_ssh.target import is_instance_id
from ssm_ssh.users import default_user

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ssm_ssh.aws.api import Api

# The most that the services give in one answer.
_SSM_PAGE, _EC2_PAGE = 50, 1000
# A service that hands out tokens without end is broken; this is 100,000 instances.
_PAGES = 2000
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
    """The instances of one profile in one region; `nameless`: why EC2 told no names, "" where it did."""

    nodes: list[Node]
    nameless: str


def nodes(api: Api, *, tags: Sequence[tuple[str, Sequence[str]]] = ()) -> Found:
    """Return the instances that Systems Manager knows, those alone that have all `tags` (key, accepted values).

    No values: any. Both services are asked at the same time. Raises what Api.call raises; a denied DescribeInstances
    only costs the names.
    """
    import threading

    described: dict[str, dict[str, Any]] = {}
    failure: list[Exception] = []

    def ask_ec2() -> None:
        try:
            described.update((one["instanceId"], one) for one in _instances(api))
        except Exception as error:
            failure.append(error)

    beside = threading.Thread(target=ask_ec2, daemon=True)
    beside.start()
    infos = list(_informations(api, [_tag_filter(key, values) for key, values in tags]))
    beside.join()
    if failure and not isinstance(failure[0], AccessDenied):
        raise failure[0]
    nameless = failure[0].message if failure and isinstance(failure[0], AccessDenied) else ""
    profile, region = api.settings.profile or "", api.settings.region
    found = []
    for info in infos:
        instance = described.get(_text(info, "InstanceId"), {})
        state = _text(_part(instance, "instanceState"), "name")
        hybrid = _text(info, "InstanceId").startswith("mi-")
        if hybrid or nameless or (instance and state not in _GONE):
            found.append(_node(info, instance, state=state, profile=profile, region=region))
    return Found(found, nameless)


def knows(api: Api, instance_id: str, *, deadline: float | None = None) -> Node | None:
    """Return the instance if Systems Manager knows it here, with its platform alone; None if not.

    Where describing is denied, a connected agent is found by GetConnectionStatus. Raises what Api.call raises.
    """
    payload = {"Filters": [{"Key": "InstanceIds", "Values": [instance_id]}]}
    try:
        answer = api.call("ssm", "DescribeInstanceInformation", payload, target=instance_id, deadline=deadline)
    except AccessDenied:
        status = api.call("ssm", "GetConnectionStatus", {"Target": instance_id}, target=instance_id, deadline=deadline)
        if status.get("Status") != "connected":
            return None
        answer = {"InstanceInformationList": [{"InstanceId": instance_id}]}
    except AwsError as error:
        # What some versions of the service say of an id that they do not know.
        if error.code.startswith(("InvalidInstanceId", "InvalidFilterValue")):
            return None
        raise
    profile, region = api.settings.profile or "", api.settings.region
    for info in _dicts(answer.get("InstanceInformationList")):
        if info.get("InstanceId") == instance_id:
            return _node(info, {}, state="", profile=profile, region=region)
    return None


def _informations(api: Api, filters: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    payload: dict[str, Any] = {"MaxResults": _SSM_PAGE}
    if filters:
        payload["Filters"] = filters
    for answer in _pages(api, "ssm", "DescribeInstanceInformation", payload, "NextToken"):
        for one in _dicts(answer.get("InstanceInformationList")):
            if is_instance_id(_text(one, "InstanceId")):
                yield one


def _instances(api: Api) -> Iterator[dict[str, Any]]:
    for answer in _pages(api, "ec2", "DescribeInstances", {"MaxResults": _EC2_PAGE}, "nextToken"):
        for reservation in _dicts(answer.get("reservationSet")):
            for one in _dicts(reservation.get("instancesSet")):
                if is_instance_id(_text(one, "instanceId")):
                    yield one


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


def _dicts(value: object) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _part(value: dict[str, Any], name: str) -> dict[str, Any]:
    found = value.get(name)
    return found if isinstance(found, dict) else {}


def _text(value: dict[str, Any], name: str) -> str:
    found = value.get(name)
    return found if isinstance(found, str) else ""
