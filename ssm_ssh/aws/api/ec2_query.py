"""EC2's own protocol: a form goes out, XML comes back.

https://smithy.io/2.0/aws/protocols/aws-ec2-query-protocol.html
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ssm_ssh.errors import ProtocolError
from ssm_ssh.values import object_member, text_member

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from xml.etree.ElementTree import Element

VERSION = "2016-11-15"
CONTENT_TYPE = "application/x-www-form-urlencoded; charset=utf-8"
_UNSPEAKABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]|&#([0-9]{1,9}|[xX][0-9a-fA-F]{1,8});")
# No answer of EC2's is nested more than a dozen levels.
_DEEPEST = 32


def encode(operation: str, payload: Mapping[str, Any]) -> bytes:
    """Return the form that asks for `operation`: lists become Name.1, Name.2, structures Name.Member."""
    from urllib.parse import urlencode

    pairs = [("Action", operation), ("Version", VERSION), *_flat("", payload)]
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
    """Return what an answer's XML says: structures as dicts, `...Set` and other lists of `item` as lists, text.

    None for what is not XML of EC2's kind: no document type, no entities of its own, no depth without end.
    """
    from xml.etree.ElementTree import ParseError, XMLParser

    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        return None
    if "<!" in text:  # a document type could define entities that grow without end; AWS sends none
        return None
    try:
        parser = XMLParser()  # noqa: S314 -- nothing is left in it that could grow or reach out
        parser.feed(_UNSPEAKABLE.sub(_stand_in, text))
        found = _value(parser.close(), 0)
    except (ParseError, ValueError, ProtocolError):
        return None
    return found if isinstance(found, dict) else None


def _stand_in(found: re.Match[str]) -> str:
    """Return what stands for a character, or a reference to one, that XML may not hold: a tag can have any."""
    digits = found[1]
    if digits is not None:
        code = int(digits[1:], 16) if digits[0] in "xX" else int(digits)
        if code in (9, 10, 13) or 0x20 <= code < 0xD800 or 0xE000 <= code < 0xFFFE or 0x10000 <= code < 0x110000:
            return found[0]
    return "\ufffd"


def error(body: bytes) -> tuple[str, str]:
    """Return code and message of an error answer, both "" where it holds none."""
    first = object_member(object_member(decode(body) or {}, "Errors"), "Error")  # AWS sends one
    return text_member(first, "Code"), text_member(first, "Message")


def _value(element: Element, depth: int) -> Any:  # noqa: ANN401 -- nested dicts, lists and text
    if depth > _DEEPEST:
        raise ProtocolError("the answer of EC2 is nested too deeply")
    children = list(element)
    if not children:
        name = _name(element)
        return [] if name.endswith("Set") and not (element.text or "").strip() else element.text or ""
    if all(_name(child) == "item" for child in children):
        return [_value(child, depth + 1) for child in children]
    return {_name(child): _value(child, depth + 1) for child in children}


def _name(element: Element) -> str:
    return element.tag.rpartition("}")[2]
