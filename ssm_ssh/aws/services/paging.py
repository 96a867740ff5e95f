"""Operations that answer in pages."""

from __future__ import annotations

from ssm_ssh.errors import ProtocolError
from ssm_ssh.startup import TYPE_CHECKING
from ssm_ssh.values import objects_member

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from ssm_ssh.aws.api.client import Api

# At least 100,000 items: a service that returns tokens forever is broken.
_MOST_PAGES = 2000


def pages(api: Api, service: str, operation: str, payload: dict[str, Any], token: str) -> Iterator[dict[str, Any]]:
    """Yield the pages of `operation`'s answer; `token` is the member that names the next page.

    Raises what Api.call raises, and ProtocolError for a token that repeats and for too many pages.
    """
    seen = set()
    for _ in range(_MOST_PAGES):
        answer = api.call(service, operation, payload)
        yield answer
        following = answer.get(token)
        if not following:
            return
        if not isinstance(following, str) or following in seen:
            break
        seen.add(following)
        payload = {**payload, "NextToken": following}
    raise ProtocolError(f"{operation} returns pages without end", "Check the endpoint URL")


def items(answer: dict[str, Any], name: str, operation: str) -> list[dict[str, Any]]:
    """Return the objects in the list `name` of `answer`.

    Raises ProtocolError where the list is missing: AWS always sends it, and an empty list would mean that nothing
    exists.
    """
    if not isinstance(answer.get(name), list):
        raise ProtocolError(f"the answer to {operation} has no {name}", "Check the endpoint URL and the proxy")
    return objects_member(answer, name)
