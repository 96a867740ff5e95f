"""The user's own names for instances: `Host web` with `HostName i-...`.

Our rules are read before the user's sections, so they know the name that was typed alone. A section that leads to an
instance and says nothing of how to get there is adopted: our file repeats the name, and not the id, so that the user's
HostName counts also after a change. What cannot be adopted is reported with what to do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ssm_ssh.sshconfig.effective import wrapper
from ssm_ssh.sshconfig.parser import included
from ssm_ssh.sshconfig.patterns import is_host_name, is_ours
from ssm_ssh.sshconfig.proof_folder import proof_folder, write_private

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ssm_ssh.sshconfig.effective import Outcome, Ssh
    from ssm_ssh.sshconfig.locations import Place
    from ssm_ssh.sshconfig.parser import Directive, Section


class Candidate(NamedTuple):
    """A name that may stand for an instance, and the section that says so."""

    name: str
    section: Section


def attached(place: Place, directives: Iterable[Directive]) -> list[Section]:
    """Return the sections into which the user has included our file. They use its rules wherever it is."""
    return [
        directive.section
        for directive in directives
        if directive.keyword == "include"
        and directive.section is not None
        and place.managed in included(directive.words, place.folder, missing=True)
    ]


def candidates(place: Place, directives: Sequence[Directive], suffixes: Iterable[str]) -> list[Candidate]:
    """Return the names of sections whose HostName is, or may become, an instance, each once.

    Left out are patterns, ids, and names whose sections include our file already.
    """
    using = attached(place, directives)
    leading = [
        directive.section
        for directive in directives
        if directive.section is not None and leads_to_instance(directive, suffixes, unexpanded=True)
    ]
    result: dict[str, Candidate] = {}
    for name in _names(directives) if leading else ():
        lower = name.lower()
        if is_ours(name, suffixes) or any(section.applies_to(lower) for section in using):
            continue
        section = next((section for section in leading if section.applies_to(lower)), None)
        if section is not None:
            result.setdefault(name, Candidate(name, section))
    return list(result.values())


def _names(directives: Iterable[Directive]) -> Iterator[str]:
    """Yield the names in Host and Match lines, as they are written."""
    for directive in directives:
        if directive.keyword in ("host", "match") and directive.section is not None:
            for word in directive.words:
                for name in [word] if directive.keyword == "host" else word.split(","):
                    if is_host_name(name) and name.lower() in directive.section.patterns:
                        yield name


def leads_to_instance(directive: Directive, suffixes: Iterable[str] = (), *, unexpanded: bool = False) -> bool:
    """True for a HostName that is an instance; with `unexpanded`, also for one that ssh has to expand first."""
    if directive.keyword != "hostname" or not directive.words:
        return False
    value = directive.words[0]
    return is_ours(value, suffixes) or (unexpanded and "%" in value)


def adopted(
    place: Place, ssh: Ssh, content: bytes, directives: Sequence[Directive], suffixes: Iterable[str]
) -> tuple[str, ...]:
    """Return the names that our rules take: those that ssh leads to an instance without a proxy of its own.

    `content` is the user's file without ssm-ssh's own lines; ssh is asked about a copy of it. A Match compares without
    regard to case, so a name is left alone where the same name in other letters is not adopted too.
    """
    names = [candidate.name for candidate in candidates(place, directives, suffixes)]
    if not names:
        return ()
    with proof_folder() as folder:
        write_private(folder / "user", content)
        write_private(folder / "alone", wrapper(folder / "user", ssh.system_file()).encode())
        outcomes = ssh.ask_all(names, folder / "alone")
    fit = {
        name: outcome.status == 0 and is_ours(outcome.value("hostname"), suffixes) and not has_proxy(outcome)
        for name, outcome in outcomes.items()
    }
    unfit = {name.lower() for name, fits in fit.items() if not fits}
    return tuple(sorted(name for name in fit if name.lower() not in unfit))


def has_proxy(outcome: Outcome) -> bool:
    """True where ssh is told how to get to the host."""
    return any(outcome.value(keyword) not in ("", "none") for keyword in ("proxycommand", "proxyjump"))
