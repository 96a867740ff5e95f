"""The policies that docs/iam.md shows."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

_PAGE = (Path(__file__).parents[2] / "docs" / "iam.md").read_text(encoding="utf-8")


def documented(heading: str) -> dict[str, Any]:
    """Return the only policy below `heading`, with its actions as lists."""
    section = _PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    blocks = [block for block in re.findall(r"```json\n(.*?)```", section, re.DOTALL) if '"Statement"' in block]
    assert len(blocks) == 1, heading
    policy: dict[str, Any] = json.loads(blocks[0])
    for statement in policy["Statement"]:
        if isinstance(statement["Action"], str):
            statement["Action"] = [statement["Action"]]
    return policy


def without(policy: dict[str, Any], action: str) -> dict[str, Any]:
    """Return `policy` without one of its actions."""
    statements = [
        {**statement, "Action": [one for one in statement["Action"] if one != action]}
        for statement in policy["Statement"]
    ]
    return {**policy, "Statement": [statement for statement in statements if statement["Action"]]}
