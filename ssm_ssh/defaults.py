"""PURE: which profile and region hold when several places name one: flags, environment, then what setup was given."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

SETUP = "ssm-ssh setup"
# In the order in which botocore looks.
_PROFILES = ("AWS_DEFAULT_PROFILE", "AWS_PROFILE")
_REGIONS = ("AWS_REGION", "AWS_DEFAULT_REGION")


class Choice(NamedTuple):
    """What to give to `aws.settings.load`; empty: left to it. The origins say where each comes from, "" likewise."""

    profile: str
    profile_origin: str
    region: str
    region_origin: str


def choose(
    env: Mapping[str, str], *, profile: str = "", region: str = "", default_profile: str = "", default_region: str = ""
) -> Choice:
    """Return what holds. A default never overrules what the environment chooses, keys in it included.

    A profile that was chosen otherwise brings its own region, so the default region stands back then.
    """
    by = next((name for name in _PROFILES if env.get(name)), "")
    where = next((name for name in _REGIONS if env.get(name)), "")
    use_default = not profile and not by
    if use_default and default_profile and not env.get("AWS_ACCESS_KEY_ID"):
        chosen, origin = default_profile, SETUP
    else:
        chosen, origin = profile, "--profile" if profile else by
    if not region and not where and use_default and default_region:
        return Choice(chosen, origin, default_region, SETUP)
    return Choice(chosen, origin, region, "--region" if region else where)
