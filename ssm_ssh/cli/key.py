"""`ssm-ssh key`: ssm-ssh's own key pair, and the entries that it put into authorized_keys files."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from ssm_ssh.cli import output
from ssm_ssh.cli.parser import Actions
from ssm_ssh.cli.table import Cell, Column
from ssm_ssh.errors import KeyRefused, UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from ssm_ssh.auth.keypair import Pair
    from ssm_ssh.auth.push_journal import Entry
    from ssm_ssh.settings.schema import Settings

_USER = "ec2-user"

_DESCRIPTION = """\
ssm-ssh makes its own Ed25519 key pair, and a new one each day. Only the public half leaves this computer.
Without an action, `show` is meant.
"""

_EPILOG = """\
examples:
  ssm-ssh key                                      the pairs, and entries that instances may still accept
  ssm-ssh key sweep i-0123456789abcdef0 ubuntu     remove expired entries of user ubuntu there
"""

_SHOW = """\
A pair is `current` (used by connections), `resting` (not used yet) or `retired` (kept for connections that are just
starting).
The second table lists entries in authorized_keys files whose removal has not been confirmed.

examples:
  ssm-ssh key show
  ssm-ssh key show --json | jq -r '.pairs[].fingerprint'
"""

_SWEEP = f"""\
Run Command removes the expired entries that ssm-ssh put into USER's authorized_keys; USER is {_USER} unless you name
another.

examples:
  ssm-ssh key sweep i-0123456789abcdef0
  ssm-ssh key sweep i-0123456789abcdef0 ubuntu --profile prod
"""

_RENEW = """\
The new pair is used in 15 minutes, when a connection that starts now no longer needs the old one.

examples:
  ssm-ssh key renew
  ssm-ssh key renew && ssm-ssh key show
"""

_REMOVE = """\
Connections that are just starting fail; the next connection makes a new pair.

examples:
  ssm-ssh key remove
  ssm-ssh key remove && ssm-ssh key renew
"""

_PAIRS = (
    Column("STATE"),
    Column("TYPE", spare=2),
    Column("FINGERPRINT", whole=True),
    Column("MADE", spare=1),
    Column("NEXT", wrap=True),
)
_ENTRIES = (
    Column("STATE", whole=True),
    Column("ENTRY", whole=True),
    Column("USER"),
    Column("INSTANCE", whole=True),
    Column("NEXT", wrap=True),
)


def run(argv: list[str]) -> int:
    """Run the command; returns the exit status."""
    action, options = _parser().parse(argv)
    return {"show": _show, "renew": _renew, "remove": _remove, "sweep": _sweep}[action](options)


def _parser() -> Actions:
    command = Actions("key", _DESCRIPTION, default="show", epilog=_EPILOG)
    show = command.add("show", "show the pairs, and entries whose removal has not been confirmed", epilog=_SHOW)
    show.add_argument("--json", action="store_true", help="for programs: one object")
    command.add("renew", "make a new pair now", epilog=_RENEW)
    command.add("remove", "delete all pairs", epilog=_REMOVE)
    sweep = command.add("sweep", "remove expired entries from a user's authorized_keys on an instance", epilog=_SWEEP)
    sweep.add_argument("instance", metavar="INSTANCE", help="instance id, and after dots a region, a profile, or both")
    sweep.add_argument("user", metavar="USER", nargs="?", default=_USER, help=f"user there ({_USER})")
    sweep.add_argument("--profile", help="AWS profile")
    sweep.add_argument("--region", help="AWS region")
    command.tolerate("--profile", "--region")
    return command


# --- show -------------------------------------------------------------------------------------------------------------


def _show(options: argparse.Namespace) -> int:
    from ssm_ssh.auth import keypair, push_journal
    from ssm_ssh.settings import schema
    from ssm_ssh.storage.paths import data_folder

    settings = schema.load()
    configured, usable = _configured_key(settings)
    pairs = keypair.show(max_age=settings.seconds("key_age"))
    entries = push_journal.entries()
    if options.json:
        output.as_json(
            {
                "configured_key": configured,
                "pairs": [
                    {
                        "state": state,
                        "public_key": pair.line,
                        "fingerprint": _fingerprint(pair.line),
                        "path": str(data_folder() / pair.slot),
                        "made": int(pair.made),
                    }
                    for pair, state in pairs
                ],
                "entries": [
                    {
                        "entry": entry.entry_id,
                        "instance_id": entry.instance_id,
                        "user": entry.user,
                        "expires": int(entry.expires),
                        "state": _state(entry),
                    }
                    for entry in entries
                ],
            }
        )
        return 0 if usable else 1
    if configured:
        output.line(f"{configured}\n")
    if pairs:
        output.table(_PAIRS, _pair_rows(pairs, settings))
        output.line(f"\nThe pairs are in {data_folder()}.")
    else:
        output.line("There is no key pair yet: the first connection makes one.")
    if entries:
        output.line()
        output.table(_ENTRIES, [_entry_row(entry) for entry in entries])
    return 0 if usable else 1


def _configured_key(settings: Settings) -> tuple[str, bool]:
    """Return a sentence about the user's own key ("" for none), and whether connections can use it."""
    from ssm_ssh.auth import identity
    from ssm_ssh.text import printable

    key = settings.text("key")
    if not key:
        return "", True
    name = f"the key of the settings, {printable(key)} (from {printable(settings.origin('key'))})"
    try:
        used = identity.choose(key, max_age=0.0, env=os.environ)
    except UsageError as error:
        return f"Problem: {name}, cannot be used: {error.sentence()}", False
    return f"Connections use {name}: {used.line}", True


def _pair_rows(pairs: Sequence[tuple[Pair, str]], settings: Settings) -> list[tuple[str | Cell, ...]]:
    return [
        (
            Cell(state, output.GOOD if state == "current" else output.QUIET),
            _type(pair),
            _fingerprint(pair.line),
            _minute(pair.made),
            _next(pair, state, [other for other in pairs if _type(other[0]) == _type(pair)], settings),
        )
        for pair, state in pairs
    ]


def _type(pair: Pair) -> str:
    return pair.line.partition(" ")[0]


def _fingerprint(public_line: str) -> str:
    from ssm_ssh.ssh.hostkey import from_line

    key = from_line(public_line)
    return key.fingerprint if key is not None else "no fingerprint"


def _next(pair: Pair, state: str, pairs: Sequence[tuple[Pair, str]], settings: Settings) -> str:
    """Return until when `pair` serves, or from when. `pairs` are those of its type."""
    from ssm_ssh.auth.keypair import GRACE, OVER_AGE, kept_until

    if state == "resting":
        return f"in use from {_minute(pair.made + GRACE)}"
    if state == "retired":
        until = kept_until(next(other for other, how in pairs if how in ("current", OVER_AGE)))
        if until < time.time():
            return "the next connection deletes it"
        return f"kept until {_minute(until)} for connections that are just starting"
    if state == OVER_AGE:
        return "replaced soon after the next connection"
    resting = [other.made + GRACE for other, how in pairs if how == "resting"]
    return f"in use until {_minute(resting[0] if resting else pair.made + settings.seconds('key_age'))}"


def _state(entry: Entry) -> str:
    if entry.expires < time.time():
        return "removal not confirmed"
    return "in place" if entry.heard else "perhaps in place"


def _entry_row(entry: Entry) -> tuple[str | Cell, ...]:
    state = _state(entry)
    following = f"until {_second(entry.expires)}{'' if entry.heard else ' at the latest'}"
    if state == "removal not confirmed":
        following = (
            f"should have expired at {_second(entry.expires)}; "
            f"to check and clean up: ssm-ssh key sweep {entry.instance_id} {entry.user}"
        )
    return Cell(state, output.CARE), entry.entry_id, entry.user, entry.instance_id, following


def _minute(when: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(when))


def _second(when: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(when))


# --- renew, remove, sweep ---------------------------------------------------------------------------------------------


def _renew(_: argparse.Namespace) -> int:
    from ssm_ssh.auth import keypair

    wait = keypair.renew()
    if wait:
        start = time.strftime("%H:%M", time.localtime(time.time() + wait))
        output.line(f"Made a new key pair; it will be used from {start}")
    else:
        output.line("Made a new key pair; it is in use")
    return 0


def _remove(_: argparse.Namespace) -> int:
    from ssm_ssh.auth import keypair

    count = keypair.remove()
    output.line(f"{count} key pair{'' if count == 1 else 's'} removed")
    return 0


def _sweep(options: argparse.Namespace) -> int:
    from ssm_ssh.auth import push_journal
    from ssm_ssh.auth.push import PushPolicy, sweep
    from ssm_ssh.aws.api.client import Api
    from ssm_ssh.locate.hostname import parse
    from ssm_ssh.locate.resolver import locate
    from ssm_ssh.log import Log
    from ssm_ssh.names import check_user
    from ssm_ssh.settings import schema

    name, user = parse(options.instance), check_user(options.user)
    target = name.target
    settings, debug = schema.load(vars(options)), Log(None, debug=options.debug).debug
    located = locate(name, settings, profile=options.profile or "", region=options.region or "", debug=debug)
    try:
        with output.progress(f"Sweeping the entries of {user} on {target.instance_id} ..."):
            sweep(Api(located.aws, debug=debug), target, user, PushPolicy(document=settings.text("push_document")))
    except KeyRefused as error:  # in the words of a push
        reason = error.message.removeprefix(f"{target.instance_id} did not take the key").lstrip(":; ")
        hint = f"Name the user: ssm-ssh key sweep {target.instance_id} USER" if error.code == "no-user" else error.hint
        raise KeyRefused(
            f"entries of {user} on {target.instance_id} were not swept: {reason}", hint, code=error.code
        ) from error
    output.line(f"No expired entry of ssm-ssh is left for {user} on {target.instance_id}")
    account = (target.instance_id, user)
    if any((entry.instance_id, entry.user) == account and not entry.heard for entry in push_journal.entries()):
        output.line("Another command sent no result and may still run: sweep again in some minutes")
    return 0
