"""The host keys that are known, by hand: shown, accepted, removed, looked up anew, forgotten with their instances."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ssm_ssh.errors import HostKeyRefused
from ssm_ssh.hostkeys.known_hosts import KNOWN, REFUSED, HostFile, instance_of
from ssm_ssh.hostkeys.verify import DENIED, SAID, noted, whys
from ssm_ssh.text import printable

if TYPE_CHECKING:
    from ssm_ssh.aws.api.client import Api
    from ssm_ssh.hostkeys.verify import Sources
    from ssm_ssh.ssh.hostkey import HostKey


def of(instance_id: str, name: str = KNOWN) -> list[tuple[str, HostKey, str]]:
    """Return what file `name` holds of `instance_id` ("" for all): host name, key, comment."""
    return [
        (host, entry.key, entry.comment)
        for entry in HostFile(name).entries(instance_id)
        for host in entry.names
        if instance_of(host) and instance_id in ("", instance_of(host))
    ]


def accept(instance_id: str, fingerprint: str = "") -> list[tuple[str, HostKey]]:
    """Trust the keys of `instance_id` that were refused last (only that of `fingerprint`), instead of the known ones.

    Returns host name and key of each. Raises HostKeyRefused where none was refused.
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
        hint = f"Connect first, and it is remembered: ssh {instance_id}"
        if refused.entries(instance_id):
            hint = f"See which was: ssm-ssh host-keys {instance_id}"
        raise HostKeyRefused(f"no host key{what} of {instance_id} was refused", hint)
    refused.remove(lambda name: name in {one for one, _ in taken})
    return taken


def remove(instance_id: str) -> int:
    """Forget all keys of `instance_id`; returns how many lines named it."""
    HostFile(REFUSED).remove(lambda name: instance_of(name) == instance_id)
    return HostFile(KNOWN).remove(lambda name: instance_of(name) == instance_id)


def refresh(instance_id: str, ways: Sources, origin: str) -> tuple[frozenset[HostKey], str]:
    """Ask every source about `instance_id`, and trust what all that may be asked agree on, under its names so far.

    A source that shows no key of a type is silent about that type.

    Returns the keys and who confirmed them. Raises HostKeyRefused, and changes nothing, where they do not agree or one
    that may be asked does not answer.
    """
    answers = [call() for call in (ways.console, ways.command) if call is not None]
    said = [answer for answer in answers if answer.how == SAID]
    if not said or any(answer.how not in (SAID, DENIED) for answer in answers):
        raise HostKeyRefused(f"the host keys of {instance_id} cannot be verified: {whys(answers)}", "Nothing changed")
    keys, differing = _agreed([answer.keys for answer in said])
    if differing:
        problem = f"console and send-command do not agree on the {differing[0]} host key of {instance_id}"
        raise HostKeyRefused(problem, "Nothing changed")
    by = " and ".join(answer.source for answer in said)
    found = dict.fromkeys([instance_id, *(name for name, _, _ in of(instance_id))])
    HostFile(KNOWN).record(found, keys, noted(by, origin))
    HostFile(REFUSED).remove(lambda name: instance_of(name) == instance_id)
    return keys, by


def _agreed(shown: list[frozenset[HostKey]]) -> tuple[frozenset[HostKey], list[str]]:
    """Return, type by type, the keys that all show which show any of that type; and the types in dispute."""
    keys: set[HostKey] = set()
    disputed = []
    for kind in sorted({key.kind for some in shown for key in some}):
        sets = [{key for key in some if key.kind == kind} for some in shown]
        speaking = [some for some in sets if some]
        common = set.intersection(*speaking)
        if not common or (len(speaking) > 1 and all(some - common for some in speaking)):
            disputed.append(kind)
        keys |= common
    return frozenset(keys), disputed


def prune(api: Api, origin: str) -> list[str]:
    """Forget the keys of EC2 instances that are no more; returns their ids.

    Terminated is what EC2 calls so. What EC2 does not know may be of another account or region, so it counts as gone
    only where its keys, and any that were refused, were met by the same `origin` as now: the place and the credentials.
    Raises what Api.call raises.
    """
    from ssm_ssh.aws.services.instances import instance_states

    origins: dict[str, set[str]] = {}
    for name, _, comment in [*of(""), *of("", REFUSED)]:
        if name.lstrip("[").startswith("i-"):
            origins.setdefault(instance_of(name), set()).add(comment)
    seen = instance_states(api, sorted(origins))
    gone = [
        one
        for one, comments in origins.items()
        if seen.get(one) == "terminated" or (one not in seen and all(text.endswith(f", {origin}") for text in comments))
    ]
    for one in gone:
        remove(one)
    return gone
