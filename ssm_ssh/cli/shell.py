"""`ssm-ssh shell TARGET`: an interactive shell on an instance, through Session Manager and without sshd."""

from __future__ import annotations

from ssm_ssh.cli import output, simple_arguments, target
from ssm_ssh.errors import UsageError
from ssm_ssh.startup import TYPE_CHECKING
from ssm_ssh.text import printable

if TYPE_CHECKING:
    from typing import Any

    from ssm_ssh.cli.parser import Arguments
    from ssm_ssh.shell.commands import Start

_DESCRIPTION = """\
Open a shell on an instance through Session Manager. It needs no sshd, no key and no open port there. The shell is that
of the account's Session Manager preferences: usually sh, as ssm-user.

  ssm-ssh shell i-0123456789abcdef0
  ssm-ssh shell --user ubuntu --login web-1       a login shell of another user, by sudo
  ssm-ssh shell                                   choose one of the instances of `ssm-ssh list`
"""

_EPILOG = f"""\
{target.EPILOG}
Every key goes to the instance. Only at the start of a line: ~. leaves, ~^Z suspends ssm-ssh, ~? lists these escapes.
A lost connection is restored, and the shell goes on where it was.

exit status: 0 the shell has ended (Session Manager does not tell its status); 255 ssm-ssh failed, a limit or an
administrator ended the session, or ~. left it; 128+N signal N ended ssm-ssh.
Needs ssm:StartSession on the instance and on the document, ssm:ResumeSession, ssm:TerminateSession and
ssmmessages:OpenDataChannel.
"""

_OPTIONS = (*target.OPTIONS, "--user", "--document")
_SWITCHES = (*target.SWITCHES, "--login")


def run(argv: list[str]) -> int:
    """Run the command; returns its exit status. Raises SsmSshError, for which main returns 255, as ssh does."""
    return _shell(_simple(argv) or vars(_parser().parse_args(argv)))


def _parser() -> Arguments:
    from ssm_ssh.cli.parser import command_parser

    parser = command_parser("shell", _DESCRIPTION, epilog=_EPILOG)
    parser.add_argument("target", metavar="TARGET", nargs="?", help=target.WHAT)
    target.add_options(parser)
    parser.add_argument("--user", metavar="U", help="a shell of this user, by sudo; uses AWS-StartInteractiveCommand")
    parser.add_argument("--login", action="store_true", help="a login shell; uses AWS-StartInteractiveCommand")
    parser.add_argument("--document", metavar="NAME", help="session document, instead of the account's preferences")
    parser.add_argument(
        "--parameters",
        metavar="KEY=VALUE",
        action="append",
        help="a parameter of --document; may be repeated, also with the same KEY",
    )
    return parser


def _simple(argv: list[str]) -> dict[str, Any] | None:
    plain = simple_arguments.read(argv, _OPTIONS, _SWITCHES)
    if plain is None:
        return None
    values, words = plain
    if len(words) > 1:
        raise UsageError(
            f"unexpected argument '{printable(words[1], 80)}'", "To run a command: ssm-ssh exec TARGET -- COMMAND"
        )
    return {**values, "target": words[0] if words else None, "parameters": None}


def _shell(arguments: dict[str, Any]) -> int:
    output.open_standard_descriptors()
    from ssm_ssh.shell.connection import carry
    from ssm_ssh.shell.terminal import Terminal

    start = _start(arguments)
    terminal = Terminal()
    try:
        if not arguments["target"]:
            arguments = target.picked(arguments)
        chosen = target.choose(arguments["target"], arguments)
        return carry(
            chosen.located.aws,
            chosen.instance_id,
            start,
            terminal,
            chosen.log,
            resume_limit=chosen.settings.seconds("resume_limit"),
            reason=arguments["reason"] or "",
            kms_key=chosen.settings.text("kms_key"),
            start_instance=chosen.settings.text("start"),
        )
    finally:
        terminal.close()


def _start(arguments: dict[str, Any]) -> Start:
    """Return what to start. Raises UsageError."""
    from ssm_ssh import names
    from ssm_ssh.shell.commands import Start, chosen_shell

    document, pairs = arguments["document"] or "", arguments["parameters"] or []
    if (arguments["user"] or arguments["login"]) and (document or pairs):
        raise UsageError("--user and --login choose the document themselves", "Leave --document and --parameters out")
    if pairs and not document:
        raise UsageError("--parameters belong to a document", "Name it by --document")
    if arguments["document"] is not None and not names.is_document(document):
        raise UsageError(f"'{printable(document, 80)}' is not the name of a session document", names.DOCUMENT_HINT)
    if arguments["user"] is not None:
        names.check_user(arguments["user"])
    if not document:
        return chosen_shell(arguments["user"] or "", login=arguments["login"])
    parameters: dict[str, list[str]] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not key or not equals:
            raise UsageError(f"'{printable(pair, 80)}' is not a parameter", "Use KEY=VALUE")
        parameters.setdefault(key, []).append(value)
    return Start(document, tuple((key, tuple(values)) for key, values in parameters.items()))
