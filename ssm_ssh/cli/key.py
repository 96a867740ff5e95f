"""`ssm-ssh key`: the key pair of ssm-ssh's own, and the entries that were put into authorized_keys files."""

from __future__ import annotations

import argparse
import os
import time
from typing import TYPE_CHECKING

from ssm_ssh.cli.parser import Arguments
from ssm_ssh.errors import KeyRefused, UsageError
from ssm_ssh.text import printable

if TYPE_CHECKING:
    from ssm_ssh.auth.keypair import Pair
    from ssm_ssh.settings.schema import Settings

_ACTIONS = ("show", "renew", "remove", "sweep")

_USER = "ec2-user"

_DESCRIPTION = """\
ssm-ssh makes an Ed25519 key pair of its own, and another one each day. Only the public half leaves this computer.

  ssm-ssh key                  show the pairs, and entries on instances whose removal has not been confirmed
  ssm-ssh key renew            make a new pair now, which is used in 15 minutes
  ssm-ssh key remove           delete all pairs, also for connections that are just starting
  ssm-ssh key sweep i-... [USER]
                               take expired entries of ssm-ssh's out of USER's authorized_keys there (send-command);
                               USER is ec2-user unless you name another
"""


def run(argv: list[str]) -> int:
    """Run the command; returns the exit status."""
    options = _parser().parse_intermixed_args(argv)
    words: list[str] = options.words
    action = words.pop(0) if words else "show"
    if action not in _ACTIONS:
        raise UsageError(f"'{printable(action, 80)}' is not an action of key", f"Actions: {', '.join(_ACTIONS)}")
    most = 2 if action == "sweep" else 0
    if len(words) > most:
        raise UsageError(f"'{printable(words[most], 80)}' is too much", "See: ssm-ssh key --help")
    if action == "sweep":
        return _sweep(options, words)
    return {"show": _show, "renew": _renew, "remove": _remove}[action]()


def _parser() -> Arguments:
    parser = Arguments(
        prog="ssm-ssh key",
        usage="%(prog)s [ACTION] [INSTANCE [USER]] [--profile PROFILE] [--region REGION]",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("words", nargs="*", help=argparse.SUPPRESS)
    parser.add_argument("--profile", help="AWS profile (sweep)")
    parser.add_argument("--region", help="AWS region (sweep)")
    return parser


def _show() -> int:
    from ssm_ssh.auth import identity, keypair, push_journal
    from ssm_ssh.settings import schema
    from ssm_ssh.storage.paths import data_folder

    chosen = schema.load()
    good = True
    if key := chosen.text("key"):
        whose = f"  {printable(key)}, by {chosen.origin('key')}; not ssm-ssh's own pair"
        try:
            used = identity.choose(key, max_age=0.0, env=os.environ)
            print(f"let in: {used.line}\n{whose}")
        except UsageError as error:
            print(f"cannot be used: {error.sentence()}\n{whose}")
            good = False
    pairs = keypair.show(max_age=chosen.seconds("key_age"))
    for pair, state in pairs:
        print(f"{state}: {pair.line}")
        print(f"  {data_folder() / pair.slot}, {_fingerprint(pair.line)}, {_when(pair, state, pairs, chosen)}")
    if not pairs:
        print("no key pair yet: the first connection makes one")
    now = time.time()
    for entry in push_journal.entries():
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(entry.expires))
        where = printable(f"{entry.user} on {entry.instance_id}")
        if entry.expires < now:
            print(f"removal not confirmed: entry {entry.entry_id} of {where} was to remove itself at {when}")
            print(f"  to confirm: ssm-ssh key sweep {printable(entry.instance_id)} {printable(entry.user)}")
        elif not entry.heard:
            print(f"perhaps in place: entry {entry.entry_id} of {where}, until {when} at the latest")
        else:
            print(f"in place: entry {entry.entry_id} of {where}, until {when}")
    return 0 if good else 1


def _fingerprint(line: str) -> str:
    from ssm_ssh.ssh.hostkey import from_line

    key = from_line(line)
    return key.fingerprint if key is not None else "no fingerprint"


def _when(pair: Pair, state: str, pairs: list[tuple[Pair, str]], chosen: Settings) -> str:
    """Say when `pair` was made, and what becomes of it when."""
    from ssm_ssh.auth.keypair import GRACE, OVER_AGE, kept_until

    made = f"made {_minute(pair.made)}"
    if state == "resting":
        return f"{made}, serves from {_minute(pair.made + GRACE)}"
    if state == "retired":
        until = kept_until(next(other for other, how in pairs if how in ("current", OVER_AGE)))
        if until < time.time():
            return f"{made}, to be deleted by the next connection"
        return f"{made}, kept until {_minute(until)} for connections that are just starting"
    if state == OVER_AGE:
        return made
    rests = [other.made + GRACE for other, how in pairs if how == "resting"]
    return f"{made}, serves until {_minute(rests[0] if rests else pair.made + chosen.seconds('key_age'))}"


def _minute(when: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(when))


def _renew() -> int:
    from ssm_ssh.auth import keypair

    wait = keypair.renew()
    print(f"a new pair is made; it is used in {wait / 60:.0f} minutes" if wait else "a new pair is made, and in use")
    return 0


def _remove() -> int:
    from ssm_ssh.auth import keypair

    count = keypair.remove()
    print(f"{count} key pair{'' if count == 1 else 's'} removed")
    return 0


def _sweep(options: argparse.Namespace, words: list[str]) -> int:
    from ssm_ssh.auth import push_journal
    from ssm_ssh.auth.push import Wish, sweep
    from ssm_ssh.aws.api.client import Api
    from ssm_ssh.locate.hostname import instance_of
    from ssm_ssh.locate.resolver import locate
    from ssm_ssh.settings import schema
    from ssm_ssh.target import parse_target

    if not words:
        raise UsageError("sweep needs to be told on which instance", "Run: ssm-ssh key sweep i-... [USER]")
    target = parse_target(instance_of(words[0]), "22", words[1] if len(words) > 1 else _USER)
    chosen = schema.load(vars(options))
    located = locate(words[0], chosen, profile=options.profile or "", region=options.region or "", debug=lambda _: None)
    try:
        sweep(Api(located.aws), target, Wish(document=chosen.text("push_document")))
    except KeyRefused as error:  # in the words of a push
        what = error.message.removeprefix(f"{target.instance_id} did not take the key").lstrip(":; ")
        hint = f"Name the user: ssm-ssh key sweep {target.instance_id} USER" if error.code == "no-user" else error.hint
        raise KeyRefused(
            f"entries of {target.user} on {target.instance_id} were not swept: {what}", hint, code=error.code
        ) from error
    print(f"no expired entry of ssm-ssh's is left for {target.user} on {target.instance_id}")
    account = (target.instance_id, target.user)
    if any((entry.instance_id, entry.user) == account and not entry.heard for entry in push_journal.entries()):
        print("the command of another was not heard of and may run yet: sweep again in some minutes")
    return 0
