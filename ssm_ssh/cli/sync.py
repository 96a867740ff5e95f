"""`ssm-ssh sync`: an alias in ssh's configuration for each instance that has a name."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from ssm_ssh.cli import output, scope
from ssm_ssh.cli.parser import Arguments, command_parser
from ssm_ssh.errors import StateError, UsageError
from ssm_ssh.text import printable

if TYPE_CHECKING:
    from ssm_ssh.aws.services.inventory import Inventory, Node
    from ssm_ssh.cli.scope import Asked
    from ssm_ssh.sshconfig.locations import Place
    from ssm_ssh.sshconfig.managed_file import Alias

_DESCRIPTION = """\
Create an ssh alias for each instance that Systems Manager knows, from its Name tag:

  ssm-ssh sync prod:eu-west-1,us-east-1 dev
  ssh web-1                                 # the right instance, user, profile and region

Each call replaces the aliases of the call before: instances that no longer exist, were renamed or are no longer
selected lose theirs. An account or region that does not answer keeps its aliases. The aliases are in ssm-ssh's own
file; your ssh configuration is not changed.
"""

_EPILOG = f"""\
{scope.WHERE}
An alias is the name of the instance, if that has only letters, digits, - and _, and at most 63 of them. Spaces,
brackets and accents are left out: 'Caf\u00e9 (1)' becomes Cafe-1. A name that already means something in your ssh
configuration, known_hosts or /etc/hosts is not used. If several instances have the same name, a part of the id is added
to each alias (web-9abcdef0), as it is where letters of other scripts were left out. sync reports an alias that leads to
another instance than before. The user is the platform's usual one, or that of the setting `user`.

From cron: put places and tags into the settings (sync, sync_tags), and use --quiet, which prints only what you should
know. Cron's PATH is short, so name the program in full (command -v ssm-ssh prints its path):

  17 * * * * $HOME/.local/bin/ssm-ssh sync --quiet

Nothing is written if nothing has changed.

exit status: 0 done, or nothing to do; 1 a place did not answer, or the file could not be written; 2 wrong arguments.
"""

# A list longer than this is for a file, not for a person.
_SHOWN = 10


class Change(NamedTuple):
    """The aliases before and after, and the instances that get none (name, id, reason).

    `spelled` are the instances whose alias is spelled in another way than their name (name, id, alias), `shared` the
    names that several instances have, with the aliases of these.
    """

    before: dict[str, Alias]
    after: dict[str, Alias]
    skipped: list[tuple[str, str, str]]
    spelled: list[tuple[str, str, str]]
    shared: dict[str, list[str]]

    @property
    def rebound(self) -> list[tuple[Alias, Alias]]:
        """The aliases that lead to another instance than before."""
        both = [(self.before[name], alias) for name, alias in self.after.items() if name in self.before]
        return [(old, new) for old, new in both if old.instance_id != new.instance_id]

    @property
    def altered(self) -> list[str]:
        """The aliases whose user, profile or region differs from before, each with what differs."""
        described = []
        for name, new in self.after.items():
            old = self.before.get(name, new)
            fields = [
                f"{field} {getattr(old, field) or 'none'} -> {getattr(new, field) or 'none'}"
                for field in ("user", "profile", "region")
                if getattr(old, field) != getattr(new, field)
            ]
            if fields:
                described.append(f"{name} ({', '.join(fields)})")
        return described


def run(argv: list[str]) -> int:
    """Run the command; returns its exit status."""
    options = _parser().parse_args(argv)
    from ssm_ssh.settings import schema
    from ssm_ssh.sshconfig import desired, effective, locations

    where, ssh = locations.find_place(), effective.find_ssh()
    asked = scope.ask(options, tags=schema.load().words("sync_tags"))
    changes: list[Change] = []

    def change(before: tuple[Alias, ...]) -> tuple[Alias, ...]:
        changes.append(plan(asked, before, where))
        return tuple(changes[-1].after.values())

    done = desired.update_aliases(where, ssh, change, dry_run=options.dry_run)
    complete = len(_named(asked)) == len(asked.answers)
    _tell(changes[-1], bool(done.plan.changes), complete=complete, dry_run=options.dry_run, quiet=options.quiet)
    if not options.dry_run:
        _remember(asked)
    scope.complain(asked.answers)
    return 0 if complete else 1


def _parser() -> Arguments:
    parser = command_parser("sync", _DESCRIPTION, epilog=_EPILOG)
    scope.add_options(parser)
    parser.add_argument("--user", metavar="U", help="the user of every alias, instead of the platform's usual one")
    parser.add_argument("--dry-run", action="store_true", help="show what would change, without changing it")
    parser.add_argument(
        "--quiet", action="store_true", help="print only aliases that lead to another instance, and failures"
    )
    return parser


def plan(asked: Asked, before: tuple[Alias, ...], where: Place) -> Change:
    """Return which aliases there are to be, given those that are there."""
    from ssm_ssh.locate import aliases
    from ssm_ssh.sshconfig.managed_file import Alias, check_alias
    from ssm_ssh.sshconfig.taken_names import meanings

    nodes = {node.instance_id: node for place in reversed(_named(asked)) for node in place.nodes}
    kept = [alias for alias in before if alias.instance_id not in nodes and _kept(alias, asked)]
    taken = {alias.name.lower(): alias for alias in kept}
    taken |= {aliases.base_of(alias.name, alias.instance_id).lower(): alias for alias in kept}
    known = meanings(where)

    def meaning(name: str) -> str:
        alias = taken.get(name.lower())
        if alias is None:
            return known(name)
        return f"an alias of {alias.instance_id}, which stays as not all places could be asked"

    chosen = aliases.choose((aliases.Named(node.instance_id, node.name) for node in nodes.values()), meaning)
    skipped = [(skip.name, skip.instance_id, skip.reason) for skip in chosen.skipped if skip.name]
    after = {alias.name: alias for alias in kept}
    own = asked.settings.text("user")
    for instance_id, name in chosen.aliases.items():
        node = nodes[instance_id]
        try:
            after[name] = check_alias(
                Alias(name, instance_id, own or node.user, _profile_of(node, asked), node.region),
            )
        except UsageError as error:
            skipped.append((name, instance_id, error.message))
    ordered = dict(sorted(after.items(), key=lambda entry: (entry[0].lower(), entry[0])))
    spelled = [
        (nodes[key].name, key, name)
        for key, name in chosen.aliases.items()
        if aliases.base_of(name, key) != nodes[key].name and not aliases.is_alias(nodes[key].name)
    ]
    shared = {
        name: [chosen.aliases[key] for key in keys if key in chosen.aliases] for name, keys in chosen.shared.items()
    }
    return Change({alias.name: alias for alias in before}, ordered, sorted(skipped), sorted(spelled), shared)


def _named(asked: Asked) -> list[Inventory]:
    """Return what the places told that told names."""
    return [
        answer.inventory
        for answer in asked.answers
        if answer.inventory is not None and not answer.inventory.names_error
    ]


def _kept(alias: Alias, asked: Asked) -> bool:
    """Return whether `alias`, whose instance no place has told, stays.

    It goes where its own place has listed its instances. An alias of a place that was not asked is no longer chosen,
    but only where every place could be asked: a place that failed may be the same one under a mistyped name.
    """
    if _unasked(alias, asked):
        return True
    places = {(_profile_of(told, asked), told.region) for told in _named(asked)}
    return len(_named(asked)) < len(asked.answers) and (alias.profile, alias.region) not in places


def _unasked(alias: Alias, asked: Asked) -> bool:
    """Return whether `alias` may be of a place that could not tell what it has; nothing named is anything."""
    return any(
        (not alias.profile or answer.scope.profile in ("", alias.profile)) and answer.scope.region in ("", alias.region)
        for answer in asked.answers
        if answer.inventory is None or answer.inventory.names_error
    )


def _profile_of(place: Node | Inventory, asked: Asked) -> str:
    """Return the profile to write down: the environment's credentials have no name, and decide at each connection."""
    from ssm_ssh.locate.selection import given_by

    if place.profile or given_by(os.environ):
        return place.profile
    return "default" if "default" in asked.files.profiles else ""


def _remember(asked: Asked) -> None:
    from ssm_ssh.locate import history

    known = []
    for answer in reversed(asked.answers):
        for node in answer.inventory.nodes if answer.inventory else ():
            profile = _profile_of(node, asked)
            if profile:
                known.append(history.KnownInstance(node.instance_id, profile, node.region, node.user))
    try:
        history.remember(known)
    except StateError as error:
        output.line(f"Warning: {error.sentence()}")


def _tell(change: Change, wrote: bool, *, complete: bool, dry_run: bool, quiet: bool) -> None:
    for old, new in change.rebound:
        output.line(f"Warning: {new.name} now leads to {new.instance_id}, before to {old.instance_id}")
    for name, longer in sorted(change.shared.items()):
        # The alias may be in other letters.
        gone = name.lower() in map(str.lower, set(change.before) - set(change.after))
        if gone or not quiet:
            output.line(
                f"{len(longer)} instances are named {name}, so there is no alias {name}: "
                f"each ends with a part of the id ({_some(sorted(longer))})"
            )
    if quiet:
        return
    for name, instance_id, alias in change.spelled[: len(change.spelled) if dry_run else _SHOWN]:
        output.line(
            f"The alias of {instance_id}, named '{printable(name, 60)}', is {alias}: "
            "an alias has only letters, digits, - and _"
        )
    most = len(change.skipped) if dry_run else _SHOWN
    for name, instance_id, reason in change.skipped[:most]:
        output.line(f"No alias for {instance_id}, named '{printable(name, 60)}': {printable(reason, 160)}")
    if len(change.skipped) > most:
        output.line(f"No alias for {len(change.skipped) - most} more; --dry-run names them")
    for verb, names in (
        ("New", sorted(set(change.after) - set(change.before))),
        ("Gone", sorted(set(change.before) - set(change.after))),
        ("Changed", change.altered),
    ):
        if names:
            output.line(f"{verb}: {_some(names)}")
    total = f"{len(change.after)} alias{'' if len(change.after) == 1 else 'es'}"
    if wrote:
        output.line(f"There would be {total}." if dry_run else f"There are {total} now.")
    elif complete:
        output.line(f"Nothing to do: {total}, all current.")
    else:
        output.line(f"Not all places answered: {total}, unchanged.")


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
