"""The role of the instance: its profile, who may assume it, and whether it allows what the agent does."""

from __future__ import annotations

from ssm_ssh.doctor.answers import Answer, Question, Unseen, ask_all, not_checked, unseen
from ssm_ssh.doctor.finding import Finding, State
from ssm_ssh.doctor.instance import HOST_MANAGEMENT_ID
from ssm_ssh.doctor.policy import Decision, decide, document, trusts
from ssm_ssh.startup import TYPE_CHECKING
from ssm_ssh.text import printable
from ssm_ssh.values import object_member, objects_member, text_member

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from ssm_ssh.aws.api.client import Api

PROFILE, HOST_MANAGEMENT, SIMULATION = "profile", "host management", "simulation"
ATTACHED, INLINE = "attached policies", "inline policies"
CORE = "AmazonSSMManagedInstanceCore"
# Without these the agent neither registers nor takes sessions.
ACTIONS = (
    "ssm:UpdateInstanceInformation",
    "ssmmessages:CreateControlChannel",
    "ssmmessages:OpenControlChannel",
    "ssmmessages:CreateDataChannel",
    "ssmmessages:OpenDataChannel",
)
_EC2 = "ec2.amazonaws.com"


def collect(api: Api, instance: Mapping[str, Any], *, deadline: float | None = None) -> dict[str, Answer]:
    """Return the answers about the role of `instance`, a described one: by simulation, else from its policies."""
    arn = text_member(object_member(instance, "iamInstanceProfile"), "arn")
    if not arn:
        asked = Question(HOST_MANAGEMENT, "ssm", "GetServiceSetting", {"SettingId": HOST_MANAGEMENT_ID})
        return ask_all(api, [asked], deadline=deadline)
    name = {"InstanceProfileName": arn.rpartition("/")[2]}
    answers = ask_all(api, [Question(PROFILE, "iam", "GetInstanceProfile", name)], deadline=deadline)
    role = _role(answers[PROFILE])
    if role is None:
        return answers
    chosen = {"RoleName": text_member(role, "RoleName")}
    names = {"PolicySourceArn": text_member(role, "Arn"), "ActionNames": {"member": list(ACTIONS)}}
    answers |= ask_all(
        api,
        [
            Question(SIMULATION, "iam", "SimulatePrincipalPolicy", names),
            Question(ATTACHED, "iam", "ListAttachedRolePolicies", chosen),
            Question(INLINE, "iam", "ListRolePolicies", chosen),
        ],
        deadline=deadline,
    )
    if isinstance(answers[SIMULATION], Unseen):
        answers |= _documents(api, answers, chosen, deadline)
    return answers


def _documents(
    api: Api, answers: Mapping[str, Answer], role: dict[str, str], deadline: float | None
) -> dict[str, Answer]:
    """Return the documents of a role's policies: "policy ARN" of a managed one, "inline NAME"."""
    attached, inline = answers[ATTACHED], answers[INLINE]
    arns = [] if isinstance(attached, Unseen) else _arns(attached)
    names = [] if isinstance(inline, Unseen) else _names(inline)
    policies = ask_all(api, [Question(arn, "iam", "GetPolicy", {"PolicyArn": arn}) for arn in arns], deadline=deadline)
    versions = {
        arn: text_member(object_member(answer, "Policy"), "DefaultVersionId")
        for arn, answer in policies.items()
        if not isinstance(answer, Unseen)
    }
    asked = [
        Question(f"policy {arn}", "iam", "GetPolicyVersion", {"PolicyArn": arn, "VersionId": version})
        for arn, version in versions.items()
    ]
    asked += [Question(f"inline {name}", "iam", "GetRolePolicy", {**role, "PolicyName": name}) for name in names]
    out = ask_all(api, asked, deadline=deadline)
    return out | {f"policy {arn}": answer for arn, answer in policies.items() if isinstance(answer, Unseen)}


def check(instance: Mapping[str, Any], answers: Mapping[str, Answer], *, connected: bool) -> list[Finding]:
    """Return what is known of the instance's role. `connected`: the agent has a connection, which proves it."""
    if connected:
        return [Finding("role", State.OK, "the agent is connected, so its role lets it register")]
    if HOST_MANAGEMENT in answers:
        return [_without_profile(answers[HOST_MANAGEMENT])]
    name = text_member(object_member(instance, "iamInstanceProfile"), "arn").rpartition("/")[2]
    answer = answers[PROFILE]
    if isinstance(answer, Unseen):
        if answer.code.startswith("NoSuchEntity"):
            return [
                Finding(
                    "instance profile",
                    State.PROBLEM,
                    f"the instance profile {printable(name, 128)} no longer exists",
                    f"Attach a profile whose role has the policy {CORE}",
                )
            ]
        return [not_checked("role", answer)]
    role = _role(answer)
    if role is None:
        return [
            Finding(
                "instance profile",
                State.PROBLEM,
                f"the instance profile {printable(name, 128)} has no role",
                f"Add a role with the policy {CORE} to it",
            )
        ]
    return [Finding("instance profile", State.OK, printable(name, 128)), *_trust(role), *_actions(role, answers)][:3]


def _without_profile(answer: Answer) -> Finding:
    todo = f"Attach a profile whose role has the policy {CORE}, then restart the agent or wait half an hour"
    if isinstance(answer, Unseen):
        reason = (
            f"no instance profile is attached; default host management was not seen ({answer.permission or 'error'})"
        )
        return Finding("instance profile", State.PROBLEM, reason, todo)
    value = text_member(object_member(answer, "ServiceSetting"), "SettingValue")
    if value in ("", "$None"):
        return Finding("instance profile", State.PROBLEM, "no instance profile is attached", todo)
    return Finding(
        "instance profile", State.OK, f"none, and default host management gives the role {printable(value, 128)}"
    )


def _trust(role: Mapping[str, Any]) -> list[Finding]:
    trust = document(text_member(role, "AssumeRolePolicyDocument"))
    name = printable(text_member(role, "RoleName"), 64)
    if trust is None:
        return [Finding("trust", State.NOT_CHECKED, f"the trust policy of {name} is not readable", "Look at it")]
    if not trusts(trust, _EC2):
        return [
            Finding(
                "trust",
                State.PROBLEM,
                f"the role {name} does not let EC2 assume it",
                f"Allow sts:AssumeRole to the service {_EC2} in the role's trust policy",
            )
        ]
    return [Finding("trust", State.OK, f"EC2 may assume the role {name}")]


def _actions(role: Mapping[str, Any], answers: Mapping[str, Answer]) -> list[Finding]:
    name = printable(text_member(role, "RoleName"), 64)
    decisions = _decisions(answers)
    if isinstance(decisions, Unseen):
        return [not_checked("role", decisions)]
    refused = [action for action, decision in decisions.items() if decision not in (Decision.ALLOWED, Decision.DEPENDS)]
    if refused:
        more = f" and {len(refused) - 1} more" if len(refused) > 1 else ""
        return [
            Finding(
                "role",
                State.PROBLEM,
                f"the role {name} does not allow {refused[0]}{more}",
                f"Attach the policy {CORE} to the role",
            )
        ]
    if Decision.DEPENDS in decisions.values():
        action = next(action for action, decision in decisions.items() if decision is Decision.DEPENDS)
        text = f"whether the role {name} allows {action} depends on conditions or resources"
        return [Finding("role", State.WARNING, text, "Check the conditions of its policies")]
    return [Finding("role", State.OK, f"the role {name} allows what the agent does")]


def _decisions(answers: Mapping[str, Answer]) -> dict[str, Decision] | Unseen:
    simulation = answers[SIMULATION]
    if not isinstance(simulation, Unseen):
        words = {"allowed": Decision.ALLOWED, "explicitDeny": Decision.DENIED}
        shown = {
            text_member(item, "EvalActionName"): words.get(text_member(item, "EvalDecision"), Decision.NOT_ALLOWED)
            for item in objects_member(simulation, "EvaluationResults")
        }
        return {action: shown.get(action, Decision.DEPENDS) for action in ACTIONS}
    keys = [ATTACHED, INLINE, *(key for key in answers if key.startswith(("policy ", "inline ")))]
    missing = unseen(answers, keys)
    if missing is not None:
        return (
            missing
            if not simulation.permission
            else missing._replace(permission=", ".join(filter(None, (simulation.permission, missing.permission))))
        )
    texts = [
        text_member(object_member(answer, "PolicyVersion") or answer, name)
        for key, answer in answers.items()
        if key.startswith(("policy ", "inline ")) and not isinstance(answer, Unseen)
        for name in (("Document",) if key.startswith("policy ") else ("PolicyDocument",))
    ]
    documents = [item for item in map(document, texts) if item is not None]
    return {action: decide(documents, action) for action in ACTIONS}


def _role(answer: Answer) -> dict[str, Any] | None:
    if isinstance(answer, Unseen):
        return None
    return next(iter(objects_member(object_member(answer, "InstanceProfile"), "Roles")), None)


def _arns(answer: Mapping[str, Any]) -> list[str]:
    return [text_member(item, "PolicyArn") for item in objects_member(answer, "AttachedPolicies")]


def _names(answer: Mapping[str, Any]) -> list[str]:
    names = answer.get("PolicyNames")
    return [str(name) for name in names] if isinstance(names, list) else []
