"""EC2's filters: which of its objects a caller wants, by values at paths in them.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Filtering.html
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Mapping
from typing import Any

from ssm_ssh.lab.api.context import ApiError

Object = dict[str, Any]


def chosen(objects: list[Object], filters: list[Object], paths: Mapping[str, str]) -> list[Object]:
    """Return the `objects` that pass all `filters`. `paths`: where each filter looks, dots between the names.

    A value may hold * and ?. Raises ApiError for a filter that is not known.
    """
    for filter_ in filters:
        name, patterns = filter_["Name"], filter_.get("Values", [])
        objects = [item for item in objects if _passes(values(item, name, paths), patterns)]
    return objects


def values(item: Object, name: str, paths: Mapping[str, str]) -> list[str]:
    """Return the values of `item` that the filter `name` compares. Raises ApiError for a filter that is not known."""
    tags = {tag["Key"]: tag["Value"] for tag in item.get("Tags", [])}
    if name.startswith("tag:"):
        return [tags[name[4:]]] if name[4:] in tags else []
    if name == "tag-key":
        return list(tags)
    if name not in paths:
        raise ApiError("InvalidParameterValue", f"The filter '{name}' is invalid")
    return list(_at(item, paths[name].split(".")))


def _at(item: Any, path: list[str]) -> Iterator[str]:  # noqa: ANN401 -- an object of EC2's
    if isinstance(item, list):
        for inner in item:
            yield from _at(inner, path)
    elif not path:
        if item is not None:
            yield str(item).lower() if isinstance(item, bool) else str(item)
    elif isinstance(item, dict):
        yield from _at(item.get(path[0]), path[1:])


def _passes(found: list[str], patterns: list[str]) -> bool:
    # EC2 knows * and ? but no brackets.
    return any(fnmatch.fnmatchcase(item, pattern.replace("[", "[[]")) for item in found for pattern in patterns)
