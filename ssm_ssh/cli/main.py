"""`ssm-ssh`: find the command, run it, and turn every error into one line."""

from __future__ import annotations

import importlib
import os
import sys

from ssm_ssh import __version__
from ssm_ssh.cli import output
from ssm_ssh.errors import SsmSshError, StateError, UsageError
from ssm_ssh.text import describe_unexpected, printable

COMMANDS = {
    "setup": "make ssh, scp, sftp, rsync and git reach instances by their ids",
    "status": "check what is set up, whether ssh uses it, and what is wrong",
    "doctor": "find out why an instance cannot be reached, and what to do",
    "shell": "open a shell on an instance, without sshd",
    "exec": "run a command on an instance, with its own exit status",
    "forward": "forward ports of an instance, or of hosts that it reaches, to this computer",
    "list": "list the instances, and whether they can be reached",
    "sessions": "show your open sessions, and end some",
    "sync": "give each instance with a name an alias for ssh",
    "login": "log in for a profile with SSO or login_session, in a browser",
    "config": "show the settings in force, and where each comes from",
    "completion": "print a script that makes a shell complete commands and instances",
    "proxy": "run as ssh's ProxyCommand: carry one SSH connection to an instance",
    "key": "show, renew or remove ssm-ssh's own key pair",
    "host-keys": "show, refresh, accept or remove the host keys that ssh trusts",
    "lab": "run a local AWS lab, to try ssm-ssh without an account",
}

# Commands that end with the status of something remote, and their status for errors of this program: that of ssh(1).
_REMOTE, _REMOTE_FAILED = ("shell", "exec"), 255

HELP = """\
usage: ssm-ssh COMMAND [ARGUMENT ...]

Plain ssh, scp, sftp, rsync and git to EC2 instances (i-...) and managed nodes (mi-...) through
AWS Systems Manager Session Manager: no open port, no bastion, no plugin. And shells, commands and
port forwards that need no sshd.

commands:
{commands}
options:
  -h, --help   show this text; `ssm-ssh COMMAND --help` describes one command
  --version    show the version

examples:
  ssm-ssh setup                       once, then: ssh ec2-user@i-0123456789abcdef0
  ssm-ssh list prod:eu-west-1 dev     the instances of two profiles
"""


def entry() -> None:
    """Run the program; the console script."""
    # A thread whose network call has returned is not to wait 5 ms for another that computes.
    sys.setswitchinterval(0.0005)
    sys.exit(main(sys.argv[1:]))


def main(argv: list[str]) -> int:
    """Run `ssm-ssh` with `argv`; returns its exit status: 0, 1 (it failed) or 2 (the call was wrong).

    Where the status belongs to a remote command, failures have one that is seldom such a command's own.
    """
    failed = _REMOTE_FAILED if argv and argv[0] in _REMOTE else 0
    try:
        try:
            return _dispatch(argv)
        finally:
            # Here an error can still be reported; at exit, Python would complain in its own words.
            output.flush()
    except SsmSshError as error:
        output.error(error.sentence())
        return failed or (2 if isinstance(error, UsageError) else 1)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return 1  # the reader of the output has seen enough
    except OSError as error:
        output.error(_refused(error).sentence())
        return failed or 1
    except Exception as error:
        from ssm_ssh.log import Log

        # Not raised again: Python's own traceback shows outside text raw, with its escape sequences.
        Log(None, debug="--debug" in argv).failure(error)
        output.error(f"unexpected error: {printable(describe_unexpected(error))}. Add --debug to see where")
        return failed or 1


def _refused(error: OSError) -> StateError:
    """Return the error to report where the system refused something that no module reports itself."""
    from pathlib import Path

    from ssm_ssh.storage.trouble import cannot_use

    if isinstance(error.filename, str | bytes):
        return cannot_use(Path(os.fsdecode(error.filename)), error)
    return StateError(f"the system refused: {error.strerror or type(error).__name__}", "Check the disk and the output")


def _dispatch(argv: list[str]) -> int:
    if not argv or argv[0] in ("-h", "--help", "help"):
        lines = "".join(f"  {name:<11} {text}\n" for name, text in COMMANDS.items())
        output.raw(HELP.format(commands=lines))
        return 0 if argv else 2
    if argv[0] in ("--version", "-V"):
        output.line(f"ssm-ssh {__version__}")
        return 0
    name, rest = argv[0], argv[1:]
    if name in COMMANDS:
        status: int = importlib.import_module(f"ssm_ssh.cli.{name.replace('-', '')}").run(rest)
        return status
    raise _no_command(argv)


def _no_command(argv: list[str]) -> UsageError:
    """Return the error for arguments that do not start with a command."""
    name = argv[0]
    command = next((word for word in argv if word in COMMANDS), "")
    if name.startswith("-") and command:
        option = printable(name, 40)
        reason = f"unexpected argument '{option}' before the command"
        return UsageError(reason, f"Put it after the command: ssm-ssh {command} {option}")
    from ssm_ssh.locate import hostname
    from ssm_ssh.suggest import did_you_mean

    user, _, host = name.rpartition("@")
    try:
        hostname.parse(host)
        is_instance = True
    except UsageError:
        is_instance = False
    if is_instance:
        hint = f"Run: ssh {printable(user or 'ec2-user', 60)}@{printable(host, 200)}"
    else:
        hint = did_you_mean(name, (*COMMANDS, "--version", "--help")) or f"Commands: {', '.join(COMMANDS)}"
    return UsageError(f"there is no command '{printable(name, 40)}'", hint)
