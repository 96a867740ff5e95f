"""What the caller may do: by IAM's simulation and EC2's dry run. A right that neither tells is not checked.

A simulation knows neither session policies nor those of the organization, so the refusal of a real call counts more.
"""

from __future__ import annotations

from ssm_ssh.doctor.answers import Answer, Question, Unseen, ask_all
from ssm_ssh.doctor.finding import Finding, State
from ssm_ssh.doctor.preferences import principal
from ssm_ssh.startup import TYPE_CHECKING
from ssm_ssh.values import objects_member, text_member

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ssm_ssh.aws.api.client import Api

START, KEYS, RUN, DRY_RUN = "start", "keys", "run", "dry run"
DOCUMENT, RUN_DOCUMENT = "AWS-StartSSHSession", "AWS-RunShellScript"
NEEDED, EIC = "ssm:StartSession", "ec2-instance-connect:SendSSHPublicKey"
COMMANDS, CONSOLE = "ssm:SendCommand", "ec2:GetConsoleOutput"
# EC2's answers to a dry run.
_DENIED, _ALLOWED = "UnauthorizedOperation", "DryRunOperation"
_POLICY = "Ask for the policy that docs/iam.md shows"


def collect(
    api: Api, caller: str, instance_id: str, *, document: str = DOCUMENT, deadline: float | None = None
) -> dict[str, Answer]:
    """Return the answers about the rights of `caller`, an ARN, on `instance_id`."""
    account, region, partition = _account(caller), api.settings.region, caller.split(":")[1]
    managed = instance_id.startswith("mi-")
    kind = "ssm:{}:{}:managed-instance" if managed else "ec2:{}:{}:instance"
    target = f"arn:{partition}:{kind.format(region, account)}/{instance_id}"

    def simulation(key: str, actions: list[str], *documents: str) -> Question:
        named = [
            name if name.startswith("arn:") else f"arn:{partition}:ssm:{region}::document/{name}" for name in documents
        ]
        payload = {
            "PolicySourceArn": principal(caller),
            "ActionNames": {"member": actions},
            "ResourceArns": {"member": [target, *named]},
        }
        return Question(key, "iam", "SimulatePrincipalPolicy", payload)

    asked = [simulation(START, [NEEDED], document), simulation(RUN, [COMMANDS], RUN_DOCUMENT)]
    if not managed:
        asked.append(simulation(KEYS, [EIC, CONSOLE]))
        asked.append(Question(DRY_RUN, "ec2", "GetConsoleOutput", {"InstanceId": instance_id, "DryRun": True}))
    return ask_all(api, asked, deadline=deadline)


def check(answers: Mapping[str, Answer]) -> list[Finding]:
    """PURE: return which rights are there, which are not, and which could not be seen."""
    decided = {**_decisions(answers.get(START)), **_decisions(answers.get(RUN)), **_decisions(answers.get(KEYS))}
    dry = answers.get(DRY_RUN)
    if isinstance(dry, Unseen):
        if dry.code == _ALLOWED:
            decided[CONSOLE] = True
        elif dry.permission or dry.code == _DENIED:
            decided[CONSOLE] = False
    return [_start(decided.get(NEEDED), answers[START]), *_keys(decided, managed=KEYS not in answers)]


def _decisions(answer: Answer | None) -> dict[str, bool]:
    """Return what a simulation says of each action, for all resources together."""
    if answer is None or isinstance(answer, Unseen):
        return {}
    decided: dict[str, bool] = {}
    for item in objects_member(answer, "EvaluationResults"):
        name = text_member(item, "EvalActionName")
        each = [text_member(one, "EvalResourceDecision") for one in objects_member(item, "ResourceSpecificResults")]
        allowed = all(word == "allowed" for word in (text_member(item, "EvalDecision"), *each))
        decided[name] = decided.get(name, True) and allowed
    return decided


def _start(allowed: bool | None, answer: Answer) -> Finding:
    if allowed is None:
        reason = (
            answer.permission if isinstance(answer, Unseen) and answer.permission else "iam:SimulatePrincipalPolicy"
        )
        text = f"ssm:StartSession: needs the permission {reason}"
        return Finding("rights", State.NOT_CHECKED, text, "A session shows it")
    if allowed:
        return Finding("rights", State.OK, f"{NEEDED} is allowed")
    text = f"by IAM's simulation, your policies do not allow {NEEDED} on the instance and the session document"
    return Finding("rights", State.PROBLEM, text, _POLICY)


def _keys(decided: Mapping[str, bool], *, managed: bool) -> list[Finding]:
    found = []
    eic, commands = False if managed else decided.get(EIC), decided.get(COMMANDS)
    if eic is False and commands is False:
        ways = COMMANDS if managed else f"{EIC} and {COMMANDS}"
        text = f"by IAM's simulation, {ways} {'is' if managed else 'are'} not allowed, so no key can be pushed for ssh"
        found.append(Finding("rights: keys", State.WARNING, text, _POLICY))
    if decided.get(CONSOLE) is False:
        text = f"{CONSOLE} is not allowed, so host keys are verified by Run Command or not at all"
        found.append(Finding("rights: host keys", State.NOTE, text))
    return found


def _account(arn: str) -> str:
    parts = arn.split(":")
    return parts[4] if len(parts) > 4 else ""
