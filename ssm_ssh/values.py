"""PURE: values from outside, read with the type that is wanted: JSON text, and members of what was decoded.

AWS, files and other programs may leave a member out or send another type. These functions return an empty value
then, so that callers compare values and not types.
"""

from __future__ import annotations

import json

from ssm_ssh.startup import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


def json_object(text: bytes | str | None) -> dict[str, Any] | None:
    """Return the object that `text` holds: empty for no text, None for anything that is not a JSON object."""
    try:
        value = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def text_member(values: Mapping[str, Any], name: str) -> str:
    """Return the text `name` of `values`; "" where it is missing or not text."""
    value = values.get(name)
    return value if isinstance(value, str) else ""


def object_member(values: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the object `name` of `values`; an empty one where it is missing or not an object."""
    value = values.get(name)
    return value if isinstance(value, dict) else {}


def objects_member(values: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """Return the objects in the list `name` of `values`; an empty list where it is missing or not a list."""
    value = values.get(name)
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
