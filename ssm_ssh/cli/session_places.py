"""What `ssm-ssh sessions` asks: which places, AWS about their sessions, and the records of this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ssm_ssh.cli import output, scope
from ssm_ssh.errors import SsmSshError, StateError, UsageError
from ssm_ssh.text import printable

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Sequence

    from ssm_ssh.aws.api.client import Api
    from ssm_ssh.aws.services.session_list import ListedSession
    from ssm_ssh.session.overview import Entry
    from ssm_ssh.session.records import SessionRecord

# Records that are looked up one by one, where the list of the caller's sessions does not have them.
_MOST_LOOKED_UP = 20


class Place(NamedTuple):
    """An account and region that is asked. `name` may hold outside text."""

    name: str
    api: Api


class Sessions(NamedTuple):
    """What was asked: the places, their sessions, and the places that did not answer."""

    places: list[Place]
    entries: list[Entry]
    failed: list[tuple[Place, SsmSshError]]


def places_of(options: argparse.Namespace) -> list[Place]:
    """Return the places that the options choose. Raises UsageError."""
    options.places = []
    chosen = scope.choose(options)
    return [Place(scope.name_of(each), chosen.connect(each)) for each in chosen.scopes]


def place_of(target: str, options: argparse.Namespace) -> tuple[Place, str]:
    """Return where an instance is, and its id. Raises what a look-up raises."""
    from ssm_ssh.aws.api.client import Api
    from ssm_ssh.cli import target as targets
    from ssm_ssh.log import Log

    if target.startswith("ecs:"):
        places = places_of(options)
        if len(places) != 1:
            raise UsageError("a container is looked for in one place", "Use --profile and --region")
        return places[0], target
    debug = Log(None, debug=options.debug).debug
    located = targets.find(target, _only(options.profile, "--profile"), _only(options.region, "--region"), debug)
    return Place(located.aws.where, Api(located.aws, debug=debug)), located.name.instance_id


def _only(values: Sequence[str] | None, option: str) -> str:
    if values and len(values) > 1:
        raise UsageError(f"an instance is in one place, and {option} is given {len(values)} times", "Give it once")
    return values[0] if values else ""


def ask(places: list[Place], *, everyone: bool = False, history: bool = False, target: str = "") -> Sessions:
    """Ask all places at the same time. A place that fails does not affect the others."""
    from ssm_ssh.locate.search import each
    from ssm_ssh.session import overview

    known = recorded()
    if target:
        known = [record for record in known if record.instance_id == target]

    def sessions_of(number: int) -> list[ListedSession]:
        return _listed(places[number].api, known, everyone=everyone, history=history, target=target)

    with output.progress(f"Asking AWS about sessions in {', '.join(place.name for place in places[:3])} ..."):
        answers = each(range(len(places)), sessions_of)
    entries = overview.merge({number: sessions or [] for number, sessions, _ in answers}, known)
    if not history:
        silent = [number for number, _, error in answers if error is not None]
        asked = {_account(place.api) for number, place in enumerate(places) if number not in silent}
        entries += [unasked(record) for record in known if _is_unknown(record, entries, asked)]
    return Sessions(places, entries, [(places[number], error) for number, _, error in answers if error is not None])


def _listed(
    api: Api, recorded: Iterable[SessionRecord], *, everyone: bool, history: bool, target: str
) -> list[ListedSession]:
    from ssm_ssh.aws.services.session_list import caller_arn, list_sessions

    owner = "" if everyone else caller_arn(api)
    listed = list_sessions(api, history=history, owner=owner, target=target)
    if everyone or history:
        return listed
    # The session of a role has another name, and so another owner, at each login.
    ids = {session.session_id for session in listed}
    own = [record for record in recorded if _belongs(record, api) and record.session_id not in ids]
    for record in own[-_MOST_LOOKED_UP:]:
        listed += list_sessions(api, session_id=record.session_id)
    return listed


def _account(api: Api) -> tuple[str, str]:
    from ssm_ssh.aws.credentials.fingerprint import credential_fingerprint

    return credential_fingerprint(api.settings), api.settings.region


def _belongs(record: SessionRecord, api: Api) -> bool:
    return (record.credentials, record.region) == _account(api)


def _is_unknown(record: SessionRecord, entries: Iterable[Entry], asked: set[tuple[str, str]]) -> bool:
    """Whether nothing is known of an orphan but its record, because its account did not answer."""
    listed = any(entry.session.session_id == record.session_id for entry in entries)
    return record.left_behind and not listed and (record.credentials, record.region) not in asked


def unasked(record: SessionRecord) -> Entry:
    """Return the entry of a session that only this machine knows of."""
    from ssm_ssh.aws.services.session_list import ListedSession
    from ssm_ssh.session.overview import UNKNOWN, Entry

    session = ListedSession(
        session_id=record.session_id,
        target=record.instance_id,
        state=UNKNOWN,
        owner="",
        document=record.document,
        reason=record.purpose,
        started=record.started,
        ended=0.0,
        details="",
        max_minutes="",
    )
    return Entry(session, -1, record)


def recorded() -> list[SessionRecord]:
    """Return the records of this machine; what keeps them from being read is reported, and they count as none."""
    from ssm_ssh.session import records

    try:
        return records.read_all()
    except StateError as error:
        output.error(error.sentence())
        return []


def complain(sessions: Sessions) -> None:
    """Report the places that did not answer."""
    for place, error in sessions.failed:
        output.error(f"{printable(place.name, 80)}: {error.sentence()}")
