"""IAM policies, as far as a client of Session Manager encounters them: what a policy document allows.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from typing import Any

_CONDITIONS = ("StringEquals", "StringLike")


def allows(policy: Mapping[str, Any], action: str, resource: str, context: Mapping[str, str], user_id: str) -> bool:
    """Return whether `policy` allows `action` on `resource` (an ARN), in `context` (condition keys).

    An explicit deny wins. `user_id` is what `${aws:userid}` stands for. Raises ValueError for a condition that
    the lab does not know: it would otherwise be kinder than AWS.
    """
    return decision([policy], action, resource, context, user_id) == "allowed"


def decision(
    documents: Sequence[Mapping[str, Any]], action: str, resource: str, context: Mapping[str, str], user_id: str
) -> str:
    """Return what all `documents` of one principal decide: "allowed", "explicitDeny" or "implicitDeny"."""
    effects = {
        statement["Effect"]
        for document in documents
        for statement in _list(document["Statement"])
        if _applies(statement, action, resource, context, user_id)
    }
    if "Deny" in effects:
        return "explicitDeny"
    return "allowed" if effects else "implicitDeny"


def _applies(
    statement: Mapping[str, Any], action: str, resource: str, context: Mapping[str, str], user_id: str
) -> bool:
    return (
        any(_match(action.lower(), pattern.lower()) for pattern in _list(statement["Action"]))
        and any(_match(resource, pattern.replace("${aws:userid}", user_id)) for pattern in _list(statement["Resource"]))
        and all(_holds(kind, keys, context) for kind, keys in statement.get("Condition", {}).items())
    )


def _holds(kind: str, keys: Mapping[str, Any], context: Mapping[str, str]) -> bool:
    if kind not in _CONDITIONS:
        raise ValueError(f"the lab knows no condition {kind}")
    # A key that a request does not have makes a positive condition false.
    return all(
        name in context
        and any(
            context[name] == value if kind == "StringEquals" else _match(context[name], value)
            for value in _list(values)
        )
        for name, values in keys.items()
    )


def _match(text: str, pattern: str) -> bool:
    # IAM knows * and ? but no brackets.
    return fnmatch.fnmatchcase(text, pattern.replace("[", "[[]"))


def _list(value: Any) -> list[Any]:  # noqa: ANN401 - JSON
    return value if isinstance(value, list) else [value]
