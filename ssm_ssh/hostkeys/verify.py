"""Whether a server's host key is to be trusted: what is known, what AWS says, and what follows from both.

A key that is known is trusted at once, without a call. Any other is looked up: on the instance's console, which AWS
keeps and cloud-init wrote at the first boot, and by Run Command in the instance's own files. Run Command is the word of
the agent, as the session is, so whoever stands in for the agent can forge both; the console is independent of it.

                    first key of an instance                    another key than the one known
    confirmed       by one source: recorded                     by every source that may be asked: replaced, and said
    contradicted    refused                                     refused, after ssh's own warning
    not to be had   all denied, or a console that has no block  likewise
                    any more: recorded, and said
                    (or refused: `require`)
    not now         refused: try again                          refused: try again

A source that shows keys, but none of this key's type, is silent about it: images hide types, and keys are added later.
The next source is asked. Where none may confirm it, a type that no image begins with is refused, not recorded, for an
attacker chooses the type of the key that he shows. A type that is not among the known keys of an instance counts as
another key, except that such a silence is no objection to it.

A key that was recorded unverified is looked up again by other credentials, or on another day, until something confirms
it. Where one was refused, none is a first key until something confirms it or a person accepts it.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from ssm_ssh.errors import AccessDenied, HostKeyChanged, HostKeyRefused, SsmSshError, StateError
from ssm_ssh.hostkeys.known_hosts import KNOWN, REFUSED, HostFile, instance_of, names, one_at_a_time
from ssm_ssh.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable

    from ssm_ssh.aws.api.client import Api
    from ssm_ssh.aws.config.settings import AwsSettings
    from ssm_ssh.log import Log
    from ssm_ssh.ssh.hostkey import HostKey, Shown
    from ssm_ssh.target import Target

POLICIES = ("record", "require")
CONSOLE, COMMAND = "the console", "send-command"
# Seconds. The console takes one call. A command takes one to three, seldom half a minute; sshd waits for two minutes.
_CONSOLE_LIMIT, _COMMAND_LIMIT = 15.0, 60.0
# Somebody else who asks for the same instance needs no longer than that.
_PATIENCE = _CONSOLE_LIMIT + _COMMAND_LIMIT


# How a source answered.
SAID, SILENT, DOUBTFUL, DENIED, FAILED = "said", "silent", "doubtful", "denied", "failed"
# The types that sshd and cloud-init make at the first boot: an instance may have any of them.
_USUAL = frozenset({"ssh-ed25519", "ssh-rsa", "ecdsa-sha2-nistp256"})
# What is to be done with a key; UNVERIFIED is also what the comment of such a key begins with.
CONFIRMED, UNVERIFIED, CONTRADICTED, UNCONFIRMED, NOT_NOW = (
    "confirmed",
    "unverified",
    "contradicted",
    "unconfirmed",
    "not now",
)


class Answer(NamedTuple):
    """What one source answered: `how`, the `keys` that it shows, and the reason in words where it did not say.

    SILENT with keys: it shows none of the type in question.
    """

    source: str
    how: str
    keys: frozenset[HostKey] = frozenset()
    why: str = ""


class Sources(NamedTuple):
    """How to ask. Each blocks; None for what says nothing of such an instance."""

    console: Callable[[], Answer] | None
    command: Callable[[], Answer] | None


# --- what follows: pure -----------------------------------------------------------------------------------------------


def ask(key: HostKey, sources: Sources, *, changed: bool, added: bool = False) -> list[Answer]:
    """Ask the sources in turn, as long as another one could make a difference.

    `changed`: other keys are known; `added`: none of them is of this type.
    """
    answers: list[Answer] = []
    for call in (sources.console, sources.command):
        if call is None:
            continue
        answer = _about(key, call(), answers)
        answers.append(answer)
        contradicted = answer.how == SAID and key not in answer.keys
        enough = answer.how == SAID and not changed
        hopeless = changed and answer.how not in (SAID, DENIED) and not (added and _of_other_types(answer))
        if contradicted or enough or hopeless:
            break
    return answers


def _about(key: HostKey, answer: Answer, before: list[Answer]) -> Answer:
    """Return what `answer` means for `key`: silence where it shows no key of that type.

    It is doubtful where it differs from an answer `before` on another type: both cannot be right.
    """
    if answer.how != SAID or key in answer.keys:
        disputed = sorted(kind for earlier in before for kind in disputes(earlier.keys, answer.keys))
        if answer.how == SAID and disputed:
            why = f"{before[0].source} and {answer.source} show different keys of the type {disputed[0]}"
            return answer._replace(how=DOUBTFUL, why=why)
        return answer
    if any(other.kind == key.kind for other in answer.keys):
        return answer
    shown = ", ".join(sorted({other.kind for other in answer.keys}))
    return answer._replace(how=SILENT, why=f"{answer.source} shows no {key.kind} key, only {shown}")


def disputes(some: frozenset[HostKey], others: frozenset[HostKey]) -> set[str]:
    """Return the types of which both show keys, and none in common."""
    kinds = {key.kind for key in some} & {key.kind for key in others}
    return kinds - {key.kind for key in some & others}


def _of_other_types(answer: Answer) -> bool:
    return answer.how == SILENT and bool(answer.keys)


def conclude(key: HostKey, answers: list[Answer], *, changed: bool, added: bool = False) -> str:
    """Return what the answers mean for `key`: CONFIRMED, UNVERIFIED, CONTRADICTED, UNCONFIRMED or NOT_NOW."""
    said = [answer for answer in answers if answer.how == SAID]
    if any(key not in answer.keys for answer in said):
        return CONTRADICTED
    reachable = [answer for answer in answers if answer.how != DENIED]
    if changed:
        objections = [answer for answer in reachable if answer.how != SAID and not (added and _of_other_types(answer))]
        if said and not objections:
            return CONFIRMED
    elif said:
        return CONFIRMED
    if any(answer.how == FAILED for answer in answers):
        return NOT_NOW
    if changed or any(answer.how == DOUBTFUL for answer in answers):
        return UNCONFIRMED
    if key.kind not in _USUAL and any(_of_other_types(answer) for answer in answers):
        return UNCONFIRMED
    # A console that has no block any more is nothing to go by, but an agent that knows no key contradicts itself.
    return UNCONFIRMED if any(answer.source == COMMAND for answer in reachable) else UNVERIFIED


# --- the sources ------------------------------------------------------------------------------------------------------


def sources(
    api: Callable[[], Api],
    instance_id: str,
    *,
    commands: bool = True,
    document: str = "",
    wanted: Callable[[], bool] = lambda: True,
) -> Sources:
    """Return how to ask AWS about `instance_id`.

    `commands`: Run Command may be used, with the command document `document` ("" for AWS-RunShellScript); `wanted`:
    whether it still is, for anything.
    """

    def console() -> Answer:
        from ssm_ssh.hostkeys import console

        return _answer(
            CONSOLE, lambda: console.host_keys(api(), instance_id, deadline=time.monotonic() + _CONSOLE_LIMIT)
        )

    def command() -> Answer:
        from ssm_ssh.hostkeys import instance_files

        if not commands:
            return Answer(COMMAND, DENIED, why="send-command is not to be used here")
        if not wanted():
            return Answer(COMMAND, FAILED, why="the connection has ended meanwhile")
        return _answer(
            COMMAND, lambda: instance_files.host_keys(api(), instance_id, timeout=_COMMAND_LIMIT, document=document)
        )

    return Sources(console if instance_id.startswith("i-") else None, command)


def _answer(source: str, call: Callable[[], Shown]) -> Answer:
    try:
        shown = call()
    except AccessDenied as error:
        return Answer(source, DENIED, why=error.message)
    except SsmSshError as error:
        return Answer(source, FAILED, why=error.message)
    if shown.doubt:
        return Answer(source, DOUBTFUL, why=shown.doubt)
    if not shown.keys:
        return Answer(source, SILENT, why=f"{source} shows no host key")
    return Answer(source, SAID, shown.keys)


# --- a connection -----------------------------------------------------------------------------------------------------


class Place(NamedTuple):
    """Whose key it is: an instance, the port there, and how it was spelled; `origin` goes into the file's comments."""

    instance_id: str
    port: int
    spelled: str
    origin: str

    @property
    def names(self) -> tuple[str, ...]:
        """The names under which ssh looks it up, the id's own first."""
        return names(self.instance_id, self.port, self.spelled)

    def owns(self, name: str) -> bool:
        """Whether `name` is one of the instance's, whatever the port and the spelling."""
        return instance_of(name) == self.instance_id


def place(target: Target, spelled: str, origin: str) -> Place:
    """Return the Place of `target`, `spelled` like that, reached by `origin`."""
    return Place(target.instance_id, target.port, spelled, origin)


def origin(settings: AwsSettings) -> str:
    """Return where `settings` look for instances and by whose credentials, as one word each: region, profile, mark."""
    from ssm_ssh.aws.credentials.fingerprint import mark

    return f"{settings.region} {'_'.join(printable(settings.profile_name, 60).split())} {mark(settings)}"


def check(where: Place, key: HostKey, ways: Sources, *, require: bool, judged_by_ssh: bool, log: Log) -> str:
    """Judge `key`; returns a notice for the user, "" for none. When it returns, the client may see the key.

    What ssh is to trust is in our file then. Else HostKeyRefused is raised: as HostKeyChanged where ssh has a warning
    of its own for it, and the client is ssh (`judged_by_ssh`). `require`: never record a key that nothing confirms, nor
    go on with one that was recorded like that.
    """
    if _pinned(where).settles(key, where, require=require):
        return ""
    with one_at_a_time(where.instance_id, _PATIENCE):
        pinned = _pinned(where)
        if pinned.keys and not pinned.whole:  # known by another spelling only
            HostFile(KNOWN).record(where.names, pinned.keys, pinned.comment)
        if pinned._replace(whole=True).settles(key, where, require=require):
            return ""
        again = key in pinned.keys
        changed = bool(pinned.keys) and not again
        added = changed and all(other.kind != key.kind for other in pinned.keys)
        answers = ask(key, ways, changed=changed, added=added)
        for answer in answers:
            log.info(f"host key: {answer.source} {answer.how} {printable(answer.why)}")
        verdict = conclude(key, answers, changed=changed, added=added)
        log.info(f"host key {key.short} {key.fingerprint}: {verdict}{', not the one known' if changed else ''}")
        if verdict == CONFIRMED:
            return _confirmed(where, key, answers, changed=changed, known=pinned.keys if added else frozenset())
        if again and not require and verdict != CONTRADICTED:
            if verdict == UNVERIFIED:
                _record(where, pinned.keys, UNVERIFIED)  # asked today, and by these credentials
            return ""
        # Whoever is in between may have many keys, and is not in between at one port alone.
        refused_before = any(map(where.owns, HostFile(REFUSED).names(where.instance_id)))
        if verdict == UNVERIFIED and not require and not refused_before:
            _record(where, frozenset({key}), UNVERIFIED)
            return f"{_this(where, key)} is recorded unverified, on first use: {whys(answers)}"
        try:
            if again and verdict == CONTRADICTED:
                HostFile(KNOWN).remove(where.owns)  # what is right will be found again
            HostFile(REFUSED).record(where.names, {key}, noted("refused", where.origin))
        except StateError as error:  # a full disk is not to hide why it is refused
            log.info(f"not recorded as refused: {error.sentence()}")
    hint = f"If you know that it is right: ssm-ssh host-keys accept {where.instance_id} {key.fingerprint}"
    if verdict == NOT_NOW:
        raise HostKeyRefused(f"{_this(where, key)} could not be verified: {whys(answers)}", f"Try again. {hint}")
    if verdict == CONTRADICTED:
        against = " and ".join(answer.source for answer in answers if answer.how == SAID and key not in answer.keys)
        problem = f"{_this(where, key)} is not the one of {against}: somebody may be in between"
    elif again:
        problem = f"{_this(where, key)} was recorded unverified, and nothing confirms it: {whys(answers)}"
    elif verdict == UNVERIFIED and refused_before:
        problem = f"{_this(where, key)} is not known, one was refused before, and nothing confirms it: {whys(answers)}"
    elif verdict == UNVERIFIED:
        problem = f"{_this(where, key)} is not known, and nothing may confirm it: {whys(answers)}"
    else:
        problem = f"{_this(where, key)} is not confirmed: {whys(answers)}"
    # Of another type than those it knows, ssh has no warning.
    warned = changed and not added and judged_by_ssh and not require
    raise (HostKeyChanged if warned else HostKeyRefused)(problem, hint)


def known(where: Place) -> bool:
    """Whether any host key of `where` is known, so that most likely nobody has to be asked. Never raises."""
    try:
        pinned = _pinned(where)
    except SsmSshError:
        return True
    return bool(pinned.keys) and not pinned.to_ask(where)


class Pinned(NamedTuple):
    """The keys that are known, whether ssh finds them under every name, and the comment that says how they are."""

    keys: frozenset[HostKey]
    whole: bool
    comment: str

    def to_ask(self, where: Place) -> bool:
        """Whether they were recorded unverified, and not by the same credentials today, so that it is worth asking."""
        return self.unverified and self.comment != noted(UNVERIFIED, where.origin)

    def settles(self, key: HostKey, where: Place, *, require: bool) -> bool:
        """Whether `key` is among them and nobody has to be asked."""
        return key in self.keys and self.whole and not (self.unverified and require) and not self.to_ask(where)

    @property
    def unverified(self) -> bool:
        """Whether nothing has ever confirmed them."""
        return self.comment.startswith(f"{UNVERIFIED},")


def _pinned(where: Place) -> Pinned:
    entries = HostFile(KNOWN).entries(where.instance_id)
    by_name = {name: frozenset(entry.key for entry in entries if name in entry.names) for name in where.names}
    pinned = by_name[where.names[0]]
    if pinned:
        about = [entry for entry in entries if where.names[0] in entry.names]
    else:  # with another port than 22, ssh takes the name without it then
        about = [entry for entry in entries if where.instance_id in entry.names]
        pinned = frozenset(entry.key for entry in about)
    comments = sorted({entry.comment for entry in about}, key=lambda text: not text.startswith(f"{UNVERIFIED},"))
    return Pinned(pinned, all(keys == pinned for keys in by_name.values()), comments[0] if comments else "")


def _confirmed(where: Place, key: HostKey, answers: list[Answer], *, changed: bool, known: frozenset[HostKey]) -> str:
    """Record what the sources say, and those of the `known` keys of other types that none of them disputes."""
    said = [answer for answer in answers if answer.how == SAID]
    keys = frozenset.intersection(*(answer.keys for answer in said))
    shown = [answer.keys for answer in answers if answer.keys]
    keys |= {old for old in known if all(old in some or not _shows(some, old.kind) for some in shown)}
    by = " and ".join(answer.source for answer in said)
    _record(where, keys, by)
    refused = HostFile(REFUSED)
    if refused.entries(where.instance_id):
        refused.remove(lambda name: name in where.names)
    replaces = "" if known else ": it replaces the old one"
    return f"{_this(where, key)} is new, and confirmed by {by}{replaces}" if changed else ""


def _shows(keys: frozenset[HostKey], kind: str) -> bool:
    return any(key.kind == kind for key in keys)


def _record(where: Place, keys: frozenset[HostKey], by: str) -> None:
    HostFile(KNOWN).record(where.names, keys, noted(by, where.origin))


def noted(what: str, origin: str) -> str:
    """Return the comment of a key: how it came to be known, today's date, and the `origin` that was asked."""
    return f"{what.replace('the ', '')}, {time.strftime('%Y-%m-%d')}, {origin}"


def _this(where: Place, key: HostKey) -> str:
    return f"the host key of {where.names[0]} ({key.short} {key.fingerprint})"


def whys(answers: list[Answer]) -> str:
    """Return in a few words why sources did not say."""
    return "; ".join(printable(answer.why, 200) for answer in answers if answer.why) or "nothing can be asked"
