"""Whether a server's host key is to be trusted: what is known, what AWS reports, and what follows from both.

A known key is trusted at once, without a call. Any other key is looked up at the sources. The verdict decides:

                    first key of an instance                    another key than the known one
    confirmed       recorded                                    replaces the known one, with a notice
    contradicted    refused                                     refused, with ssh's own warning
    unverified      recorded, with a notice                     refused, with ssh's own warning
                    (or refused: `require`)
    unconfirmed     refused                                     refused, with ssh's own warning
    not now         refused: try again                          refused: try again

A key that was recorded unverified is looked up again with other credentials, or on another day, until something
confirms it. Once a key was refused, no other key is recorded as the first one until something confirms it or a person
accepts it.
"""

from __future__ import annotations

import time

from ssm_ssh.errors import HostKeyChanged, HostKeyRefused, SsmSshError, StateError
from ssm_ssh.hostkeys.known_hosts import KNOWN, REFUSED, HostFile, instance_of, names, one_at_a_time
from ssm_ssh.hostkeys.sources import LIMIT, REPORTED, reasons
from ssm_ssh.hostkeys.verdict import CONFIRMED, CONTRADICTED, NOT_NOW, UNVERIFIED, conclude, consult
from ssm_ssh.startup import TYPE_CHECKING, NamedTuple
from ssm_ssh.text import printable

if TYPE_CHECKING:
    from ssm_ssh.aws.config.settings import AwsSettings
    from ssm_ssh.hostkeys.sources import Report, Sources
    from ssm_ssh.log import Log
    from ssm_ssh.ssh.hostkey import HostKey
    from ssm_ssh.target import Target

POLICIES = ("record", "require")


class Server(NamedTuple):
    """A server that has host keys: a port of an instance, and the `host_name` under which ssh knows it.

    `alias` is ssh's HostKeyAlias for it. `origin` is the region and the credentials by which it is reached, and goes
    into the comments of recorded keys.
    """

    instance_id: str
    port: int
    host_name: str
    origin: str
    alias: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """The names under which ssh looks up its keys, that of the instance id first."""
        return names(self.instance_id, self.port, self.host_name, self.alias)

    def owns(self, name: str) -> bool:
        """Return whether `name` belongs to the instance, whatever the port and the host name."""
        return instance_of(name) == self.instance_id


def server(target: Target, port: int, host_name: str, origin: str, alias: str = "") -> Server:
    """Return the server on `port` of `target`, which ssh knows as `host_name`, or as its HostKeyAlias `alias`."""
    return Server(target.instance_id, port, host_name, origin, alias)


def origin(settings: AwsSettings) -> str:
    """Return where `settings` look for instances and with what: region, profile and fingerprint of the credentials."""
    from ssm_ssh.aws.credentials.fingerprint import credential_fingerprint

    profile = "_".join(printable(settings.profile_name, 60).split())
    return f"{settings.region} {profile} {credential_fingerprint(settings)}"


def check(server: Server, key: HostKey, sources: Sources, *, require: bool, judged_by_ssh: bool, log: Log) -> str:
    """Verify `key`; returns a notice for the user, "" for none. After it returns, the client may see the key.

    What ssh is to trust has been recorded then. Otherwise raises HostKeyRefused, or HostKeyChanged where the client is
    ssh (`judged_by_ssh`) and shows a warning of its own. `require`: never record a key that nothing confirms, nor
    accept one that was recorded like that.
    """
    if _recorded(server).settles(key, server, require=require):
        return ""
    with one_at_a_time(server.instance_id, LIMIT):
        recorded = _recorded(server)
        if recorded.keys and not recorded.complete:  # known only by another name
            HostFile(KNOWN).record(server.names, recorded.keys, recorded.comment)
        if recorded._replace(complete=True).settles(key, server, require=require):
            return ""
        again = key in recorded.keys
        changed = bool(recorded.keys) and not again
        new_type = changed and all(other.kind != key.kind for other in recorded.keys)
        reports = consult(key, sources, changed=changed, new_type=new_type)
        for report in reports:
            log.info(f"host key: {report.source}: {report.status} {printable(report.reason)}")
        verdict = conclude(key, reports, changed=changed, new_type=new_type)
        log.info(f"host key {key.short} {key.fingerprint}: {verdict}{', not the known one' if changed else ''}")
        if verdict == CONFIRMED:
            kept = recorded.keys if new_type else frozenset()
            return _record_confirmed(server, key, reports, changed=changed, known=kept)
        if again and not require and verdict != CONTRADICTED:
            if verdict == UNVERIFIED:
                _record(server, recorded.keys, UNVERIFIED)  # looked up today, and with these credentials
            return ""
        # An attacker in the middle may have many keys, and is not limited to one port.
        refused_before = any(map(server.owns, HostFile(REFUSED).names(server.instance_id)))
        if verdict == UNVERIFIED and not require and not refused_before:
            _record(server, frozenset({key}), UNVERIFIED)
            return f"{_describe(server, key)} is recorded unverified, on first use: {reasons(reports)}"
        try:
            if again and verdict == CONTRADICTED:
                HostFile(KNOWN).remove(server.owns)  # the right keys will be recorded anew
            HostFile(REFUSED).record(server.names, {key}, provenance("refused", server.origin))
        except StateError as error:  # a full disk must not hide why the key is refused
            log.info(f"the refused host key is not recorded: {error.sentence()}")
    hint = f"If you are sure, run: ssm-ssh host-keys accept {server.instance_id} {key.fingerprint}"
    described, why = _describe(server, key), reasons(reports)
    if verdict == NOT_NOW:
        raise HostKeyRefused(f"{described} could not be verified: {why}", f"Try again. {hint}")
    if verdict == CONTRADICTED:
        against = [report.source for report in reports if report.status == REPORTED and key not in report.keys]
        problem = f"{described} differs from that of {' and '.join(against)}: the connection may be intercepted"
    elif again:
        problem = f"{described} was recorded unverified, and nothing confirms it: {why}"
    elif verdict == UNVERIFIED and refused_before:
        problem = f"{described} is unknown, another was refused before, and nothing confirms it: {why}"
    elif verdict == UNVERIFIED:
        problem = f"{described} is unknown, and no source may confirm it: {why}"
    else:
        problem = f"{described} is not confirmed: {why}"
    # ssh has no warning for a key of another type than the known ones.
    warned = changed and not new_type and judged_by_ssh and not require
    raise (HostKeyChanged if warned else HostKeyRefused)(problem, hint)


def is_known(server: Server) -> bool:
    """Return whether host keys of `server` are known, so that most likely no source is asked. Never raises."""
    try:
        recorded = _recorded(server)
    except SsmSshError:
        return True
    return bool(recorded.keys) and not recorded.needs_lookup(server)


class Recorded(NamedTuple):
    """The known keys of a server; `complete`: under all of its names; `comment`: how they came to be known."""

    keys: frozenset[HostKey]
    complete: bool
    comment: str

    def needs_lookup(self, server: Server) -> bool:
        """Return whether they were recorded unverified, and not today with the same credentials."""
        return self.unverified and self.comment != provenance(UNVERIFIED, server.origin)

    def settles(self, key: HostKey, server: Server, *, require: bool) -> bool:
        """Return whether `key` is among them and no source needs to be asked."""
        if key not in self.keys or not self.complete:
            return False
        return not (self.unverified and require) and not self.needs_lookup(server)

    @property
    def unverified(self) -> bool:
        """Whether nothing has ever confirmed them."""
        return self.comment.startswith(f"{UNVERIFIED},")


def _recorded(server: Server) -> Recorded:
    entries = HostFile(KNOWN).entries(server.instance_id)
    by_name = {name: frozenset(entry.key for entry in entries if name in entry.names) for name in server.names}
    keys = by_name[server.names[0]]
    if keys:
        relevant = [entry for entry in entries if server.names[0] in entry.names]
    else:  # for another port than 22, ssh falls back to the name without the port
        relevant = [entry for entry in entries if server.instance_id in entry.names]
        keys = frozenset(entry.key for entry in relevant)
    comments = sorted({entry.comment for entry in relevant}, key=lambda text: not text.startswith(f"{UNVERIFIED},"))
    return Recorded(keys, all(some == keys for some in by_name.values()), comments[0] if comments else "")


def _record_confirmed(
    server: Server, key: HostKey, reports: list[Report], *, changed: bool, known: frozenset[HostKey]
) -> str:
    """Record the reported keys, and those `known` keys of other types that no source disputes."""
    reported = [report for report in reports if report.status == REPORTED]
    keys = frozenset.intersection(*(report.keys for report in reported))
    shown = [report.keys for report in reports if report.keys]
    keys |= {old for old in known if all(old in some or not _has_type(some, old.kind) for some in shown)}
    by = " and ".join(report.source for report in reported)
    _record(server, keys, by)
    refused = HostFile(REFUSED)
    if refused.entries(server.instance_id):
        refused.remove(lambda name: name in server.names)
    replaces = "" if known else ": it replaces the old one"
    return f"{_describe(server, key)} is new, and confirmed by {by}{replaces}" if changed else ""


def _has_type(keys: frozenset[HostKey], kind: str) -> bool:
    return any(key.kind == kind for key in keys)


def _record(server: Server, keys: frozenset[HostKey], by: str) -> None:
    HostFile(KNOWN).record(server.names, keys, provenance(by, server.origin))


def provenance(how: str, origin: str) -> str:
    """Return the comment of a key: how it came to be known, today's date, and the `origin` that was asked."""
    return f"{how.replace('the ', '')}, {time.strftime('%Y-%m-%d')}, {origin}"


def _describe(server: Server, key: HostKey) -> str:
    return f"the host key of {server.names[0]} ({key.short} {key.fingerprint})"
