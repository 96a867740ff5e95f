"""`ssm-ssh sessions`: the sessions that are open, and their end."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Any

from ssm_ssh.cli import output, session_places
from ssm_ssh.cli.parser import Actions
from ssm_ssh.cli.table import Cell, Column
from ssm_ssh.errors import SsmSshError, StateError, UsageError
from ssm_ssh.text import printable

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from ssm_ssh.cli.parser import Arguments
    from ssm_ssh.cli.session_places import Sessions
    from ssm_ssh.session.overview import Entry

_DESCRIPTION = """\
Show the open sessions of Session Manager, or end some. Without an action, `list` is meant: `ssm-ssh sessions` and
`ssm-ssh sessions web-1`.
"""

_EPILOG = """\
examples:
  ssm-ssh sessions                      your open sessions
  ssm-ssh sessions end --orphans        end those that killed processes of this machine have left behind
"""

_WHERE = """\
Accounts and regions come from --profile and --region; without them, they are those of `ssm-ssh list`.
"""

_LIST = f"""\
TARGET is an instance id, perhaps with a region and a profile (i-0123456789abcdef0.eu-west-1), an alias, an address, a
DNS name or tag:KEY=VALUE. The column HERE names the process of this machine that a session belongs to, or says
`orphan`: that process has ended, and the session has not.

examples:
  ssm-ssh sessions list web-1
  ssm-ssh sessions list --all --history --json

{_WHERE}Needs ssm:DescribeSessions.

exit status: 0 all places answered; 1 one of them did not (the others are shown); 2 wrong arguments.
"""

_END = f"""\
SESSION is the id of a session, the beginning of one, or a TARGET, which means your sessions with it. If the beginning
fits several sessions, they are listed, and none is ended. On a terminal you are asked before anything is ended.

examples:
  ssm-ssh sessions end alice-0a1b2c3d
  ssm-ssh sessions end --mine --yes

{_WHERE}Needs ssm:TerminateSession, and ssm:DescribeSessions unless whole ids are given.

exit status: 0 all were ended, or there was none; 1 one was not ended; 2 wrong arguments, and none was ended.
"""

_COLUMNS = (
    Column("SESSION", whole=True),
    Column("TARGET", whole=True),
    Column("STATE", whole=True, spare=1),
    Column("SINCE", whole=True),
    Column("WHO", least=8, spare=2),
    Column("DOCUMENT", least=12, spare=3),
    Column("HERE", whole=True),
    Column("REASON", least=16, wrap=True, spare=0),
)
_ORPHAN = "orphan"
# Seconds for the end of one session, retries and all.
_LIMIT = 25.0


def run(argv: list[str]) -> int:
    """Run the command; returns the exit status."""
    action, options = _parser().parse(argv)
    return {"list": _list, "end": _end}[action](options)


def _parser() -> Actions:
    command = Actions("sessions", _DESCRIPTION, default="list", epilog=_EPILOG)
    listing = command.add("list", "show your open sessions", epilog=_LIST)
    listing.add_argument("target", metavar="TARGET", nargs="?", help="only sessions with this instance")
    listing.add_argument("--all", action="store_true", help="those of other users and roles too")
    listing.add_argument("--history", action="store_true", help="those that have ended in the last 30 days")
    _add_places(listing)
    listing.add_argument("--json", action="store_true", help="for programs: one array of objects")
    ending = command.add("end", "end sessions", epilog=_END)
    ending.add_argument("sessions", metavar="SESSION", nargs="*", help="id, beginning of an id, or TARGET")
    ending.add_argument("--mine", action="store_true", help="all of your open sessions")
    ending.add_argument("--orphans", action="store_true", help="those that killed processes have left behind here")
    ending.add_argument("--all", action="store_true", help="look among those of other users and roles too")
    _add_places(ending)
    ending.add_argument("-y", "--yes", action="store_true", help="do not ask")
    return command


def _add_places(parser: Arguments) -> None:
    parser.add_argument("--profile", action="append", metavar="P", help="AWS profile; may be repeated")
    parser.add_argument("--region", action="append", metavar="R[,R]", help="AWS region; may be repeated")


# --- list -------------------------------------------------------------------------------------------------------------


def _list(options: argparse.Namespace) -> int:
    if options.target:
        place, instance_id = session_places.place_of(options.target, options)
        sessions = session_places.ask([place], everyone=options.all, history=options.history, target=instance_id)
    else:
        sessions = session_places.ask(session_places.places_of(options), everyone=options.all, history=options.history)
    if options.json:
        output.as_json([_as_object(entry, sessions) for entry in sessions.entries])
    elif sessions.entries:
        _show(sessions.entries, sessions)
    elif len(sessions.failed) < len(sessions.places):
        whose = "No session" if options.all else "No session of yours"
        output.note(f"{whose} has ended there in the last 30 days." if options.history else f"{whose} is open there.")
    session_places.complain(sessions)
    return 1 if sessions.failed else 0


def _show(entries: Sequence[Entry], sessions: Sessions) -> None:
    output.table(_COLUMNS, [_row(entry, sessions) for entry in entries])


def _row(entry: Entry, sessions: Sessions) -> tuple[str | Cell, ...]:
    from ssm_ssh.session.overview import short_owner

    session, record = entry.session, entry.record
    here: str | Cell = ""
    if record is not None:
        here = Cell(_ORPHAN, output.CARE) if entry.is_orphan else f"process {record.pid}"
    return (
        session.session_id,
        session.target,
        session.state,
        _since(entry, sessions),
        short_owner(session.owner),
        session.document,
        here,
        session.reason,
    )


def _since(entry: Entry, sessions: Sessions) -> str:
    from ssm_ssh.session.endings import duration

    session = entry.session
    if not session.started:
        return ""
    # AWS's clock, as far as it is known: that of this computer may be wrong.
    now = sessions.places[entry.place].api.now() if entry.place >= 0 else time.time()
    lasted = max(0.0, (session.ended or now) - session.started)
    return f"{time.strftime('%Y-%m-%d %H:%M', time.localtime(session.started))} ({duration(lasted)})"


def _as_object(entry: Entry, sessions: Sessions) -> dict[str, Any]:
    session, record = entry.session, entry.record
    api = sessions.places[entry.place].api if entry.place >= 0 else None
    local = None
    if record is not None:
        local = {"pid": record.pid, "orphan": entry.is_orphan, "purpose": record.purpose}
    profile = record.profile if record is not None and api is None else api.settings.profile or "" if api else ""
    region = api.settings.region if api is not None else record.region if record is not None else ""
    return {
        "session_id": session.session_id,
        "target": session.target,
        "state": session.state,
        "owner": session.owner,
        "document": session.document,
        "reason": session.reason,
        "started": _iso(session.started),
        "ended": _iso(session.ended),
        "details": session.details,
        "max_duration_minutes": session.max_minutes,
        "profile": profile,
        "region": region,
        "local": local,
    }


def _iso(seconds: float) -> str | None:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds)) if seconds else None


# --- end --------------------------------------------------------------------------------------------------------------


def _end(options: argparse.Namespace) -> int:
    if not (options.sessions or options.mine or options.orphans):
        raise UsageError("no session is named", "Name one, or use --mine or --orphans. See: ssm-ssh sessions")
    sessions, chosen = _chosen(options)
    if not chosen:
        session_places.complain(sessions)
        output.note("There is no such session to end." if sessions.failed else "No such session is open.")
        return 1 if sessions.failed else 0
    if not options.yes:
        _ask_person(chosen, sessions)
    failed = 0
    for entry in chosen:
        try:
            _terminate(entry, sessions)
        except SsmSshError as error:
            failed += 1
            output.error(f"{printable(entry.session.session_id, 200)} is not ended: {error.sentence()}")
        else:
            output.line(f"ended {printable(entry.session.session_id, 200)} with {printable(entry.session.target, 80)}")
    session_places.complain(sessions)
    return 1 if failed or sessions.failed else 0


def _chosen(options: argparse.Namespace) -> tuple[Sessions, list[Entry]]:
    """Return what was asked, and the sessions that are meant, each once. Raises UsageError where that is not clear."""
    if options.orphans and not (options.sessions or options.mine):
        entries = [session_places.unasked(record) for record in session_places.recorded() if record.left_behind]
        return session_places.Sessions([], entries, []), entries
    sessions = session_places.ask(session_places.places_of(options), everyone=options.all)
    chosen: list[Entry] = []
    if options.mine:
        own = sessions if not options.all else session_places.ask(sessions.places)
        chosen += [entry for entry in own.entries if entry.place >= 0]
    if options.orphans:
        chosen += [entry for entry in sessions.entries if entry.is_orphan]
    for word in options.sessions:
        sessions, meant = _meant(word, sessions, options)
        chosen += meant
    return sessions, list({entry.session.session_id: entry for entry in chosen}.values())


def _meant(word: str, sessions: Sessions, options: argparse.Namespace) -> tuple[Sessions, list[Entry]]:
    """Return the sessions that `word` means, and `sessions` with the place where they are. Raises SsmSshError."""
    from ssm_ssh.session import overview

    shown = printable(word, 80)
    matches = overview.by_prefix(word, sessions.entries)
    if len(matches) > 1:
        _show(matches, sessions)
        raise UsageError(f"{shown} is the beginning of {len(matches)} sessions", "Use more of the id of one of them")
    is_target = _is_target(word)
    if matches and is_target:
        raise UsageError(f"{shown} is both an instance and the beginning of a session", "Use the id of one of them")
    if matches:
        return sessions, matches
    if is_target:
        place, instance_id = session_places.place_of(word, options)
        found = session_places.ask([place], everyone=options.all, target=instance_id)
        number = len(sessions.places)
        moved = [entry._replace(place=number) if entry.place >= 0 else entry for entry in found.entries]
        if not moved and not found.failed:
            raise SsmSshError(f"no session of yours is open with {shown}", "See: ssm-ssh sessions --all")
        failed = [*sessions.failed, *found.failed]
        return session_places.Sessions([*sessions.places, place], [*sessions.entries, *moved], failed), moved
    return _by_id(word, sessions)


def _is_target(word: str) -> bool:
    from ssm_ssh.names import is_instance_id
    from ssm_ssh.sshconfig.alias_lookup import find_alias

    first = word.partition(".")[0]
    return is_instance_id(first.lower()) or word.startswith(("tag:", "ecs:")) or find_alias(first) is not None


def _by_id(word: str, sessions: Sessions) -> tuple[Sessions, list[Entry]]:
    """Return the session with the id `word` that is not among the caller's, or whose list is denied."""
    from ssm_ssh.aws.services.session_list import ListedSession, list_sessions
    from ssm_ssh.errors import AccessDenied
    from ssm_ssh.names import is_session_id
    from ssm_ssh.session.overview import Entry

    if is_session_id(word):
        for number, place in enumerate(sessions.places):
            try:
                for session in list_sessions(place.api, session_id=word):
                    return sessions, [Entry(session, number)]
            except AccessDenied:
                if len(sessions.places) == 1:
                    # TerminateSession needs no list, and says itself what it denies.
                    unseen = ListedSession(word, "an instance that is not known", "", "", "", "", 0.0, 0.0, "", "")
                    return sessions._replace(failed=[]), [Entry(unseen, number)]
            except SsmSshError as error:
                output.error(f"{printable(place.name, 80)}: {error.sentence()}")
    session_places.complain(sessions)
    raise SsmSshError(f"no open session matches {printable(word, 80)}", "See: ssm-ssh sessions --all")


def _ask_person(chosen: Sequence[Entry], sessions: Sessions) -> None:
    """Return if a person agrees. Raises UsageError without a terminal, and SsmSshError if the person does not."""
    count = "this session" if len(chosen) == 1 else f"these {len(chosen)} sessions"
    if not (os.isatty(0) and os.isatty(2)):
        ids = ", ".join(printable(entry.session.session_id, 100) for entry in chosen[:5])
        raise UsageError(f"there is no terminal to ask whether to end {ids}", "Add --yes")
    _show(chosen, sessions)
    output.flush()
    output.note(f"End {count}? [y/N]", end=" ")
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise SsmSshError("no session was ended")


def _terminate(entry: Entry, sessions: Sessions) -> None:
    """End one session, and forget its record. Raises what Api.call raises, and SsmSshError."""
    from ssm_ssh.aws.services.sessions import terminate_session
    from ssm_ssh.session import reaper, records

    record = entry.record
    if entry.place >= 0:
        terminate_session(
            sessions.places[entry.place].api, entry.session.session_id, deadline=time.monotonic() + _LIMIT
        )
    elif record is not None and not reaper.terminate(record):
        raise SsmSshError("it was begun with other credentials of the environment", "Set those again")
    if record is not None and record.left_behind:
        try:
            records.closed(record.name)
        except StateError as error:
            output.error(error.sentence())
