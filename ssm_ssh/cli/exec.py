"""`ssm-ssh exec TARGET [--] COMMAND ...`: one command on an instance, with its streams and its exit status."""

from __future__ import annotations

import os

from ssm_ssh.cli import output, target
from ssm_ssh.errors import UsageError
from ssm_ssh.startup import TYPE_CHECKING
from ssm_ssh.text import printable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from ssm_ssh.cli.parser import Arguments
    from ssm_ssh.command.script import Request

_DESCRIPTION = """\
Run one command on an instance through Session Manager. It needs no sshd, no key and no open port there. Arguments
arrive as they are written, stdout and stderr stay apart, and the command's exit status is that of ssm-ssh exec.

  ssm-ssh exec i-0123456789abcdef0 -- df -h /
  tar c . | ssm-ssh exec -i -w /srv/app web-1 tar x
"""

_EPILOG = f"""\
{target.EPILOG}
Options come before TARGET. COMMAND is a program, not a line for a shell: use sh -c '...' for pipes and variables. It
runs as the user of the account's Session Manager preferences: ssm-user, unless Run As names another. --user needs sudo
without a password there. The arguments show in AWS CloudTrail.

exit status: the command's own; 128+N signal N ended it, or ssm-ssh; 254 its result is unknown, because the session was
lost or the output could not be written; 255 ssm-ssh failed, and the command was not run.
Needs ssm:StartSession on the instance, on AWS-StartNonInteractiveCommand and on AWS-StartInteractiveCommand (for -i and
-t, and where the other document is missing), ssm:ResumeSession, ssm:TerminateSession and ssmmessages:OpenDataChannel.
"""

_VALUED = ("-u", "--user", "-w", "--workdir", "-e", "--env", *target.OPTIONS)


def run(argv: list[str]) -> int:
    """Run the command; returns its exit status. Raises SsmSshError, for which main returns 255, as ssh does."""
    return _exec(argv)


def split(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return what comes up to TARGET, and the command. Raises UsageError for an option behind TARGET."""
    value = False
    for number, word in enumerate(argv):
        if value:
            value = False
        elif not word.startswith("-") or word == "-":
            head, command = list(argv[: number + 1]), list(argv[number + 1 :])
            if command and command[0] == "--":
                return head, command[1:]
            if command and command[0].startswith("-"):
                shown = printable(command[0], 40)
                raise UsageError(
                    f"{shown} stands behind TARGET, where the command begins",
                    f"Put it before TARGET, or write -- in front of a command named {shown}",
                )
            return head, command
        else:
            # A value may also be attached: --user=u, -uu. Switches may come in one word: -it.
            value = word in _VALUED or (word[:2] != "--" and word[1:-1].strip("it") == "" and f"-{word[-1]}" in _VALUED)
    return list(argv), []


def _parser() -> Arguments:
    from ssm_ssh.cli.parser import command_parser

    parser = command_parser(
        "exec", _DESCRIPTION, epilog=_EPILOG, usage="ssm-ssh exec [OPTION ...] TARGET [--] COMMAND [ARGUMENT ...]"
    )
    parser.add_argument("target", metavar="TARGET", nargs="?", help=target.WHAT)
    target.add_options(parser)
    parser.add_argument("-i", "--interactive", action="store_true", help="pass stdin on to the command, and its end")
    parser.add_argument(
        "-t", "--tty", action="store_true", help="give the command a terminal (stdout and stderr as one)"
    )
    parser.add_argument("-u", "--user", metavar="U", help="run it as this user, by sudo")
    parser.add_argument("-w", "--workdir", metavar="DIR", help="run it in this directory")
    parser.add_argument(
        "-e",
        "--env",
        metavar="NAME[=VALUE]",
        action="append",
        help="set a variable; without a value it has the local one; may be repeated",
    )
    return parser


def _exec(argv: list[str]) -> int:
    output.open_standard_descriptors()
    head, command = split(argv)
    arguments = vars(_parser().parse_args(head))
    if not arguments["target"]:
        raise UsageError("no target is given", "For example: ssm-ssh exec i-0123456789abcdef0 -- uname -a")
    request = _request(arguments, command)
    from ssm_ssh.command import run

    run.check(request)
    chosen = target.choose(arguments["target"], arguments)
    return run.run(
        chosen.located.aws,
        chosen.instance_id,
        request,
        chosen.log,
        resume_limit=chosen.settings.seconds("resume_limit"),
        reason=arguments["reason"] or "",
        kms_key=chosen.settings.text("kms_key"),
        start=chosen.settings.text("start"),
        report=lambda error: output.error(error.sentence()),
    )


def _request(arguments: dict[str, Any], command: list[str]) -> Request:
    from ssm_ssh import names
    from ssm_ssh.command.script import Request

    if not command:
        raise UsageError("no command is given", "For example: ssm-ssh exec i-0123456789abcdef0 -- uname -a")
    if arguments["tty"] and arguments["interactive"] and not os.isatty(0):
        raise UsageError("-t with -i needs a terminal, and standard input is not a terminal", "Leave -t out")
    # An empty value is more likely a variable without a value than a wish for the default.
    user = names.check_user(arguments["user"]) if arguments["user"] is not None else ""
    if arguments["workdir"] == "":
        raise UsageError("the directory of --workdir is empty", "Name one, or leave --workdir out")
    variables = [variable for text in arguments["env"] or () if (variable := _variable(text))]
    return Request(
        tuple(command),
        user=user,
        directory=arguments["workdir"] or "",
        variables=tuple(variables),
        stdin=arguments["interactive"],
        terminal=arguments["tty"],
    )


def _variable(text: str) -> str:
    """Return NAME=VALUE, "" for a local variable that is not set. Raises UsageError."""
    name, equals, _ = text.partition("=")
    if not name.isidentifier() or not name.isascii():
        raise UsageError(
            f"'{printable(text, 40)}' is not a variable", "Use -e NAME=VALUE, or -e NAME for the local value"
        )
    if equals:
        return text
    return f"{name}={os.environ[name]}" if name in os.environ else ""
