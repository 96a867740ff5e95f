"""PURE: what IAM policy documents allow, as far as documents alone tell.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

from __future__ import annotations

import fnmatch
from enum import Enum

from ssm_ssh.startup import TYPE_CHECKING
from ssm_ssh.values import json_object, objects_member, text_member

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any


class Decision(Enum):
    """What policies decide on an action."""

    ALLOWED = "allowed"
    DENIED = "denied by a statement"
    NOT_ALLOWED = "not allowed by any statement"
    DEPENDS = "depends on conditions or resources"


def document(text: str) -> dict[str, Any] | None:
    """Return the policy document in `text`, which IAM percent-encodes; None where it is none."""
    from urllib.parse import unquote

    return json_object(text if text.lstrip().startswith("{") else unquote(text)) if text else None


def decide_text(text: str, action: str) -> Decision:
    """Return what the document in `text` decides on `action`; an endpoint without one allows everything."""
    if not text:
        return Decision.ALLOWED
    one = document(text)
    return Decision.DEPENDS if one is None else decide([one], action)


def decide(documents: Iterable[Mapping[str, Any]], action: str) -> Decision:
    """Return what all `documents` decide on `action`, which the agent needs on whatever resource."""
    seen = set()
    for item in documents:
        statements = item.get("Statement")
        for statement in [statements] if isinstance(statements, dict) else objects_member(item, "Statement"):
            if _is_about(statement, action):
                seen.add((text_member(statement, "Effect"), _is_plain(statement)))
    if ("Deny", True) in seen:
        return Decision.DENIED
    if ("Deny", False) in seen and any(effect == "Allow" for effect, _ in seen):
        return Decision.DEPENDS
    if ("Allow", True) in seen:
        return Decision.ALLOWED
    return Decision.DEPENDS if ("Allow", False) in seen else Decision.NOT_ALLOWED


def trusts(trust: Mapping[str, Any], service: str) -> bool:
    """Return whether the trust policy lets `service` (ec2.amazonaws.com) assume the role."""
    statements = trust.get("Statement")
    for statement in [statements] if isinstance(statements, dict) else objects_member(trust, "Statement"):
        principal = statement.get("Principal")
        services = _texts(principal.get("Service")) if isinstance(principal, dict) else _texts(principal)
        if (
            text_member(statement, "Effect") == "Allow"
            and _is_about(statement, "sts:AssumeRole")
            # In China the name ends in .cn.
            and any(item in ("*", service, f"{service}.cn") for item in services)
        ):
            return True
    return False


def _is_about(statement: Mapping[str, Any], action: str) -> bool:
    """Return whether a statement names `action`, or does not leave it out with NotAction."""
    if "NotAction" in statement:
        return not any(_match(action, pattern) for pattern in _texts(statement["NotAction"]))
    return any(_match(action, pattern) for pattern in _texts(statement.get("Action")))


def _is_plain(statement: Mapping[str, Any]) -> bool:
    """Return whether a statement holds for everyone and everything, without conditions."""
    principal = statement.get("Principal", "*")
    anyone = "*" in (_texts(principal.get("AWS")) if isinstance(principal, dict) else _texts(principal))
    everything = "*" in _texts(statement.get("Resource", "*"))
    return anyone and everything and not statement.get("Condition") and "NotResource" not in statement


def _match(action: str, pattern: str) -> bool:
    # IAM knows * and ? but no brackets.
    return fnmatch.fnmatchcase(action.lower(), pattern.lower().replace("[", "[[]"))


def _texts(value: object) -> list[str]:
    return [item for item in (value if isinstance(value, list) else [value]) if isinstance(item, str)]
