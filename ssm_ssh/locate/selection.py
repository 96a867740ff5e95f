"""PURE: which profile and which region apply to an instance, and why.

An instance id contains neither. The order is: a flag (an alias has flags), the host name, the environment, the record
of an earlier connection, the defaults given to `setup`. If `search` is set and only the defaults apply, the instance is
searched for there and at the defaults.
"""

from __future__ import annotations

from ssm_ssh.startup import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping

    from ssm_ssh.locate.history import KnownInstance
    from ssm_ssh.settings.schema import Settings

HOST_NAME = "the host name"
MEMORY = "an earlier connection"
SEARCH = "search"
# In the order in which botocore looks.
_PROFILES = ("AWS_DEFAULT_PROFILE", "AWS_PROFILE")
_REGIONS = ("AWS_REGION", "AWS_DEFAULT_REGION")
# These bring credentials: keys, a web identity, those of a container. The AWS CLI then uses them, so neither a default
# nor a record may name a profile instead.
_GIVEN = (
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)


class Scope(NamedTuple):
    """A profile and a region to search; empty `region`: the profile's own."""

    profile: str
    region: str


class Selection(NamedTuple):
    """What applies. An empty profile or region is left to `aws.config.settings.load`.

    The `_from` members tell where each comes from, "" for nowhere. `fallback`: the region of a profile without one.
    `search`: where to look first; the other members apply if that is not done.
    """

    profile: str = ""
    profile_from: str = ""
    region: str = ""
    region_from: str = ""
    fallback: str = ""
    fallback_from: str = ""
    search: tuple[Scope, ...] = ()

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
        """Where profile and region come from, in a few words; "" if neither was chosen."""
        profile, region = (_short(origin) for origin in (self.profile_from, self.region_from))
        if profile == region:
            return f"both from {profile}" if profile else ""
        return ", ".join([f"profile from {profile}"] * bool(profile) + [f"region from {region}"] * bool(region))


def given_by(env: Mapping[str, str]) -> str:
    """Return the variable by which `env` brings credentials, "" if it brings none."""
    return next((variable for variable in _GIVEN if env.get(variable)), "")


def narrow(settings: Settings, env: Mapping[str, str]) -> tuple[Scope, ...]:
    """Return where to look for all instances: the defaults and the search, narrowed by the environment.

    AWS_PROFILE, AWS_REGION and credentials of the environment narrow the search as they do for one instance. Empty:
    nothing is configured, or nothing remains.
    """
    if not settings.words("search"):
        return ()
    by = next((variable for variable in _PROFILES if env.get(variable)), "") or given_by(env)
    at = next((variable for variable in _REGIONS if env.get(variable)), "")
    named = Selection(env.get(by, ""), by, env.get(at, ""), at)
    scopes = _scopes(named, settings)
    # The environment names the profile for every tool, so its keys count before the profile's, as they do elsewhere.
    return tuple(scope._replace(profile="") for scope in scopes) if named.by_environment else scopes


def choose(
    settings: Settings,
    env: Mapping[str, str],
    *,
    named: tuple[str, str] | None = None,
    profile: str = "",
    region: str = "",
    recall: Callable[[], KnownInstance | None] = lambda: None,
    configured: Callable[[], Container[str]] = lambda: (),
) -> Selection:
    """Return what applies to an instance, or to no instance in particular if `named` is None.

    `named`: profile and region of its host name, "" for what that leaves open. `profile` and `region` are flags.
    `recall` and `configured` (the names of the profiles) are called only if needed.
    """
    by = next((variable for variable in _PROFILES if env.get(variable)), "") or given_by(env)
    at = next((variable for variable in _REGIONS if env.get(variable)), "")
    selection = Selection(
        *_first((profile, "--profile"), (named[0] if named else "", HOST_NAME), (env.get(by, ""), by)),
        *_first((region, "--region"), (named[1] if named else "", HOST_NAME), (env.get(at, ""), at)),
    )
    if selection.credentials_given:
        selection = selection._replace(profile="")
    if not (selection.profile_from and selection.region_from):
        known = recall()
        if known and not selection.profile_from and known.profile in configured():
            selection = selection._replace(profile=known.profile, profile_from=MEMORY)
        # The region belongs to the instance and not to the profile.
        if known and not selection.region_from and known.region:
            selection = selection._replace(region=known.region, region_from=MEMORY)
    scopes = _scopes(selection, settings) if named else ()
    selection = _with_defaults(selection, settings)
    if len(scopes) == 1:
        scope = scopes[0]
        selection = selection._replace(profile=scope.profile, profile_from=selection.profile_from or SEARCH)
        return (
            selection._replace(region=scope.region, region_from=selection.region_from or SEARCH)
            if scope.region
            else selection
        )
    return selection._replace(search=scopes)


def _first(*choices: tuple[str, str]) -> tuple[str, str]:
    return next(((value, origin) for value, origin in choices if value), ("", ""))


def _with_defaults(selection: Selection, settings: Settings) -> Selection:
    profile, region = settings.text("default_profile"), settings.text("default_region")
    by, at = settings.origin("default_profile"), settings.origin("default_region")
    # A profile from elsewhere brings its own region, so the default region is only a fallback then.
    by_default = not selection.profile_from
    if by_default and profile:
        selection = selection._replace(profile=profile, profile_from=by)
    if region and not selection.region_from:
        if by_default:
            return selection._replace(region=region, region_from=at)
        return selection._replace(fallback=region, fallback_from=at)
    return selection


def _scopes(selection: Selection, settings: Settings) -> tuple[Scope, ...]:
    """Return where to look for an instance whose profile or region is not known."""
    if (selection.profile_from and selection.region_from) or selection.credentials_given:
        return ()
    scopes = [Scope(place.profile, region) for place in settings.places("search") for region in place.regions or ("",)]
    if not scopes:
        return ()
    if settings.text("default_profile"):
        scopes.insert(0, Scope(settings.text("default_profile"), settings.text("default_region")))
    if selection.profile_from:
        scopes = [scope for scope in scopes if scope.profile == selection.profile]
    if selection.region_from:
        scopes = [Scope(scope.profile, selection.region) for scope in scopes]
    return tuple(dict.fromkeys(scopes))


def _short(origin: str) -> str:
    return "the settings" if "/" in origin else origin
