"""PURE: what a host name says: an instance, and after its dots a region and a profile, in any order.

`i-0123456789abcdef0.eu-west-1.prod` is that instance, by profile `prod`, in `eu-west-1`. ssh lower-cases host names
before anybody sees them, so `Prod` is found by `prod` where no other profile could be meant.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from ssm_ssh.errors import UsageError
from ssm_ssh.names import is_instance_id
from ssm_ssh.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

# A profile's name must look like this, in lower case, to be said in a host name.
_LABELS = re.compile(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*")
# Regions end in a hyphen and a digit: us-east-1, us-gov-west-1.
_REGION_PATTERN = "*-*-?"
# Each profile adds three patterns for two kinds of id to what ssh reads at every start.
_MOST_PROFILES = 250
_SHOWN = 8


class HostName(NamedTuple):
    """What `parse` found. `spelled`: the name as ssh passed it, under which ssh looks for the host key."""

    spelled: str
    instance_id: str
    profile: str = ""
    region: str = ""


def instance_of(host: str) -> str:
    """Return the instance id that `host` begins with, or `host` itself where it begins with none."""
    first = host.lower().partition(".")[0]
    return first if is_instance_id(first) else host


def parse(host: str, profiles: Callable[[], Iterable[str]], is_region: Callable[[str], bool]) -> HostName:
    """Return what `host` (ssh's `%h`) says. `profiles` gives the configured ones; it is called for labels alone.

    A name whose first label is no instance id comes back whole, for `parse_target` to refuse. Raises UsageError for
    labels that mean nothing, or more than one thing.
    """
    instance_id = instance_of(host)
    _, dot, rest = host.lower().partition(".")
    if not dot or not is_instance_id(instance_id):
        return HostName(host, instance_id)
    configured = list(profiles())
    meanings: list[tuple[str, str]] = []
    for label, region in _readings(rest, is_region):
        found = [one for one in configured if one.lower() == label] if label else [""]
        if len(found) > 1:
            names = " or ".join(f"'{one}'" for one in sorted(found))
            raise UsageError(
                f"'{printable(label, 60)}' in the host name may be profile {printable(names, 100)}, for ssh "
                "lower-cases host names",
                f"Choose it in the environment: AWS_PROFILE={found[0]} ssh {instance_id}",
            )
        meanings += [(one, region) for one in found]
    # A region's name means the region, even where a profile has the same name.
    if len(meanings) > 1 and ("", rest) in meanings:
        meanings = [("", rest)]
    if not meanings:
        raise _unknown(rest, configured, is_region)
    if len(meanings) > 1:
        choices = " or ".join(f"profile '{one}'{f' in {region}' if region else ''}" for one, region in meanings)
        raise UsageError(
            f"'{printable(rest, 60)}' in the host name may be {printable(choices, 160)}",
            f"Choose it in the environment: AWS_PROFILE={meanings[0][0]} ssh {instance_id}",
        )
    return HostName(host, instance_id, *meanings[0])


def suffixes(profiles: Iterable[str]) -> tuple[str, ...]:
    """Return ssh_config patterns for what may follow an id and a dot: a region, one of `profiles`, or both."""
    names = sorted({one.lower() for one in profiles if _LABELS.fullmatch(one.lower())})[:_MOST_PROFILES]
    out = [_REGION_PATTERN]
    for name in names:
        out += [name, f"{name}.{_REGION_PATTERN}", f"{_REGION_PATTERN}.{name}"]
    return tuple(out)


def _readings(rest: str, is_region: Callable[[str], bool]) -> list[tuple[str, str]]:
    """Return the ways to take `rest` apart, as (profile label, region). A profile's name may hold dots itself."""
    out = [("", rest)] if is_region(rest) else []
    if rest:
        out.append((rest, ""))
    first, _, after = rest.partition(".")
    before, _, last = rest.rpartition(".")
    if after and is_region(first):
        out.append((after, first))
    if before and is_region(last):
        out.append((before, last))
    return out


def _unknown(rest: str, configured: list[str], is_region: Callable[[str], bool]) -> UsageError:
    from ssm_ssh.aws.config.cli_hint import configure

    labels = [label for label in rest.split(".") if not is_region(label)]
    said = printable(".".join(labels), 60)
    names = sorted(configured)
    shown = ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
    return UsageError(
        f"'{said}' in the host name is neither a region nor a configured profile",
        f"Profiles: {shown}" if names else f"No profile is configured; run: {configure()}",
    )
