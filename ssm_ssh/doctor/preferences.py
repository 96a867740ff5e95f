"""The account's preferences for Session Manager: what they ask of the caller, the role and the instance."""

from __future__ import annotations

from ssm_ssh.doctor.answers import Answer, Question, Unseen, ask_all, not_checked
from ssm_ssh.doctor.finding import Finding, State
from ssm_ssh.startup import TYPE_CHECKING
from ssm_ssh.text import printable
from ssm_ssh.values import json_object, object_member, objects_member, text_member

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from ssm_ssh.aws.api.client import Api

DOCUMENT, GROUPS, CALLER, KEY = "preferences", "log groups", "caller", "key"
NAME = "SSM-SessionManagerRunShell"
_GENERATE = "kms:GenerateDataKey"


def collect(api: Api, *, deadline: float | None = None) -> dict[str, Answer]:
    """Return the account's preferences, and the answers about the key and the log group that they name."""
    answers = ask_all(
        api,
        [
            Question(DOCUMENT, "ssm", "GetDocument", {"Name": NAME}),
            Question(CALLER, "sts", "GetCallerIdentity"),
        ],
        deadline=deadline,
    )
    inputs = _inputs(answers[DOCUMENT])
    if inputs is None:
        return answers
    more = []
    if group := text_member(inputs, "cloudWatchLogGroupName"):
        more.append(Question(GROUPS, "logs", "DescribeLogGroups", {"logGroupNamePrefix": group}))
    caller = answers[CALLER]
    if (key := text_member(inputs, "kmsKeyId")) and not isinstance(caller, Unseen):
        payload: dict[str, Any] = {
            "PolicySourceArn": principal(text_member(caller, "Arn")),
            "ActionNames": {"member": [_GENERATE]},
        }
        if key.startswith("arn:"):
            payload["ResourceArns"] = {"member": [key]}
        more.append(Question(KEY, "iam", "SimulatePrincipalPolicy", payload))
    return answers | ask_all(api, more, deadline=deadline)


def principal(arn: str) -> str:
    """Return the ARN that a simulation takes for the caller `arn`: of a role's session, the role (without its path)."""
    parts = arn.split(":")
    if len(parts) != 6 or not parts[5].startswith("assumed-role/"):
        return arn
    role = parts[5].split("/")[1]
    return f"{':'.join(parts[:2])}:iam::{parts[4]}:role/{role}"


def check(answers: Mapping[str, Answer]) -> list[Finding]:
    """Return what the preferences ask for, and what of it is known to fail."""
    answer = answers[DOCUMENT]
    if isinstance(answer, Unseen):
        if answer.code.startswith("InvalidDocument"):
            return [Finding("preferences", State.OK, "Session Manager's defaults")]
        return [not_checked("preferences", answer)]
    inputs = _inputs(answer)
    if inputs is None:
        return [Finding("preferences", State.NOT_CHECKED, f"{NAME} is not readable", "Look at its content")]
    found = [*_key(inputs, answers), *_logs(inputs, answers), *_run_as(inputs), *_limits(inputs)]
    return found or [Finding("preferences", State.OK, "nothing that keeps sessions away")]


def _key(inputs: Mapping[str, Any], answers: Mapping[str, Answer]) -> list[Finding]:
    key = printable(text_member(inputs, "kmsKeyId"), 100)
    if not key:
        return []
    answer = answers.get(KEY, Unseen("", "the caller is not known"))
    if isinstance(answer, Unseen):
        if answer.permission:
            return [not_checked("session key", answer)]
        return [Finding("session key", State.NOT_CHECKED, f"{_GENERATE} on {key}: {answer.reason}", "Try a shell")]
    results = objects_member(answer, "EvaluationResults")
    if results and all(text_member(item, "EvalDecision") == "allowed" for item in results):
        return [
            Finding("session key", State.OK, f"shells and commands are encrypted with {key}, which your policies allow")
        ]
    return [
        Finding(
            "session key",
            State.PROBLEM,
            f"shells and commands are encrypted with {key}, and your policies do not allow {_GENERATE} on it",
            f"Ask for an IAM policy that allows {_GENERATE} on the key",
        )
    ]


def _logs(inputs: Mapping[str, Any], answers: Mapping[str, Answer]) -> list[Finding]:
    """Return what is known of the targets of logs. The agent ends a shell whose log has to be encrypted, and is not."""
    found = []
    group, bucket = text_member(inputs, "cloudWatchLogGroupName"), text_member(inputs, "s3BucketName")
    if group:
        answer = answers.get(GROUPS, Unseen("", "it was not asked for"))
        if isinstance(answer, Unseen):
            found.append(not_checked("session logs", answer))
        else:
            found.append(_group(group, answer, encrypted=_is_on(inputs, "cloudWatchEncryptionEnabled")))
    if bucket:
        must = ", which must be encrypted" if _is_on(inputs, "s3EncryptionEnabled") else ""
        text = f"shells and commands are logged to the bucket {printable(bucket, 63)}{must}; it was not looked for"
        found.append(Finding("session logs", State.NOTE, text))
    return found


def _group(name: str, answer: Mapping[str, Any], *, encrypted: bool) -> Finding:
    """Return whether the log group `name` is there; `encrypted`: the preferences demand that it is."""
    shown = printable(name, 100)
    here = [item for item in objects_member(answer, "logGroups") if text_member(item, "logGroupName") == name]
    if here and (not encrypted or text_member(here[0], "kmsKeyId")):
        return Finding("session logs", State.OK, f"to the log group {shown}")
    if encrypted:
        what = "is not encrypted" if here else "does not exist"
        text = (
            f"shells and commands are to be logged encrypted to the log group {shown}, which {what}: they end at once"
        )
        todo = f"{'Encrypt' if here else 'Create and encrypt'} the log group {shown}, or change the preferences"
        return Finding("session logs", State.PROBLEM, text, todo)
    text = f"the log group {shown} does not exist, so that shells and commands are not logged"
    return Finding("session logs", State.WARNING, text, f"Create the log group {shown}, or change the preferences")


def _is_on(inputs: Mapping[str, Any], name: str) -> bool:
    return inputs.get(name) in (True, "true", "True", "TRUE", "t", "T", "1")


def _run_as(inputs: Mapping[str, Any]) -> list[Finding]:
    if not _is_on(inputs, "runAsEnabled"):
        return []
    user = printable(text_member(inputs, "runAsDefaultUser"), 32)
    if not user:
        text = "shells run as the user in the caller's tag SSMSessionRunAs, and there is no default"
        return [Finding("run as", State.NOTE, text)]
    return [
        Finding(
            "run as",
            State.NOT_CHECKED,
            f"shells run as {user}; whether the instance has that user cannot be seen from outside",
            f"Check it there: id {user}",
        )
    ]


def _limits(inputs: Mapping[str, Any]) -> list[Finding]:
    idle, longest = text_member(inputs, "idleSessionTimeout"), text_member(inputs, "maxSessionDuration")
    words = [f"after {printable(idle, 8)} min without input"] if idle else []
    words += [f"after {printable(longest, 8)} min in any case"] if longest else []
    return [Finding("session limits", State.NOTE, f"sessions end {' and '.join(words)}")] if words else []


def _inputs(answer: Answer) -> dict[str, Any] | None:
    if isinstance(answer, Unseen):
        return None
    content = json_object(text_member(answer, "Content"))
    return None if content is None else object_member(content, "inputs")
