"""Recorded answers of AWS: several questions at once, and what AWS did not let be seen."""

from __future__ import annotations

import threading

from ssm_ssh.errors import AccessDenied, AwsError, SsmSshError
from ssm_ssh.startup import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any, TypeAlias

    from ssm_ssh.aws.api.client import Api
    from ssm_ssh.doctor.finding import Finding

# Of the services whose permissions are called by another name.
_ACTIONS = {"ssm": "ssm", "ec2": "ec2", "iam": "iam", "sts": "sts", "logs": "logs", "kms": "kms"}


class Question(NamedTuple):
    """A call of AWS that changes nothing. `key` names its answer."""

    key: str
    service: str
    operation: str
    payload: Mapping[str, Any] = {}

    @property
    def permission(self) -> str:
        """The permission that it needs."""
        return f"{_ACTIONS[self.service]}:{self.operation}"


class Unseen(NamedTuple):
    """An answer that there is not: `permission` is missing ("": another reason), `reason` in a sentence.

    `code` is AWS's code, "" where AWS gave none; `todo` is what helps, "" where nothing particular does.
    """

    permission: str
    reason: str
    code: str = ""
    todo: str = ""


Answer: TypeAlias = "dict[str, Any] | Unseen"


def ask(api: Api, question: Question, *, deadline: float | None = None) -> Answer:
    """Return the answer to `question`; `deadline` as in Api.call. Raises nothing of AWS's and of the network's."""
    try:
        answer = api.call(question.service, question.operation, question.payload, deadline=deadline)
    except AccessDenied as error:
        return Unseen(question.permission, error.message, error.code)
    except AwsError as error:
        return Unseen("", error.message, error.code, error.hint)
    except SsmSshError as error:
        return Unseen("", error.message, todo=error.hint)
    # The query services wrap what they answer.
    result = answer.get(f"{question.operation}Result")
    return result if isinstance(result, dict) else answer


def ask_all(api: Api, questions: Iterable[Question], *, deadline: float | None = None) -> dict[str, Answer]:
    """Return the answers to all `questions` by key; they are asked at the same time."""
    answers: dict[str, Answer] = {}
    asked = list(questions)

    def run(question: Question) -> None:
        answers[question.key] = ask(api, question, deadline=deadline)

    threads = [threading.Thread(target=run, args=(question,), daemon=True) for question in asked]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {question.key: answers.get(question.key, Unseen("", f"{question.operation} failed")) for question in asked}


def unseen(answers: Mapping[str, Answer], keys: Iterable[str]) -> Unseen | None:
    """Return the first of `keys` that was not seen; permissions that are missing are named together."""
    missing = [item for key in keys if isinstance(item := answers.get(key, Unseen("", f"{key} was not asked")), Unseen)]
    if not missing:
        return None
    permissions = [item.permission for item in missing if item.permission]
    if not permissions:
        return missing[0]
    return Unseen(", ".join(dict.fromkeys(permissions)), missing[0].reason, missing[0].code)


def not_checked(name: str, missing: Unseen) -> Finding:
    """Return the finding that `name` could not be checked, with the permission that it takes."""
    from ssm_ssh.doctor.finding import Finding, State

    if missing.permission:
        plural = "s" if "," in missing.permission else ""
        return Finding(
            name,
            State.NOT_CHECKED,
            f"needs the permission{plural} {missing.permission}",
            "Ask for an IAM policy that allows it, or check it by hand",
        )
    return Finding(name, State.NOT_CHECKED, missing.reason, missing.todo or "Try again later")
