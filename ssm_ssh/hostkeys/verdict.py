"""What the reports of the sources mean for a host key. Pure: which source to ask next, and the verdict.

                    first key of an instance                    another key than the known one
    CONFIRMED       by one source                               by every source that may be asked
    CONTRADICTED    a source reports other keys of its type     likewise
    UNVERIFIED      every source denies access, or the console  likewise
                    no longer shows the keys
    NOT_NOW         a source failed: try again                  likewise
    UNCONFIRMED     anything else                               likewise

A source that shows keys, but none of this key's type, counts as empty for it: images hide types, and keys are added
later. The next source is asked. Where no source may confirm the key, a type that no image starts with is UNCONFIRMED,
because an attacker chooses the type of the key that he shows. A type that is not among the known keys of an instance
counts as another key, but an empty report is no objection to it.
"""

from __future__ import annotations

from ssm_ssh.hostkeys.sources import AMBIGUOUS, COMMAND, DENIED, EMPTY, FAILED, REPORTED
from ssm_ssh.startup import TYPE_CHECKING

if TYPE_CHECKING:
    from ssm_ssh.hostkeys.sources import Report, Sources
    from ssm_ssh.ssh.hostkey import HostKey

CONFIRMED, CONTRADICTED, UNVERIFIED = "confirmed", "contradicted", "unverified"
UNCONFIRMED, NOT_NOW = "unconfirmed", "not now"
# The types that sshd and cloud-init make at the first boot: an instance may have any of them.
_USUAL = frozenset({"ssh-ed25519", "ssh-rsa", "ecdsa-sha2-nistp256"})


def consult(key: HostKey, sources: Sources, *, changed: bool, new_type: bool = False) -> list[Report]:
    """Ask the sources in turn, as long as another one could make a difference.

    `changed`: other keys are known; `new_type`: none of them is of this key's type.
    """
    reports: list[Report] = []
    for call in (sources.console, sources.command):
        if call is None:
            continue
        report = _interpret(key, call(), reports)
        reports.append(report)
        contradicted = report.status == REPORTED and key not in report.keys
        enough = report.status == REPORTED and not changed
        hopeless = changed and report.status not in (REPORTED, DENIED) and not (new_type and _of_other_types(report))
        if contradicted or enough or hopeless:
            break
    return reports


def _interpret(key: HostKey, report: Report, earlier: list[Report]) -> Report:
    """Return what `report` means for `key`: it is EMPTY where it shows no key of that type.

    It is AMBIGUOUS where it differs from an `earlier` report about another type, since both cannot be right.
    """
    if report.status != REPORTED or key in report.keys:
        disputed = sorted(kind for other in earlier for kind in disputes(other.keys, report.keys))
        if report.status == REPORTED and disputed:
            reason = f"{earlier[0].source} and {report.source} show different keys of the type {disputed[0]}"
            return report._replace(status=AMBIGUOUS, reason=reason)
        return report
    if any(other.kind == key.kind for other in report.keys):
        return report
    shown = ", ".join(sorted({other.kind for other in report.keys}))
    return report._replace(status=EMPTY, reason=f"{report.source} shows no {key.kind} key, only {shown}")


def disputes(some: frozenset[HostKey], others: frozenset[HostKey]) -> set[str]:
    """Return the types of which both show keys, but none in common."""
    kinds = {key.kind for key in some} & {key.kind for key in others}
    return kinds - {key.kind for key in some & others}


def conclude(key: HostKey, reports: list[Report], *, changed: bool, new_type: bool = False) -> str:
    """Return what the reports mean for `key`; the arguments are those of `consult`."""
    reported = [report for report in reports if report.status == REPORTED]
    if any(key not in report.keys for report in reported):
        return CONTRADICTED
    accessible = [report for report in reports if report.status != DENIED]
    if changed:
        objections = [
            report for report in accessible if report.status != REPORTED and not (new_type and _of_other_types(report))
        ]
        if reported and not objections:
            return CONFIRMED
    elif reported:
        return CONFIRMED
    if any(report.status == FAILED for report in reports):
        return NOT_NOW
    if changed or any(report.status == AMBIGUOUS for report in reports):
        return UNCONFIRMED
    if key.kind not in _USUAL and any(_of_other_types(report) for report in reports):
        return UNCONFIRMED
    # A console that no longer shows the keys proves nothing, but an agent that knows no key contradicts itself.
    return UNCONFIRMED if any(report.source == COMMAND for report in accessible) else UNVERIFIED


def _of_other_types(report: Report) -> bool:
    return report.status == EMPTY and bool(report.keys)
