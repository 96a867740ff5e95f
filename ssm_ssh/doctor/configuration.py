"""Checks of ssh's configuration: whether it is set up, whether it is current, and whether ssh uses it."""

from __future__ import annotations

from pathlib import Path

from ssm_ssh import __version__
from ssm_ssh.doctor.finding import Finding, State
from ssm_ssh.errors import UsageError
from ssm_ssh.installation import program
from ssm_ssh.startup import TYPE_CHECKING
from ssm_ssh.text import printable

if TYPE_CHECKING:
    from ssm_ssh.sshconfig.effective import Outcome, Ssh
    from ssm_ssh.sshconfig.locations import Place

_SETUP = "Run: ssm-ssh setup"


def version() -> list[Finding]:
    """Name this program and its version."""
    return [Finding("version", State.OK, f"ssm-ssh {__version__}, started as {' '.join(program())}")]


def check() -> list[Finding]:
    """Check the rules in ssh's configuration, and ask ssh itself what it would do for an instance."""
    from ssm_ssh.sshconfig import effective, include, locations
    from ssm_ssh.sshconfig.atomic_replace import look

    place, ssh = locations.find_place(), effective.find_ssh()
    config = look(place.config)
    if not include.has_block(config.text) and not include.has_line(
        config.text, include.include_line(str(place.managed))
    ):
        return [*_unknown_rules(place), Finding("setup", State.PROBLEM, "not set up", _SETUP)]
    outcomes = [ssh.ask(name) for name in effective.IDS]
    return [*_rules(place), *_use(place, ssh, outcomes), *_others(place, ssh, outcomes)]


def _wanted(place: Place) -> bytes:
    """Return the rules as this version writes them. Raises UsageError where a setting or path cannot be written."""
    from ssm_ssh.sshconfig import install
    from ssm_ssh.sshconfig.atomic_replace import look
    from ssm_ssh.sshconfig.desired import compose
    from ssm_ssh.sshconfig.managed_file import render

    stored = install.stored(look(place.config), look(place.managed))
    return render(compose(place, stored, dry_run=True)).encode("utf-8", "surrogateescape")


def _unknown_rules(place: Place) -> list[Finding]:
    try:
        _wanted(place)
    except UsageError as error:
        return [Finding("rules", State.PROBLEM, f"the rules cannot be written: {error.message}", error.hint)]
    return []


def _rules(place: Place) -> list[Finding]:
    """Check that the rules are those of this version, and that nothing precedes them."""
    from ssm_ssh.sshconfig import include
    from ssm_ssh.sshconfig.atomic_replace import look

    config, managed = look(place.config), look(place.managed)
    line = include.include_line(str(place.managed))
    inline = include.has_block(config.text)
    findings = _unknown_rules(place)
    wanted = None if findings else _wanted(place)
    if inline:
        where = f"a block in {place.config}"
        current = wanted is None or include.block_in(config.text) == wanted.strip(b"\n") + b"\n"
    else:
        where = f"{place.managed}, included by the first line of {place.config}"
        current = wanted is None or managed.content == wanted
    findings.insert(0, Finding("setup", State.OK, where))
    if not inline and not include.line_is_first(config.text, line):
        evidence = f"{place.config}: the line that includes ssm-ssh's rules is not the first; earlier lines win"
        findings.append(Finding("rules", State.PROBLEM, evidence, _SETUP))
    if not current:
        rules = include.block_in(config.text) if inline else managed.content
        unknown = _profile_without_rule(rules or b"")
        evidence = (
            f"the rules do not know profile '{printable(unknown, 60)}' yet"
            if unknown
            else "the rules are older than this ssm-ssh, its location or its settings"
        )
        findings.append(Finding("rules", State.PROBLEM, evidence, _SETUP))
    return findings


def _profile_without_rule(rules: bytes) -> str:
    """Return the first configured profile that a host name may contain and that `rules` have no pattern for, or ""."""
    import os

    from ssm_ssh.aws.config.ini import SharedFiles
    from ssm_ssh.locate.hostname import suffixes
    from ssm_ssh.sshconfig.patterns import suffix_patterns

    known = set(rules.decode("utf-8", "replace").replace('"', ",").split(","))
    try:
        profiles = sorted(SharedFiles(os.environ).profiles)
    except UsageError:  # reported by the code that needs them
        return ""
    # The region's pattern is not the profile's, and both lists end with the same exclusions.
    common = set(",".join(suffix_patterns(suffixes([]))).split(","))
    for profile in profiles:
        own = set(",".join(suffix_patterns(suffixes([profile]))).split(",")) - common
        if own and known.isdisjoint(own):
            return profile
    return ""


def _use(place: Place, ssh: Ssh, outcomes: list[Outcome]) -> list[Finding]:
    """Check what ssh itself makes of the configuration, as `ssh -G` prints it."""
    from ssm_ssh.auth.key_type import TYPES
    from ssm_ssh.sshconfig import effective, locations
    from ssm_ssh.sshconfig.managed_file import Managed, proxy_command

    name = f"{ssh.version()} at {ssh.program}"
    reason = next(filter(None, map(effective.rejected, outcomes)), "")
    if reason:
        evidence = f"{name}: does not use it, because it rejects its configuration: {reason}"
        return [Finding("ssh", State.PROBLEM, evidence, "Correct that line")]
    environment = locations.environment(place.home)
    # ssh -G prints the tokens (%h, %p, %r) as they are.
    ours = {proxy_command(Managed(program(), (), Path(), key_type, environment=environment)) for key_type in TYPES}
    other = next((one.value("proxycommand") for one in outcomes if one.value("proxycommand") not in ours), None)
    if other is None:
        return [Finding("ssh", State.OK, f"{name}: uses it")]
    evidence = f"{name}: does not use it, and would run for an instance: {other or 'no ProxyCommand'}"
    return [Finding("ssh", State.PROBLEM, evidence, _SETUP)]


def _others(place: Place, ssh: Ssh, outcomes: list[Outcome]) -> list[Finding]:
    """Return what in the user's own configuration still affects connections to instances."""
    from ssm_ssh.sshconfig import effective, install, lint
    from ssm_ssh.sshconfig.atomic_replace import look
    from ssm_ssh.sshconfig.parser import scan
    from ssm_ssh.sshconfig.patterns import is_ours

    if any(map(effective.rejected, outcomes)):
        return []
    directives = scan(place.config, place.folder, skip=place.managed)
    names = install.stored(look(place.config), look(place.managed)).names
    findings = [
        Finding(
            "ssh config",
            State.PROBLEM,
            f"'{name}' no longer stands for an instance in your configuration, but ssm-ssh's rules still connect it",
            _SETUP,
        )
        for name, outcome in ssh.ask_all(names).items()
        if not is_ours(outcome.value("hostname").partition(".")[0])
    ]
    return findings + [
        Finding(
            "ssh config",
            State.WARNING if note.danger else State.NOTE,
            f"{note.place}: {note.text}" if note.place else note.text,
            note.advice,
        )
        for note in lint.notes(place, directives, outcomes[0], outcomes[2], names)
    ]
