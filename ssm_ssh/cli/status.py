"""`ssm-ssh status`: what is set up, whether ssh would use it, and what to mind."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from ssm_ssh import __version__
from ssm_ssh.cli.parser import Arguments
from ssm_ssh.errors import SsmSshError, StateError, UsageError
from ssm_ssh.installation import program
from ssm_ssh.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable

    from ssm_ssh.sshconfig.effective import Ssh
    from ssm_ssh.sshconfig.locations import Place

_DESCRIPTION = """\
Show what `ssm-ssh setup` has set up, whether it is current and whether ssh would use it, which profile and region
apply and where they come from, and what is dangerous or in the way. Nothing is changed and AWS is not called.
"""

_EPILOG = """\
exit status: 0 ssh would use ssm-ssh, everything is current, and there is no problem; 1 not so.
"""

_MOST_REMOVALS = 5
_MOST_OUTCOMES = 5
# Instances that are named in one row.
_MOST_NAMED = 3


def run(argv: list[str]) -> int:
    """Run the command; returns 0 when ssh would use ssm-ssh as it is now, and connections could succeed."""
    import argparse

    parser = Arguments(
        prog="ssm-ssh status",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.parse_args(argv)
    from ssm_ssh.sshconfig import effective, locations

    where, ssh = locations.find_place(), effective.find_ssh()
    _row("ssm-ssh", __version__)
    good = _configuration(where, ssh)
    _row("program", " ".join(program()))
    _choice()
    problems = _problems()
    for problem in problems:
        _row("problem", problem)
    _connections()
    _host_keys()
    _removals()
    return 0 if good and not problems else 1


def _row(name: str, value: str) -> None:
    print(f"{name:<10}{printable(value, 400)}")


def _configuration(where: Place, ssh: Ssh) -> bool:
    from ssm_ssh.sshconfig import effective, include, install, lint, locations
    from ssm_ssh.sshconfig.atomic_replace import look
    from ssm_ssh.sshconfig.desired import compose
    from ssm_ssh.sshconfig.managed_file import Managed, proxy_command, render
    from ssm_ssh.sshconfig.parser import scan

    config, own = look(where.config), look(where.managed)
    stored = install.stored(config, own)
    problems = []
    text = None
    try:
        text = render(compose(where, stored, dry_run=True)).encode("utf-8", "surrogateescape")
    except UsageError as error:
        problems.append(f"what the rules are to say is not known: {error.sentence()}")
    line = include.include_line(str(where.managed))
    inline = include.has_block(config.text)
    if not inline and not include.has_line(config.text, line):
        _row("setup", "not set up; run: ssm-ssh setup")
        for problem in problems:
            _row("problem", problem)
        return False
    if inline:
        _row("setup", f"a block in {where.config}")
        current = text is not None and include.block_in(config.text) == text.strip(b"\n") + b"\n"
    else:
        _row("setup", f"{where.managed}, included by the first line of {where.config}")
        current = own.content == text
        if not include.line_is_first(config.text, line):
            problems.append(
                f"{where.config}: the line that includes ssm-ssh's rules is not the first; what precedes it wins"
            )
    if not current and text is not None:
        problems.append("the rules are older than this ssm-ssh, its place or its settings; run: ssm-ssh setup")
    outcomes = [ssh.ask(name) for name in effective.IDS]
    reason = next(filter(None, map(effective.rejected, outcomes)), "")
    command = proxy_command(Managed(program(), (), Path(), environment=locations.environment(where.home)))
    # ssh -G prints the tokens as they are.
    used = not reason and all(one.value("proxycommand") == command for one in outcomes)
    _row("ssh", f"{ssh.version()} at {ssh.program}: {'uses it' if used else 'does not use it'}")
    if reason:
        problems.append(f"ssh does not accept its configuration: {reason}")
    elif not used:
        problems.append(f"ssh would run for an instance: {outcomes[0].value('proxycommand') or 'no ProxyCommand'}")
    for problem in problems:
        _row("problem", problem)
    if not reason:
        directives = scan(where.config, where.folder, skip=where.managed)
        for note in lint.notes(where, directives, outcomes[0], outcomes[2]):
            _row("danger" if note.danger else "mind", note.line())
    return used and current


def _choice() -> None:
    from ssm_ssh.locate import resolver, selection
    from ssm_ssh.settings import schema

    chosen = selection.choose(schema.load(), os.environ)
    _row("profile", f"{chosen.profile or 'default'}{_from(chosen.profile_from)}")
    try:
        found = resolver.aws_settings(chosen, os.environ)
    except SsmSshError as error:
        _row("region", error.sentence())
        return
    fallback = chosen.fallback_from if found.region == chosen.fallback else ""
    _row("region", found.region + _from(chosen.region_from or fallback or f"the profile in {found.files.config_path}"))


def _problems() -> list[str]:
    """Return why connections would fail, as far as that is to be seen from here."""
    from ssm_ssh.auth import identity, keypair
    from ssm_ssh.hostkeys import admin
    from ssm_ssh.hostkeys.known_hosts import KNOWN, REFUSED
    from ssm_ssh.settings import schema
    from ssm_ssh.storage.paths import data_folder

    found = []
    key = schema.load().text("key")
    checks: list[Callable[[], object]] = [lambda: found.append(identity.problem(key, env=os.environ))]
    if os.path.lexists(data_folder()):  # to look into it would make it
        checks += [] if key else [keypair.show]
        checks += [lambda: admin.of("", KNOWN), lambda: admin.of("", REFUSED)]
    for check in checks:
        try:
            check()
        except StateError as error:
            found.append(error.sentence())
    return list(dict.fromkeys(filter(None, found)))


def _connections() -> None:
    """Name the connections that are lost at the moment, and those that ended and may not have said why."""
    import time

    from ssm_ssh.storage.paths import state_folder
    from ssm_ssh.tunnel import outcomes

    if not os.path.lexists(state_folder()):  # to look into it would make it
        return
    for one in outcomes.recent(time.time())[-_MOST_OUTCOMES:]:
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(one.at))
        if one.kind == outcomes.LOST:
            _row("mind", f"the connection to {one.instance_id} (process {one.pid}) is lost since {when} and looked for")
        else:
            _row("mind", f"a connection to {one.instance_id} ended at {when}: {one.sentence}")


def _host_keys() -> None:
    """Name the instances whose host keys were refused, and those whose host keys nothing has confirmed."""
    from ssm_ssh.hostkeys import admin
    from ssm_ssh.hostkeys.known_hosts import KNOWN, REFUSED, instance_of
    from ssm_ssh.hostkeys.verdict import UNVERIFIED
    from ssm_ssh.storage.paths import data_folder

    if not os.path.lexists(data_folder()):
        return
    try:
        refused = dict.fromkeys(instance_of(name) for name, _, _ in admin.of("", REFUSED))
        unverified = dict.fromkeys(
            instance_of(name) for name, _, comment in admin.of("", KNOWN) if comment.startswith(UNVERIFIED)
        )
    except StateError:  # a problem that has been told
        return
    for ids, what, todo in (
        (list(refused), "host keys were refused", "look at them: ssm-ssh host-keys"),
        (list(unverified), "host keys are recorded unverified", "have them verified: ssm-ssh host-keys refresh"),
    ):
        if ids:
            more = f" and {len(ids) - _MOST_NAMED} more" if len(ids) > _MOST_NAMED else ""
            _row("mind", f"{what} of {', '.join(ids[:_MOST_NAMED])}{more}; {todo} {ids[0]}")


def _removals() -> None:
    """Name the entries in authorized_keys files that were to be gone by now, and are not known to be."""
    import time

    from ssm_ssh.auth import push_journal

    now = time.time()
    overdue: dict[tuple[str, str], push_journal.Entry] = {}
    for entry in push_journal.entries():
        if entry.expires < now:
            overdue.setdefault((entry.instance_id, entry.user), entry)
    for (instance_id, user), entry in list(overdue.items())[:_MOST_REMOVALS]:
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.expires))
        _row(
            "mind",
            f"entry {entry.entry_id} of {user} on {instance_id} was to remove itself at {when}; "
            f"removal not confirmed yet; to confirm: ssm-ssh key sweep {instance_id} {user}",
        )
    if len(overdue) > _MOST_REMOVALS:
        _row("mind", f"{len(overdue) - _MOST_REMOVALS} more removals not confirmed yet; all of them: ssm-ssh key")


def _from(origin: str) -> str:
    return f" (from {origin})" if origin else ""
