"""Managing known host keys by command: list, accept, remove, refresh, prune."""

from __future__ import annotations

from ssm_ssh.errors import HostKeyRefused
from ssm_ssh.hostkeys.known_hosts import KNOWN, REFUSED, HostFile, instance_of
from ssm_ssh.hostkeys.sources import DENIED, REPORTED, reasons
from ssm_ssh.hostkeys.verify import provenance
from ssm_ssh.startup import TYPE_CHECKING
from ssm_ssh.text import printable

if TYPE_CHECKING:
    from ssm_ssh.aws.api.client import Api
    from ssm_ssh.hostkeys.sources import Sources
    from ssm_ssh.ssh.hostkey import HostKey


def of(instance_id: str, name: str = KNOWN) -> list[tuple[str, HostKey, str]]:
    """Return the keys of `instance_id` ("" for all) in the file `name`: host name, key, comment."""
    return [
        (host, entry.key, entry.comment)
        for entry in HostFile(name).entries(instance_id)
        for host in entry.names
        if instance_of(host) and instance_id in ("", instance_of(host))
    ]


def accept(instance_id: str, fingerprint: str = "") -> list[tuple[str, HostKey]]:
    """Trust the refused keys of `instance_id` (only that with `fingerprint`, if given) instead of the known ones.

    Returns host name and key of each. Raises HostKeyRefused if none was refused.
    """
    refused = HostFile(REFUSED)
    taken = []
    for entry in refused.entries(instance_id):
        if instance_of(entry.names[0]) != instance_id or fingerprint not in ("", entry.key.fingerprint):
            continue
        HostFile(KNOWN).record(entry.names, {entry.key}, entry.comment.replace("refused", "accepted by hand", 1))
        taken += [(name, entry.key) for name in entry.names]
    if not taken:
        what = f" with the fingerprint {printable(fingerprint, 60)}" if fingerprint else ""
        hint = f"Connect first, so that the key is recorded: ssh {instance_id}"
        if refused.entries(instance_id):
            hint = f"See the refused ones: ssm-ssh host-keys {instance_id}"
        raise HostKeyRefused(f"no host key{what} of {instance_id} was refused", hint)
    refused.remove(lambda name: name in {host_name for host_name, _ in taken})
    return taken


def remove(instance_id: str) -> int:
    """Forget all keys of `instance_id`; returns how many lines named it."""
    HostFile(REFUSED).remove(lambda name: instance_of(name) == instance_id)
    return HostFile(KNOWN).remove(lambda name: instance_of(name) == instance_id)


def refresh(instance_id: str, sources: Sources, origin: str) -> tuple[frozenset[HostKey], str]:
    """Ask every source about `instance_id`, and record the keys that all accessible sources agree on.

    They replace the known keys under every name of the instance. A source that shows no key of a type says nothing
    about that type. Returns the keys and the sources that confirmed them. Raises HostKeyRefused, and changes nothing,
    where the sources disagree or an accessible one does not answer.
    """
    reports = [call() for call in (sources.console, sources.command) if call is not None]
    reported = [report for report in reports if report.status == REPORTED]
    if not reported or any(report.status not in (REPORTED, DENIED) for report in reports):
        raise HostKeyRefused(
            f"the host keys of {instance_id} cannot be verified: {reasons(reports)}", "Nothing changed"
        )
    keys, disputed = _agreed([report.keys for report in reported])
    if disputed:
        problem = f"console and send-command do not agree on the {disputed[0]} host key of {instance_id}"
        raise HostKeyRefused(problem, "Nothing changed")
    by = " and ".join(report.source for report in reported)
    host_names = dict.fromkeys([instance_id, *(name for name, _, _ in of(instance_id))])
    HostFile(KNOWN).record(host_names, keys, provenance(by, origin))
    HostFile(REFUSED).remove(lambda name: instance_of(name) == instance_id)
    return keys, by


def _agreed(shown: list[frozenset[HostKey]]) -> tuple[frozenset[HostKey], list[str]]:
    """Return, for each type, the keys common to all sources that show any of that type; and the disputed types."""
    keys: set[HostKey] = set()
    disputed = []
    for kind in sorted({key.kind for some in shown for key in some}):
        sets = [{key for key in some if key.kind == kind} for some in shown]
        nonempty = [some for some in sets if some]
        common = set.intersection(*nonempty)
        if not common or (len(nonempty) > 1 and all(some - common for some in nonempty)):
            disputed.append(kind)
        keys |= common
    return frozenset(keys), disputed


def prune(api: Api, origin: str) -> list[str]:
    """Forget the keys of EC2 instances that no longer exist; returns their ids.

    An instance is gone if EC2 calls it terminated. An instance that EC2 does not know may belong to another account or
    region, so it counts as gone only if all of its keys, refused ones too, were recorded from the same `origin` as now.
    Raises what Api.call raises.
    """
    from ssm_ssh.aws.services.instances import instance_states

    origins: dict[str, set[str]] = {}
    for name, _, comment in [*of(""), *of("", REFUSED)]:
        if name.lstrip("[").startswith("i-"):
            origins.setdefault(instance_of(name), set()).add(comment)
    seen = instance_states(api, sorted(origins))
    gone = [
        instance_id
        for instance_id, comments in origins.items()
        if seen.get(instance_id) == "terminated"
        or (instance_id not in seen and all(text.endswith(f", {origin}") for text in comments))
    ]
    for instance_id in gone:
        remove(instance_id)
    return gone
