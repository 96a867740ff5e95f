"""The instance itself: where it is, its state and checks, and whether Systems Manager has its agent."""

from __future__ import annotations

from ssm_ssh.aws.config.cli_hint import start_instance
from ssm_ssh.doctor.answers import Answer, Question, Unseen, ask_all, not_checked
from ssm_ssh.doctor.finding import Finding, State
from ssm_ssh.startup import TYPE_CHECKING, NamedTuple
from ssm_ssh.text import printable
from ssm_ssh.values import object_member, objects_member, text_member

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from ssm_ssh.aws.api.client import Api

INSTANCE, STATUS, INFORMATION, CONNECTION = "instance", "status", "information", "connection"
TIER, HOST_MANAGEMENT, ACTIVATION = "tier", "host management", "activation"
_TIER_ID = "/ssm/managed-instance/activation-tier"
HOST_MANAGEMENT_ID = "/ssm/managed-instance/default-ec2-instance-management-role"
# What EC2 answers for an instance that the account does not have in the region.
_UNKNOWN = ("InvalidInstanceID.NotFound", "InvalidInstanceID.Malformed")
# The oldest agents that know what a feature needs, by the agent's release notes.
# https://github.com/aws/amazon-ssm-agent/blob/mainline/RELEASENOTES.md
VERSIONS = (
    ("sessions", "2.3.68.0"),
    ("ssh", "2.3.672.0"),
    ("exec", "3.0.1124.0"),
    ("exec with stdout and stderr apart", "3.1.1511.0"),
    ("forward to another host", "3.1.1374.0"),
)
# A session of any kind needs this one, ssh and forwards the next.
_NEEDED = ("2.3.68.0", "2.3.672.0")


class Place(NamedTuple):
    """Where the target is looked for: `words` for people; `profile` "" for keys of the environment."""

    words: str
    region: str
    profile: str = ""


class Standing(NamedTuple):
    """What is known of an instance: `described` by EC2 (None: it is not seen, or a managed node), and its agent.

    `connected`, `registered`: True, False, or None where that could not be seen.
    """

    described: dict[str, Any] | None
    connected: bool | None
    registered: bool | None

    @property
    def state(self) -> str:
        """EC2's word for its state, "" where it is not known."""
        return text_member(object_member(self.described or {}, "instanceState"), "name")


def questions(instance_id: str) -> list[Question]:
    """Return what to ask about `instance_id`: an instance of EC2, or a managed node (mi-...)."""
    keyed = [{"Key": "InstanceIds", "Values": [instance_id]}]
    asked = [
        Question(CONNECTION, "ssm", "GetConnectionStatus", {"Target": instance_id}),
        Question(INFORMATION, "ssm", "DescribeInstanceInformation", {"Filters": keyed}),
    ]
    if instance_id.startswith("mi-"):
        return [*asked, Question(TIER, "ssm", "GetServiceSetting", {"SettingId": _TIER_ID})]
    ids = {"InstanceId": [instance_id]}
    return [
        *asked,
        Question(INSTANCE, "ec2", "DescribeInstances", ids),
        Question(STATUS, "ec2", "DescribeInstanceStatus", {**ids, "IncludeAllInstances": True}),
    ]


def collect(api: Api, instance_id: str, *, deadline: float | None = None) -> dict[str, Answer]:
    """Return AWS's answers about `instance_id`."""
    answers = ask_all(api, questions(instance_id), deadline=deadline)
    node = _information(answers.get(INFORMATION))
    activation = text_member(node or {}, "ActivationId")
    if activation:
        filters = [{"FilterKey": "ActivationIds", "FilterValues": [activation]}]
        more = Question(ACTIVATION, "ssm", "DescribeActivations", {"Filters": filters})
        answers |= ask_all(api, [more], deadline=deadline)
    return answers


def search(
    api_in: Callable[[str], Api], regions: Sequence[str], instance_id: str, *, deadline: float | None = None
) -> list[str]:
    """Return those of `regions` in which the account has `instance_id`. `api_in` returns the API of a region."""
    from concurrent.futures import ThreadPoolExecutor

    from ssm_ssh.doctor.answers import ask

    wanted = [{"Name": "instance-id", "Value": [instance_id]}]
    question = Question(INSTANCE, "ec2", "DescribeInstances", {"Filter": wanted})
    if instance_id.startswith("mi-"):
        keyed = [{"Key": "InstanceIds", "Values": [instance_id]}]
        question = Question(INFORMATION, "ssm", "DescribeInstanceInformation", {"Filters": keyed})

    def has(region: str) -> bool:
        answer = ask(api_in(region), question, deadline=deadline)
        return not isinstance(answer, Unseen) and (_described(answer) or _information(answer)) is not None

    with ThreadPoolExecutor(max_workers=max(1, min(16, len(regions)))) as pool:
        return [region for region, found in zip(regions, pool.map(has, regions), strict=True) if found]


def regions(answer: Answer) -> list[str]:
    """Return the names of regions in the answer of DescribeRegions; none where there is no answer."""
    if isinstance(answer, Unseen):
        return []
    return [text_member(item, "regionName") for item in objects_member(answer, "regionInfo")]


def standing(answers: Mapping[str, Answer]) -> Standing:
    """Return what the `answers` of `collect` say of the instance and its agent."""
    connection, information = answers[CONNECTION], answers[INFORMATION]
    connected = None
    if not isinstance(connection, Unseen):
        connected = text_member(connection, "Status").lower() == "connected"
    elif (node := _information(information)) is not None:
        connected = text_member(node, "PingStatus") == "Online"
    registered = None if isinstance(information, Unseen) else _information(information) is not None
    return Standing(_described(answers.get(INSTANCE)), connected, registered or connected or registered)


def check(
    answers: Mapping[str, Answer], instance_id: str, place: Place, *, elsewhere: Sequence[str] | None = None
) -> list[Finding]:
    """Return what is known of the instance, ending at what keeps every session from it.

    `elsewhere`: the regions that have the instance, None where they were not asked.
    """
    if instance_id.startswith("mi-"):
        return _node(answers, instance_id, place.words)
    known = standing(answers)
    first = _state(answers[INSTANCE], known, instance_id, place, elsewhere)
    if first.state is State.PROBLEM:
        return [first]
    return [first, *_status(answers[STATUS], known), *agent(answers, known)]


def _state(answer: Answer, known: Standing, instance_id: str, place: Place, elsewhere: Sequence[str] | None) -> Finding:
    state = known.state
    if known.described is None:
        if isinstance(answer, Unseen) and answer.code not in _UNKNOWN:
            return not_checked("instance", answer)
        if known.connected:
            return Finding("instance", State.OK, "EC2 does not show it, and its agent is connected")
        return _unknown(instance_id, place.words, elsewhere)
    if state == "running":
        return Finding("instance", State.OK, f"running in {place.words}")
    if state == "pending":
        return Finding("instance", State.PROBLEM, "it is starting", "Wait a minute and try again")
    if state in ("stopped", "stopping"):
        return Finding(
            "instance",
            State.PROBLEM,
            f"it is {state}",
            f"Start it: {start_instance(instance_id, place.region, place.profile)}",
        )
    text = f"it is {state}" if state in ("terminated", "shutting-down") else f"EC2 shows the state '{printable(state)}'"
    return Finding("instance", State.PROBLEM, text, "Use another instance; ssm-ssh list shows those that run")


def _unknown(instance_id: str, where: str, elsewhere: Sequence[str] | None) -> Finding:
    if elsewhere:
        return Finding(
            "instance",
            State.PROBLEM,
            f"{instance_id} is in {' and '.join(elsewhere)}, not in {where}",
            f"Use its region: --region {elsewhere[0]}",
        )
    looked = " or in any other region of the account" if elsewhere is not None else ""
    return Finding(
        "instance",
        State.PROBLEM,
        f"there is no {instance_id} in {where}{looked}",
        "Check the id, and the account: --profile chooses another one",
    )


def _status(answer: Answer, known: Standing) -> list[Finding]:
    if isinstance(answer, Unseen):
        return [] if known.connected else [not_checked("status checks", answer)]
    for item in objects_member(answer, "instanceStatusSet"):
        shown = {kind: text_member(object_member(item, f"{kind}Status"), "status") for kind in ("system", "instance")}
        failed = [kind for kind, status in shown.items() if status in ("impaired", "insufficient-data")]
        if failed:
            state = State.WARNING if known.connected else State.PROBLEM
            todo = (
                "Stop and start the instance, which moves it to another host"
                if "system" in failed
                else "Look at its console output in EC2, and reboot it"
            )
            return [Finding("status checks", state, f"EC2's {' and '.join(failed)} check fails", todo)]
        if "initializing" in shown.values() and not known.connected:
            return [Finding("status checks", State.NOTE, "EC2's checks of it are not complete yet")]
        return [Finding("status checks", State.OK, "EC2's checks pass")]
    return []


def agent(answers: Mapping[str, Answer], known: Standing) -> list[Finding]:
    """Return whether the agent is connected, and whether it is new enough."""
    connection, information = answers[CONNECTION], answers[INFORMATION]
    node = _information(information)
    if known.connected is None:
        return [not_checked("agent", connection if isinstance(connection, Unseen) else Unseen("", "it is not seen"))]
    if known.connected:
        version = text_member(node or {}, "AgentVersion")
        return [Finding("agent", State.OK, "connected"), *_version(version, information)]
    if node is not None:
        return [
            Finding(
                "agent",
                State.PROBLEM,
                f"the agent has no connection; its last ping was {_date(node)}",
                "Restart amazon-ssm-agent, or reboot the instance",
            )
        ]
    if known.registered is None:
        return [
            Finding("agent", State.PROBLEM, "the agent has no connection", "Restart amazon-ssm-agent on the instance")
        ]
    return [
        Finding(
            "agent",
            State.PROBLEM,
            "the agent has never registered with Systems Manager",
            "Install or start amazon-ssm-agent; if the instance profile was attached later, restart the agent",
        )
    ]


def _version(version: str, information: Answer) -> list[Finding]:
    if not version:
        missing = information if isinstance(information, Unseen) else Unseen("", "its version is not shown")
        return [not_checked("agent version", missing)]
    older = [feature for feature, needed in VERSIONS if _parts(version) < _parts(needed)]
    todo = "Update amazon-ssm-agent; Run Command's document AWS-UpdateSSMAgent does it"
    shown = printable(version, 40)
    if any(_parts(version) < _parts(needed) for needed in _NEEDED):
        return [Finding("agent version", State.PROBLEM, f"{shown} is too old for {', '.join(older)}", todo)]
    if older:
        return [Finding("agent version", State.WARNING, f"{shown} is too old for {', '.join(older)}", todo)]
    return [Finding("agent version", State.OK, shown)]


def _node(answers: Mapping[str, Answer], instance_id: str, where: str) -> list[Finding]:
    """Return the findings of a managed node."""
    known, information, tier = standing(answers), answers[INFORMATION], answers[TIER]
    if known.registered is False:
        return [
            Finding(
                "instance",
                State.PROBLEM,
                f"there is no managed node {instance_id} in {where}",
                "Check the id, --region and --profile; register the machine again if it was removed",
            )
        ]
    first = (
        not_checked("instance", information)
        if isinstance(information, Unseen)
        else Finding("instance", State.OK, f"a managed node in {where}")
    )
    return [first, *_tier(tier), *agent(answers, known), *_activation(answers.get(ACTIVATION), known)]


def _tier(answer: Answer) -> list[Finding]:
    if isinstance(answer, Unseen):
        return [not_checked("tier", answer)]
    value = text_member(object_member(answer, "ServiceSetting"), "SettingValue")
    if value == "standard":
        return [
            Finding(
                "tier",
                State.PROBLEM,
                "managed nodes have the standard tier, which has no sessions",
                "Choose the advanced tier, which is charged, in Fleet Manager's account settings",
            )
        ]
    return [Finding("tier", State.OK, f"{printable(value, 40) or 'unknown'} tier")]


def _activation(answer: Answer | None, known: Standing) -> list[Finding]:
    """Return a note of an expired activation, which matters only to a node that must be registered again."""
    if known.connected or answer is None:
        return []
    if isinstance(answer, Unseen):
        return [not_checked("activation", answer)]
    for item in objects_member(answer, "ActivationList"):
        if item.get("Expired") is True:
            return [
                Finding(
                    "activation",
                    State.WARNING,
                    f"the activation {printable(text_member(item, 'ActivationId'), 60)} has expired",
                    "Restart the agent; to register the machine again, create a new activation",
                )
            ]
    return []


def _described(answer: Answer | None) -> dict[str, Any] | None:
    if answer is None or isinstance(answer, Unseen):
        return None
    for reservation in objects_member(answer, "reservationSet"):
        for item in objects_member(reservation, "instancesSet"):
            return item
    return None


def _information(answer: Answer | None) -> dict[str, Any] | None:
    if answer is None or isinstance(answer, Unseen):
        return None
    return next(iter(objects_member(answer, "InstanceInformationList")), None)


def _date(node: Mapping[str, Any]) -> str:
    import datetime

    seconds = node.get("LastPingDateTime")
    if not isinstance(seconds, int | float) or not 0 < seconds < 1e11:
        return "some time ago"
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC")


def _parts(version: str) -> list[int]:
    return [int(part) if part.isdigit() else 0 for part in version.split(".")]
