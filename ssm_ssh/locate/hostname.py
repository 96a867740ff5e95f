"""PURE: what a host name says: an instance, and after its dots a region and a profile, in any order.

`i-0123456789abcdef0.eu-west-1.prod` is that instance, by profile `prod`, in `eu-west-1`. ssh converts host names to
lower case first, so `prod` means the profile `Prod` if no other profile could be meant.
"""

from __future__ import annotations

from ssm_ssh.errors import UsageError
from ssm_ssh.names import is_instance_id
from ssm_ssh.startup import TYPE_CHECKING
from ssm_ssh.target import Target, parse_target
from ssm_ssh.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

# A profile's name consists of these, in lower case, and of single dots between them, if a host name can contain it.
_LABEL = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_-")
# Regions end in a hyphen and a digit: us-east-1, us-gov-west-1.
_REGION_PATTERN = "*-*-?"
# Each profile adds three patterns for two kinds of id to what ssh reads at every start.
_MOST_PROFILES = 250
_SHOWN = 8


class HostName:
    """A host name as ssh passes it (`%h`), taken apart. ssh looks for the host key under `spelled`."""

    __slots__ = ("labels", "spelled", "target")

    def __init__(self, spelled: str, target: Target, labels: str | None = None) -> None:
        """`labels`: what follows the instance id and a dot, in lower case; None: there is no dot."""
        self.spelled = spelled
        self.target = target
        self.labels = labels

    def __repr__(self) -> str:
        return f"HostName({self.spelled!r})"

    @property
    def instance_id(self) -> str:
        """The instance's id."""
        return self.target.instance_id


def parse(host: str) -> HostName:
    """Return what `host` (ssh's `%h`) consists of. Raises UsageError unless it begins with an instance id."""
    first, dot, labels = host.lower().partition(".")
    target = parse_target(first if is_instance_id(first) else host)
    return HostName(host, target, labels if dot else None)


def interpret(
    name: HostName, profiles: Callable[[], Iterable[str]], is_region: Callable[[str], bool]
) -> tuple[str, str]:
    """Return the profile and the region that the labels of `name` mean, "" for what they leave open.

    `profiles` returns the configured ones; it is called only if there are labels. Raises UsageError for labels that
    mean nothing, or more than one thing.
    """
    rest, instance_id = name.labels, name.instance_id
    if rest is None:
        return "", ""
    configured = list(profiles())
    meanings: list[tuple[str, str]] = []
    for label, region in _readings(rest, is_region):
        matching = [profile for profile in configured if profile.lower() == label] if label else [""]
        if len(matching) > 1:
            names = " or ".join(f"'{profile}'" for profile in sorted(matching))
            raise UsageError(
                f"'{printable(label, 60)}' in the host name may mean profile {printable(names, 100)}, because ssh "
                "converts host names to lower case",
                f"Choose it in the environment: AWS_PROFILE={matching[0]} ssh {instance_id}",
            )
        meanings += [(profile, region) for profile in matching]
    # A region's name means the region, even where a profile has the same name.
    if len(meanings) > 1 and ("", rest) in meanings:
        meanings = [("", rest)]
    if not meanings:
        raise _unknown(rest, configured, is_region)
    if len(meanings) > 1:
        choices = " or ".join(f"profile '{profile}'{f' in {region}' if region else ''}" for profile, region in meanings)
        raise UsageError(
            f"'{printable(rest, 60)}' in the host name may mean {printable(choices, 160)}",
            f"Choose it in the environment: AWS_PROFILE={meanings[0][0]} ssh {instance_id}",
        )
    return meanings[0]


def suffixes(profiles: Iterable[str]) -> tuple[str, ...]:
    """Return ssh_config patterns for what may follow an id and a dot: a region, one of `profiles`, or both."""
    names = sorted({profile.lower() for profile in profiles if _is_label(profile.lower())})[:_MOST_PROFILES]
    out = [_REGION_PATTERN]
    for name in names:
        out += [name, f"{name}.{_REGION_PATTERN}", f"{_REGION_PATTERN}.{name}"]
    return tuple(out)


def _is_label(name: str) -> bool:
    return all(part and _LABEL.issuperset(part) for part in name.split("."))


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
    unknown = printable(".".join(labels), 60)
    names = sorted(configured)
    shown = ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
    return UsageError(
        f"'{unknown}' in the host name is neither a region nor a configured profile",
        f"Profiles: {shown}"
        if names
        else "No profile is configured; write ~/.aws/config and ~/.aws/credentials "
        f"(docs/getting-started.md shows both), or run: {configure()}",
    )
