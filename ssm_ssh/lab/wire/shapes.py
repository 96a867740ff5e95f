"""Inputs and outputs of the services, by botocore's own models: checked and written as AWS does."""

from __future__ import annotations

import base64
import datetime
import functools
import re
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias
from xml.sax.saxutils import escape

import botocore.session
from botocore.model import OperationModel, ServiceModel

# botocore's shapes differ by `type_name`; their attributes with it, which its types do not tell.
Shape: TypeAlias = Any
# A tree of JSON values.
Tree: TypeAlias = Any

# The most violations that one answer names; a hostile request can contain any number.
_MOST = 20
_CATEGORIES = {r"\p{L}": r"\w", r"\p{N}": r"\d", r"\p{Z}": r"\s", r"\p{P}": r"!-/:-@\[-`{-~", r"\p{M}": ""}
_TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "long": int,
    "boolean": bool,
    "list": list,
    "map": dict,
    "structure": dict,
    "blob": str,
    "timestamp": (int, float, str),
    "double": (int, float),
    "float": (int, float),
}


class WrongType(Exception):
    """A value is of another JSON type than the model's."""


@functools.cache
def service(name: str) -> ServiceModel:
    """Return botocore's model of the service `name`."""
    model: ServiceModel = botocore.session.get_session().get_service_model(name)
    return model


def violations(operation: OperationModel, values: Mapping[str, Any]) -> str:
    """Return "" when `values` keep the model's constraints, else AWS's sentence about those they do not.

    Raises WrongType where a value's type is wrong.
    """
    if operation.input_shape is None:
        return ""
    sentences = [text for text, _ in zip(_check(operation.input_shape, values, ""), range(_MOST), strict=False)]
    if not sentences:
        return ""
    errors = "error" if len(sentences) == 1 else "errors"
    return f"{len(sentences)} validation {errors} detected: {'; '.join(sentences)}"


def _check(shape: Shape, value: Tree, path: str) -> Iterator[str]:
    kind = _TYPES.get(shape.type_name)
    if kind is not None and (not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool)):
        raise WrongType(path)
    limits = shape.metadata
    shown = "" if limits.get("sensitive") else f"'{value}' "

    def broken(constraint: str) -> str:
        return f"Value {shown}at '{path}' failed to satisfy constraint: {constraint}"

    if shape.type_name == "structure":
        for name in shape.required_members:
            if value.get(name) is None:
                yield f"Value null at '{_join(path, name)}' failed to satisfy constraint: Member must not be null"
        for name, member in shape.members.items():
            if value.get(name) is not None:
                yield from _check(member, value[name], _join(path, name))
    elif shape.type_name == "list":
        for number, item in enumerate(value, 1):
            yield from _check(shape.member, item, f"{path}.{number}.member")
    elif shape.type_name == "map":
        for key, other in value.items():
            yield from _check(shape.value, other, f"{path}.{key}.member")
    if shape.type_name in ("integer", "long"):
        size, noun = value, "value"
    elif shape.type_name in ("string", "list", "map"):
        size, noun = len(value), "length"
    else:
        return
    if "max" in limits and size > limits["max"]:
        yield broken(f"Member must have {noun} less than or equal to {limits['max']}")
    if "min" in limits and size < limits["min"]:
        yield broken(f"Member must have {noun} greater than or equal to {limits['min']}")
    if shape.type_name == "string" and "enum" in limits and value not in limits["enum"]:
        yield broken(f"Member must satisfy enum value set: [{', '.join(limits['enum'])}]")
    if shape.type_name == "string" and "pattern" in limits and not _pattern(limits["pattern"]).fullmatch(value):
        yield broken(f"Member must satisfy regular expression pattern: {limits['pattern']}")


@functools.cache
def _pattern(text: str) -> re.Pattern[str]:
    """Return a pattern of Java's as one of Python's, which knows no Unicode categories."""
    for theirs, ours in _CATEGORIES.items():
        text = text.replace(theirs, ours)
    return re.compile(text)


def _join(path: str, name: str) -> str:
    name = name[:1].lower() + name[1:]
    return f"{path}.{name}" if path else name


def to_json(shape: Shape, value: Tree) -> Tree:
    """Return `value` as JSON: members of the model only, timestamps as seconds, blobs in base64."""
    if shape.type_name == "structure":
        return {
            name: to_json(member, value[name]) for name, member in shape.members.items() if value.get(name) is not None
        }
    if shape.type_name == "list":
        return [to_json(shape.member, item) for item in value]
    if shape.type_name == "map":
        return {key: to_json(shape.value, item) for key, item in value.items()}
    if shape.type_name == "blob":
        return base64.b64encode(value).decode()
    return value


def to_xml(shape: Shape, value: Tree, tag: str) -> str:
    """Return `value` as the element `tag` of EC2's and the query protocol; timestamps are seconds since the epoch."""
    if shape.type_name == "structure":
        inner = "".join(
            to_xml(member, value[name], member.serialization.get("name", name))
            for name, member in shape.members.items()
            if value.get(name) is not None
        )
    elif shape.type_name == "list":
        inner = "".join(to_xml(shape.member, item, shape.member.serialization.get("name", "member")) for item in value)
    elif shape.type_name == "timestamp":
        date = datetime.datetime.fromtimestamp(value, datetime.timezone.utc)
        inner = date.strftime("%Y-%m-%dT%H:%M:%S.000Z")
    elif shape.type_name == "boolean":
        inner = "true" if value else "false"
    else:
        inner = escape(str(value))
    return f"<{tag}>{inner}</{tag}>"


def from_query(shape: Shape, fields: Mapping[str, str], prefix: str = "") -> dict[str, Any]:
    """Return the structure that the flat `fields` of a request spell: `Filter.1.Value.2`, IAM's `Name.member.1`."""
    out: dict[str, Any] = {}
    for name, member in shape.members.items():
        words = member.serialization
        local = words.get("queryName") or words.get("name", name)
        value = _from_fields(member, fields, prefix + local[:1].upper() + local[1:])
        if value is not None:
            out[name] = value
    return out


def _from_fields(shape: Shape, fields: Mapping[str, str], prefix: str) -> Tree:
    if shape.type_name == "structure":
        return from_query(shape, fields, prefix + ".") or None
    if shape.type_name == "list":
        out: list[Tree] = []
        member = f"{prefix}.member." if any(name.startswith(f"{prefix}.member.") for name in fields) else f"{prefix}."
        while (item := _from_fields(shape.member, fields, f"{member}{len(out) + 1}")) is not None:
            out.append(item)
        return out or None
    text = fields.get(prefix)
    if text is None:
        return None
    if shape.type_name == "boolean":
        return text.lower() == "true"
    if shape.type_name in ("integer", "long"):
        if not re.fullmatch(r"-?[0-9]{1,18}", text):
            raise WrongType(prefix)
        return int(text)
    return text
