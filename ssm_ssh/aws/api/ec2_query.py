"""EC2's protocol: the request is a form, the response XML.

https://smithy.io/2.0/aws/protocols/aws-ec2-query-protocol.html
"""

from __future__ import annotations

import re

from ssm_ssh.errors import ProtocolError
from ssm_ssh.startup import TYPE_CHECKING
from ssm_ssh.values import object_member, text_member

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any
    from xml.etree.ElementTree import Element

VERSION = "2016-11-15"
# STS and IAM have the same protocol but for their error answers and IAM's lists, which are called `member`.
VERSIONS = {"ec2": VERSION, "sts": "2011-06-15", "iam": "2010-05-08"}
CONTENT_TYPE = "application/x-www-form-urlencoded; charset=utf-8"
# Characters that XML does not allow, and references to characters. Compiled only when EC2 is asked.
_INVALID = "[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]|&#([0-9]{1,9}|[xX][0-9a-fA-F]{1,8});"
# Levels of nesting. EC2's responses have at most a dozen.
_DEEPEST = 32


def encode(operation: str, payload: Mapping[str, Any], service: str = "ec2") -> bytes:
    """Return the form that requests `operation`: lists become Name.1, Name.2, structures Name.Member."""
    from urllib.parse import urlencode

    pairs = [("Action", operation), ("Version", VERSIONS[service]), *_flat("", payload)]
    return urlencode(pairs).encode("ascii")


def _flat(prefix: str, value: object) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _flat(f"{prefix}.{name}" if prefix else name, inner)
    elif isinstance(value, list | tuple):
        for number, inner in enumerate(value, 1):
            yield from _flat(f"{prefix}.{number}", inner)
    else:
        yield prefix, str(value).lower() if isinstance(value, bool) else str(value)


def decode(body: bytes) -> dict[str, Any] | None:
    """Return a response's XML as dicts (structures), lists (`...Set` and other lists of `item` or `member`) and text.

    Return None for anything else, such as XML with a document type or entities, or nested too deeply.
    """
    from xml.etree.ElementTree import ParseError, XMLParser

    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        return None
    if "<!" in text:  # a document type could define entities that grow without limit; AWS sends none
        return None
    try:
        parser = XMLParser()  # noqa: S314 -- without a document type XML can neither grow nor refer to files
        parser.feed(re.sub(_INVALID, _replace_invalid, text))
        value = _value(parser.close(), 0)
    except (ParseError, ValueError, ProtocolError):
        return None
    return value if isinstance(value, dict) else None


def _replace_invalid(match: re.Match[str]) -> str:
    """Return the replacement of a character that XML does not allow, or of a reference to one: tags can hold any."""
    digits = match[1]
    if digits is not None:
        code = int(digits[1:], 16) if digits[0] in "xX" else int(digits)
        if code in (9, 10, 13) or 0x20 <= code < 0xD800 or 0xE000 <= code < 0xFFFE or 0x10000 <= code < 0x110000:
            return match[0]
    return "\ufffd"


def error(body: bytes) -> tuple[str, str]:
    """Return code and message of an error response, both "" where it has none."""
    answer = decode(body) or {}
    first = object_member(object_member(answer, "Errors") or answer, "Error")  # AWS sends one; STS without a list
    return text_member(first, "Code"), text_member(first, "Message")


def _value(element: Element, depth: int) -> Any:  # noqa: ANN401 -- nested dicts, lists and text
    if depth > _DEEPEST:
        raise ProtocolError("the response of EC2 is nested too deeply")
    children = list(element)
    if not children:
        name = _name(element)
        return [] if name.endswith("Set") and not (element.text or "").strip() else element.text or ""
    if {_name(child) for child in children} in ({"item"}, {"member"}):
        return [_value(child, depth + 1) for child in children]
    return {_name(child): _value(child, depth + 1) for child in children}


def _name(element: Element) -> str:
    return element.tag.rpartition("}")[2]
