"""PURE: which profile and which region hold for an instance, and why.

An instance's id says nothing of either. In this order: a flag (an alias has flags), the host name, the environment,
what was learned from an earlier connection, the defaults given to `setup`. Where `search` is set, an instance that
none but the defaults place is looked for there, and at the defaults.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping

    from ssm_ssh.locate.history import Learned
    from ssm_ssh.settings.schema import Settings

HOST_NAME = "the host name"
MEMORY = "an earlier connection"
SEARCH = "search"
# In the order in which botocore looks.
_PROFILES = ("AWS_DEFAULT_PROFILE", "AWS_PROFILE")
_REGIONS = ("AWS_REGION", "AWS_DEFAULT_REGION")
# With these a shell has been given credentials: keys, a web identity, those of a container. The AWS CLI then takes
# what its chain makes of them, and neither a default nor what is remembered may name a profile instead.
_GIVEN = (
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)


class Spot(NamedTuple):
    """A profile and a region to look in; empty `region`: the profile's own."""

    profile: str
    region: str


class Choice(NamedTuple):
    """What holds. Empty profile or region: left to `aws.settings.load`, as is what the environment names.

    The origins say where each comes from, "" where nothing named it. `fallback`: the region where the profile has
    none of its own. `search`: where to look first; the rest is then what holds if that is not done.
    """

    profile: str = ""
    profile_from: str = ""
    region: str = ""
    region_from: str = ""
    fallback: str = ""
    fallback_from: str = ""
    search: tuple[Spot, ...] = ()

    @property
    def by_environment(self) -> bool:
        """Whether the environment names the profile, or credentials, and decides as it does for the AWS CLI."""
        return self.profile_from in _PROFILES or self.credentials_given

    @property
    def credentials_given(self) -> bool:
        """Whether the environment brings credentials and names no profile."""
        return self.profile_from in _GIVEN

    @property
    def origin(self) -> str:
        """In a few words where profile and region come from, "" where neither was chosen."""
        profile, region = (_short(one) for one in (self.profile_from, self.region_from))
        if profile == region:
            return f"both by {profile}" if profile else ""
        return ", ".join([f"profile by {profile}"] * bool(profile) + [f"region by {region}"] * bool(region))


def given_by(env: Mapping[str, str]) -> str:
    """Return the variable by which `env` brings credentials, "" where it brings none."""
    return next((variable for variable in _GIVEN if env.get(variable)), "")


def narrow(settings: Settings, env: Mapping[str, str]) -> tuple[Spot, ...]:
    """Return where to look for everything: the defaults and the search, as far as the environment leaves them.

    AWS_PROFILE, AWS_REGION and credentials of the environment narrow it as they do for one instance. Empty: nothing is
    left of it, or nothing is configured.
    """
    if not settings.words("search"):
        return ()
    by = next((variable for variable in _PROFILES if env.get(variable)), "") or given_by(env)
    at = next((variable for variable in _REGIONS if env.get(variable)), "")
    named = Choice(env.get(by, ""), by, env.get(at, ""), at)
    spots = _spots(named, settings)
    # The environment names the profile for every tool, so its keys count before the profile's, as they do elsewhere.
    return tuple(spot._replace(profile="") for spot in spots) if named.by_environment else spots


def choose(
    settings: Settings,
    env: Mapping[str, str],
    *,
    named: tuple[str, str] | None = None,
    profile: str = "",
    region: str = "",
    recall: Callable[[], Learned | None] = lambda: None,
    configured: Callable[[], Container[str]] = lambda: (),
) -> Choice:
    """Return what holds for an instance, or for none in particular where `named` is None.

    `named`: profile and region of its host name, "" for what that leaves open. `profile` and `region` are flags.
    `recall` and `configured` (the profiles there are) are called only if needed.
    """
    by = next((one for one in _PROFILES if env.get(one)), "") or given_by(env)
    at = next((one for one in _REGIONS if env.get(one)), "")
    found = Choice(
        *_first((profile, "--profile"), (named[0] if named else "", HOST_NAME), (env.get(by, ""), by)),
        *_first((region, "--region"), (named[1] if named else "", HOST_NAME), (env.get(at, ""), at)),
    )
    if found.credentials_given:
        found = found._replace(profile="")
    if not (found.profile_from and found.region_from):
        known = recall()
        if known and not found.profile_from and known.profile in configured():
            found = found._replace(profile=known.profile, profile_from=MEMORY)
        # The region is a fact about the instance, whoever asks.
        if known and not found.region_from and known.region:
            found = found._replace(region=known.region, region_from=MEMORY)
    spots = _spots(found, settings) if named else ()
    found = _with_defaults(found, settings)
    if len(spots) == 1:
        spot = spots[0]
        found = found._replace(profile=spot.profile, profile_from=found.profile_from or SEARCH)
        return found._replace(region=spot.region, region_from=found.region_from or SEARCH) if spot.region else found
    return found._replace(search=spots)


def _first(*choices: tuple[str, str]) -> tuple[str, str]:
    return next(((value, origin) for value, origin in choices if value), ("", ""))


def _with_defaults(found: Choice, settings: Settings) -> Choice:
    profile, region = settings.text("default_profile"), settings.text("default_region")
    by, at = settings.origin("default_profile"), settings.origin("default_region")
    # A profile that was chosen otherwise brings its own region, so the default region stands back then.
    ours = not found.profile_from
    if ours and profile:
        found = found._replace(profile=profile, profile_from=by)
    if region and not found.region_from:
        if ours:
            return found._replace(region=region, region_from=at)
        return found._replace(fallback=region, fallback_from=at)
    return found


def _spots(found: Choice, settings: Settings) -> tuple[Spot, ...]:
    """Return where to look for an instance of which not both are known."""
    if (found.profile_from and found.region_from) or found.credentials_given:
        return ()
    spots = [Spot(place.profile, one) for place in settings.places("search") for one in place.regions or ("",)]
    if not spots:
        return ()
    if settings.text("default_profile"):
        spots.insert(0, Spot(settings.text("default_profile"), settings.text("default_region")))
    if found.profile_from:
        spots = [one for one in spots if one.profile == found.profile]
    if found.region_from:
        spots = [Spot(one.profile, found.region) for one in spots]
    return tuple(dict.fromkeys(spots))


def _short(origin: str) -> str:
    return "the settings" if "/" in origin else origin
