"""The instances of a region: Systems Manager knows agents and platforms, EC2 knows tags and states.

https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_DescribeInstanceInformation.html
https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeInstances.html
"""

from __future__ import annotations

from ssm_ssh.aws.services.instances import instance_pages, state_of
from ssm_ssh.aws.services.paging import items, pages
from ssm_ssh.aws.services.platform_users import default_user
from ssm_ssh.errors import AccessDenied, AwsError, SsmSshError
from ssm_ssh.names import is_instance_id
from ssm_ssh.startup import TYPE_CHECKING, NamedTuple
from ssm_ssh.values import objects_member, text_member

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from threading import Thread
    from typing import Any

    from ssm_ssh.aws.api.client import Api

_DESCRIBE, _NODES = "DescribeInstanceInformation", "InstanceInformationList"
# The largest page of DescribeInstanceInformation.
_PAGE_SIZE = 50
# Seconds that EC2 may stay silent once Systems Manager has answered: before its first page, and between two pages,
# which throttling can delay. EC2 adds only names and states, which are not worth a longer wait.
_FIRST_SILENCE, _SILENCE = 8.0, 30.0
# EC2's words for instances that no longer run and never will: their tags must not name anything.
GONE = frozenset({"terminated", "shutting-down"})


class Node(NamedTuple):
    """An instance with an agent. A member is empty where AWS did not report it.

    `name` is the Name tag, or for a managed node the name in its activation. `state` is EC2's word ("" for `mi-`),
    `ping` Systems Manager's: Online, ConnectionLost or Inactive. `user` is the platform's default user.
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


class Inventory(NamedTuple):
    """The instances of one `profile` in one `region`; `names_error` says why EC2 gave no names, "" if it did."""

    nodes: list[Node]
    names_error: str
    profile: str = ""
    region: str = ""


def list_nodes(api: Api, *, tags: Sequence[tuple[str, Sequence[str]]] = ()) -> Inventory:
    """Return the instances that Systems Manager knows and that have all `tags` (key, accepted values; none: any).

    Both services are asked at the same time. Raises what Api.call raises for Systems Manager, and ProtocolError. An
    EC2 that denies, fails or stays silent costs only the names.
    """
    import threading

    ec2_pages: list[list[dict[str, Any]]] = []
    failure: list[Exception] = []

    def ask_ec2() -> None:
        try:
            ec2_pages.extend(instance_pages(api))
        except Exception as error:
            failure.append(error)

    ec2 = threading.Thread(target=ask_ec2, daemon=True)
    ec2.start()
    infos = list(node_infos(api, [tag_filter(key, values) for key, values in tags]))
    names_error = "" if _finished(ec2, lambda: len(ec2_pages)) else "EC2 does not answer DescribeInstances in time"
    if failure:
        if not isinstance(failure[0], SsmSshError):
            raise failure[0]
        names_error = failure[0].message
    described = {text_member(instance, "instanceId"): instance for page in list(ec2_pages) for instance in page}
    profile, region = api.settings.profile or "", api.settings.region
    nodes = []
    for info in infos:
        instance_id = text_member(info, "InstanceId")
        instance = described.get(instance_id, {})
        state = state_of(instance)
        unknown = bool(names_error) and not instance
        if instance_id.startswith("mi-") or unknown or (instance and state not in GONE):
            nodes.append(node_of(info, instance, state=state, profile=profile, region=region))
    return Inventory(nodes, names_error, profile, region)


def _finished(thread: Thread, progress: Callable[[], int]) -> bool:
    """Wait for `thread` as long as `progress` grows; return whether it has ended."""
    while True:
        before = progress()
        thread.join(_SILENCE if before else _FIRST_SILENCE)
        if not thread.is_alive():
            return True
        if progress() == before:
            return False


def find_node(api: Api, instance_id: str, *, deadline: float | None = None) -> Node | None:
    """Return the instance with its platform if Systems Manager knows it here, else None.

    Where describing is denied, GetConnectionStatus tells whether an agent is connected; if none is, the denial is
    raised, because the instance may still exist here. Raises what Api.call raises, and ProtocolError.
    """
    payload = {"Filters": [{"Key": "InstanceIds", "Values": [instance_id]}]}
    try:
        answer = api.call("ssm", _DESCRIBE, payload, target=instance_id, deadline=deadline)
    except AccessDenied as error:
        status = api.call("ssm", "GetConnectionStatus", {"Target": instance_id}, target=instance_id, deadline=deadline)
        if status.get("Status") != "connected":
            message = f"{error.message}, and its agent is not connected"
            raise AccessDenied(
                message, error.hint, code=error.code, operation=error.operation, status=error.status
            ) from None
        answer = {_NODES: [{"InstanceId": instance_id}]}
    except AwsError as error:
        # Some versions of the service refuse an id that they do not know.
        if error.code.startswith(("InvalidInstanceId", "InvalidFilterValue")):
            return None
        raise
    profile, region = api.settings.profile or "", api.settings.region
    for info in items(answer, _NODES, _DESCRIBE):
        if info.get("InstanceId") == instance_id:
            return node_of(info, {}, state="", profile=profile, region=region)
    return None


def node_infos(api: Api, filters: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield what Systems Manager says about each instance that passes all `filters`. Raises what Api.call raises."""
    payload: dict[str, Any] = {"MaxResults": _PAGE_SIZE}
    if filters:
        payload["Filters"] = filters
    for answer in pages(api, "ssm", _DESCRIBE, payload, "NextToken"):
        for info in items(answer, _NODES, _DESCRIBE):
            if is_instance_id(text_member(info, "InstanceId")):
                yield info


def tag_filter(key: str, values: Iterable[str]) -> dict[str, Any]:
    """Return the filter for a tag with one of `values` (none: any)."""
    accepted = list(values)
    return {"Key": f"tag:{key}", "Values": accepted} if accepted else {"Key": "tag-key", "Values": [key]}


def node_of(info: dict[str, Any], instance: dict[str, Any], *, state: str, profile: str, region: str) -> Node:
    """Return an instance from what Systems Manager (`info`) and EC2 (`instance`, perhaps empty) say about it."""
    names = [text_member(tag, "value") for tag in objects_member(instance, "tagSet") if tag.get("key") == "Name"]
    platform = text_member(info, "PlatformName")
    return Node(
        instance_id=text_member(info, "InstanceId"),
        name=names[0] if names else text_member(info, "Name"),
        platform=f"{platform} {text_member(info, 'PlatformVersion')}".strip(),
        user=default_user(platform),
        agent_version=text_member(info, "AgentVersion"),
        ping=text_member(info, "PingStatus"),
        address=text_member(info, "IPAddress") or text_member(instance, "privateIpAddress"),
        state=state,
        profile=profile,
        region=region,
    )
