"""`ssm-ssh`: finds the command, runs it, and turns whatever goes wrong into one line."""

from __future__ import annotations

import importlib
import os
import sys

from ssm_ssh import __version__
from ssm_ssh.errors import SsmSshError, StateError, UsageError
from ssm_ssh.text import describe_unexpected, printable

COMMANDS = {
    "setup": "make ssh, scp, sftp, rsync and git reach instances by their ids",
    "status": "show what is set up, whether ssh would use it, and what to mind",
    "list": "list the instances there are, and whether they can be reached",
    "sync": "give each instance that has a name an alias for ssh",
    "login": "log in for a profile with SSO or login_session, in a browser",
    "config": "show the settings in force, and where each comes from",
    "completion": "print what makes a shell complete commands, options and instances",
    "proxy": "be ssh's ProxyCommand: carry one SSH connection to an instance",
    "key": "show, renew and remove the key pair of ssm-ssh's own",
    "host-keys": "show, refresh, accept and remove the host keys that ssh is to trust",
    "lab": "run an AWS of your own on this machine, to try ssm-ssh without an account",
}

HELP = """\
usage: ssm-ssh COMMAND [ARGUMENT ...]

Plain ssh, scp, sftp, rsync and git to EC2 instances (i-...) and managed nodes (mi-...) through
AWS Systems Manager Session Manager: no open port, no bastion, no plugin.

commands:
{commands}
options:
  -h, --help   show this text; `ssm-ssh COMMAND --help` tells more of one command
  --version    show the version
"""


def entry() -> None:
    """Run the program; the console script."""
    sys.exit(main(sys.argv[1:]))


def main(argv: list[str]) -> int:
    """Run `ssm-ssh` with `argv`; returns its exit status: 0, 1 (it failed) or 2 (the call was wrong)."""
    try:
        try:
            return _dispatch(argv)
        finally:
            # Here, where it can be told what is wrong: at exit, Python would complain in its own words.
            _flush()
    except SsmSshError as error:
        print(f"ssm-ssh: {error.sentence()}", file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return 1  # whoever read our output has seen enough
    except OSError as error:
        print(f"ssm-ssh: {_refused(error).sentence()}", file=sys.stderr)
        return 1
    except Exception as error:
        from ssm_ssh.log import Log

        # Not raised again: a traceback of Python's own shows what outside text holds, escapes included.
        Log(None, debug="--debug" in argv).failure(error)
        print(
            f"ssm-ssh: unexpected error: {printable(describe_unexpected(error))}. Add --debug to see where",
            file=sys.stderr,
        )
        return 1


def _refused(error: OSError) -> StateError:
    """Return what to say where the system refused something at a place that does not say so itself."""
    from pathlib import Path

    from ssm_ssh.storage.trouble import cannot_use

    if isinstance(error.filename, str | bytes):
        return cannot_use(Path(os.fsdecode(error.filename)), error)
    return StateError(f"the system refused: {error.strerror or type(error).__name__}", "Check the disk and the output")


def _flush() -> None:
    """Have everything that was printed written. Raises BrokenPipeError, and StateError where it cannot be."""
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
    except OSError as error:
        # What is left would be tried again at exit.
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
        if isinstance(error, BrokenPipeError):
            raise
        raise StateError(f"the output cannot be written: {error.strerror}", "Check where it goes") from error


def _dispatch(argv: list[str]) -> int:
    if not argv or argv[0] in ("-h", "--help", "help"):
        lines = "".join(f"  {name:<11} {text}\n" for name, text in COMMANDS.items())
        print(HELP.format(commands=lines), end="")
        return 0 if argv else 2
    if argv[0] in ("--version", "-V"):
        print(f"ssm-ssh {__version__}")
        return 0
    name, rest = argv[0], argv[1:]
    if name in COMMANDS:
        status: int = importlib.import_module(f"ssm_ssh.cli.{name.replace('-', '')}").run(rest)
        return status
    raise UsageError(f"there is no command '{printable(name, 40)}'", f"Commands: {', '.join(COMMANDS)}")
