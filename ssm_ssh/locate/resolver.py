"""From a host name to the instance and to the account and region to ask for it."""

from __future__ import annotations

import os

from ssm_ssh.errors import StateError
from ssm_ssh.startup import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ssm_ssh.aws.api.client import Api
    from ssm_ssh.aws.config.ini import SharedFiles
    from ssm_ssh.aws.config.settings import AwsSettings
    from ssm_ssh.locate.hostname import HostName
    from ssm_ssh.locate.selection import Scope, Selection
    from ssm_ssh.settings.schema import Place, Settings


class Located:
    """The settings by which an instance is asked for, and how they were chosen."""

    __slots__ = ("aws", "name", "selection")

    def __init__(self, name: HostName, aws: AwsSettings, selection: Selection) -> None:
        self.name = name
        self.aws = aws
        self.selection = selection

    def plan(self) -> list[str]:
        """Return what would be called to find the instance, one line a place."""
        return [
            f"ssm:DescribeInstanceInformation for profile {scope.profile}, region {scope.region or 'of the profile'}: "
            f"is {self.name.instance_id} there?"
            for scope in self.selection.search
        ]


def locate(
    name: HostName,
    settings: Settings,
    *,
    profile: str = "",
    region: str = "",
    env: Mapping[str, str] | None = None,
    debug: Callable[[str], None] | None = None,
    may_search: bool = True,
) -> Located:
    """Return the account and region to ask for the instance `name`. Calls AWS only to search for it.

    Without `may_search` the first place stands for all. Raises UsageError for labels, profiles and regions that are
    not usable, and what `search.find` raises.
    """
    from ssm_ssh.aws.config.endpoints import is_region
    from ssm_ssh.locate import history
    from ssm_ssh.locate.hostname import interpret
    from ssm_ssh.locate.selection import SEARCH, choose

    env = os.environ if env is None else env
    files = _Files(env)
    selection = choose(
        settings,
        env,
        named=interpret(name, lambda: files.get().profiles, is_region),
        profile=profile,
        region=region,
        recall=lambda: history.recall(name.instance_id),
        configured=lambda: files.get().profiles,
    )
    if selection.search and may_search:
        from ssm_ssh.locate.search import find

        scope, node = find(selection.search, name.instance_id, connector(settings, env, files.get(), debug))
        selection = selection._replace(
            profile=scope.profile,
            region=scope.region,
            profile_from=_kept(selection.profile_from, settings) or SEARCH,
            region_from=_kept(selection.region_from, settings) or SEARCH,
            search=(),
        )
        try:
            history.remember([history.KnownInstance(name.instance_id, scope.profile, scope.region, node.user)])
        except StateError as error:
            if debug:
                debug(f"not remembered: {error.sentence()}")
    meant = selection
    if selection.search:
        first = selection.search[0]
        meant = selection._replace(profile=first.profile, region=first.region)
    return Located(name, aws_settings(meant, env, files.get()), selection)


def aws_settings(selection: Selection, env: Mapping[str, str], files: SharedFiles | None = None) -> AwsSettings:
    """Return the settings that `selection` means. Raises UsageError."""
    from ssm_ssh.aws.config.settings import load

    return load(
        profile=None if selection.by_environment else selection.profile or None,
        region=selection.region or None,
        env=env,
        files=files,
        fallback_region=selection.fallback,
        origin=selection.origin,
    )


def connector(
    settings: Settings, env: Mapping[str, str], files: SharedFiles, debug: Callable[[str], None] | None = None
) -> Callable[[Scope], Api]:
    """Return a function that makes the Api of a scope."""
    from ssm_ssh.aws.api.client import Api
    from ssm_ssh.aws.config.settings import load

    def connect(scope: Scope) -> Api:
        aws = load(
            profile=scope.profile or None,
            region=scope.region or None,
            env=env,
            files=files,
            fallback_region=settings.text("default_region"),
        )
        return Api(aws, debug=debug)

    return connect


def scopes(places: Sequence[Place]) -> list[Scope]:
    """Return each profile and region of `places`, each once."""
    from ssm_ssh.locate.selection import Scope

    return list(dict.fromkeys(Scope(place.profile, region) for place in places for region in place.regions or ("",)))


def _kept(origin: str, settings: Settings) -> str:
    """Return an origin that narrowed the search, "" for that of a default."""
    defaults = {settings.origin("default_profile"), settings.origin("default_region")}
    return "" if origin in defaults else origin


class _Files:
    """The files of ~/.aws, parsed once and only if needed."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = env
        self._found: SharedFiles | None = None

    def get(self) -> SharedFiles:
        """Return them. Raises UsageError."""
        if self._found is None:
            from ssm_ssh.aws.config.ini import SharedFiles

            self._found = SharedFiles(self._env)
        return self._found
