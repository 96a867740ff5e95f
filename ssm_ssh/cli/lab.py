"""`ssm-ssh lab`: run a local AWS lab until Ctrl-C, or while one command or a shell runs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ssm_ssh.cli import output
from ssm_ssh.cli.parser import Arguments, command_parser
from ssm_ssh.errors import StateError, UsageError
from ssm_ssh.text import printable

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator, Sequence
    from types import FrameType

    from ssm_ssh.lab import Lab, LabOptions
    from ssm_ssh.lab.named_faults import Chosen

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_DESCRIPTION = """\
Simulate AWS on this machine: the APIs that a session needs, the message gateway, and instances with agents and SSH
servers. Credentials and certificates are random and new each time. The lab needs no account, sends nothing to the
network, and neither reads nor changes your own ~/.ssh and ~/.aws.

  ssm-ssh lab                    run until Ctrl-C, and print how to use it
  ssm-ssh lab --shell            open your shell in a lab, which ends with the shell
  ssm-ssh lab -- COMMAND ...     run COMMAND in a lab, and exit with its status
  ssm-ssh lab --demo             demonstrate ssh, scp and rsync in a lab
"""

_EPILOG = """\
In the lab, ssh, scp and sftp (and with them rsync and git) reach the instances; the AWS CLI and the SDKs reach the
lab's APIs. For scripts, SSM_SSH_LAB_INSTANCE and SSM_SSH_LAB_USER name an instance and a user on it, and
SSM_SSH_LAB_MANAGED and SSM_SSH_LAB_MANAGED_USER a managed node (mi-...). Profiles with fewer permissions, for
`aws --profile`: temporary, expired, no-eic, no-commands, no-start, no-channel, no-hostkeys, sessions-only, one-user,
own-document; after `ssm-ssh login PROFILE` also: sso, sso-inline, sign-in (BROWSER names a program that confirms).

Faults: --fault NAME, or NAME=VALUE for its first parameter, or NAME=KEY=VALUE,KEY=VALUE; --fault NAME=help describes
one, and --fault help lists them. Instances are named by id or name (web-1); without one, all are meant.

examples:
  ssm-ssh lab --shell --fault agent-down=web-1 --fault throttle=StartSession,count=3
  ssm-ssh lab -- sh -c 'ssh "$SSM_SSH_LAB_USER@$SSM_SSH_LAB_INSTANCE" uname -a'
  ssm-ssh lab --instances 5 --sshd embedded
"""


class _Stopped(Exception):
    """A signal asked for the end."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def run(argv: list[str]) -> int:
    """Run the command; returns its exit status, or that of the command after `--`."""
    argv, command = _split(argv)
    options = _parser().parse_args(argv)
    if options.demo:
        if command or options.shell or options.fault:
            other = "command" if command else "--shell" if options.shell else "--fault"
            raise UsageError(f"--demo takes no {other}")
        from ssm_ssh.lab import demo

        return demo.run(sys.stdout)
    if options.shell and command:
        raise UsageError("--shell takes no command", "Run: ssm-ssh lab --shell, or: ssm-ssh lab -- COMMAND")
    faults = _faults(options.fault)
    if faults is None:
        return 0
    from ssm_ssh.lab import Lab

    lab = Lab(_lab_options(options))
    if options.shell:
        return _run(lab, faults, lambda: _wait_for_shell(lab, faults))
    if command is not None:
        return _run(lab, faults, lambda: _wait_for(command, lab.env))
    return _keep_up(lab, faults, quiet=options.quiet)


def _split(argv: list[str]) -> tuple[list[str], list[str] | None]:
    if "--" not in argv:
        return argv, None
    at = argv.index("--")
    if not argv[at + 1 :]:
        raise UsageError("there is no command after --", "For example: ssm-ssh lab -- sh")
    return argv[:at], argv[at + 1 :]


def _parser() -> Arguments:
    usage = "ssm-ssh lab [OPTION ...] [-- COMMAND ...]"
    parser = command_parser("lab", _DESCRIPTION, epilog=_EPILOG, usage=usage)
    parser.add_argument("--instances", type=int, default=3, metavar="N", help="number of instances (3)")
    parser.add_argument(
        "--sshd",
        choices=("auto", "system", "embedded"),
        default="auto",
        help="SSH servers: the system's OpenSSH or the embedded one; auto: OpenSSH if possible",
    )
    boot = "from the start of a stopped instance to its agent (16)"
    parser.add_argument("--boot", metavar="SECONDS", type=float, default=16.0, help=boot)
    parser.add_argument("--no-pacing", action="store_true", help="agents send at full speed, unlike the official one")
    parser.add_argument("--region", default="eu-central-1", help="name of the region (eu-central-1)")
    parser.add_argument(
        "--allow-unsigned",
        action="store_true",
        help="accept unsigned data channels, for plugins before 1.2.764",
    )
    parser.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="NAME[=...]",
        help="let something be wrong in the lab; repeatable; --fault help lists the faults",
    )
    parser.add_argument("--shell", action="store_true", help="open your shell in the lab, and stop the lab with it")
    preferences = parser.add_argument_group("the account's preferences for Session Manager")
    preferences.add_argument("--kms", action="store_true", help="encrypt shells and commands with the lab's key")
    preferences.add_argument("--run-as", metavar="USER", help="run shells and commands as USER instead of ssm-user")
    preferences.add_argument("--shell-profile", metavar="COMMANDS", help="what is typed into a new shell")
    preferences.add_argument("--idle", metavar="MINUTES", help="end sessions without input after this time (20)")
    preferences.add_argument("--max-duration", metavar="MINUTES", help="end sessions after this time (no limit)")
    parser.add_argument("--demo", action="store_true", help="run a demonstration, then exit")
    parser.add_argument("--quiet", action="store_true", help="print only the command that enters the lab")
    return parser


def _faults(texts: list[str]) -> list[Chosen] | None:
    """Return the faults that were chosen, or None after help on them was printed. Raises UsageError."""
    if not texts:
        return []
    from ssm_ssh.lab import named_faults

    if "help" in texts:
        output.line("\n".join(["Faults:", "", *named_faults.listing()]))
        return None
    asked = next((text.removesuffix("=help") for text in texts if text.endswith("=help")), "")
    if asked:
        output.line(named_faults.reference(asked))
        return None
    return [named_faults.parse(text) for text in texts]


def _set(lab: Lab, faults: list[Chosen]) -> None:
    """Put `faults` in force. Raises UsageError for an instance that the lab does not have."""
    from ssm_ssh.lab import named_faults

    instances = {instance.instance_id: instance.name for instance in lab.instances}
    for name, values in [call for chosen in faults for call in named_faults.calls(chosen, instances)]:
        lab.fault(name, **values)


def _lab_options(options: argparse.Namespace) -> LabOptions:
    from ssm_ssh.lab import LabOptions

    if not 0.0 <= options.boot <= 600.0:  # more would seem to hang, and NaN is no time
        raise UsageError(f"{options.boot:g} is not a time for a boot", "Use 0 to 600 seconds")
    return LabOptions(
        instances=options.instances,
        pacing=not options.no_pacing,
        sshd=options.sshd,
        region=options.region,
        require_upgrade_signature=not options.allow_unsigned,
        preferences=_preferences(options),
        pending_seconds=options.boot / 2,
        boot_seconds=options.boot / 2,
    )


def _preferences(options: argparse.Namespace) -> dict[str, object]:
    """Return the preferences that the options name, by AWS's names."""
    named = {
        "kmsKeyId": "alias/lab" if options.kms else None,
        "runAsEnabled": True if options.run_as else None,
        "runAsDefaultUser": options.run_as,
        "shellProfile": {"windows": "", "linux": options.shell_profile} if options.shell_profile else None,
        "idleSessionTimeout": options.idle,
        "maxSessionDuration": options.max_duration,
    }
    return {name: value for name, value in named.items() if value is not None}


def _ignore(number: int, _: FrameType | None) -> None:
    """Do nothing. (Unlike SIG_IGN, which a command would inherit.)"""


def _stop(number: int, _: FrameType | None) -> None:
    # Once is enough: what follows is the teardown, which must not be cut short.
    for signal_number in _SIGNALS:
        signal.signal(signal_number, _ignore)
    raise _Stopped(number)


@contextmanager
def _stopping() -> Iterator[None]:
    """Within this context the first signal raises _Stopped."""
    before = [(number, signal.signal(number, _stop)) for number in _SIGNALS]
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)


def _keep_up(lab: Lab, faults: list[Chosen], *, quiet: bool) -> int:
    try:
        with _stopping(), lab:
            _set(lab, faults)
            output.line(f". {_shell_word(lab.env_file)}" if quiet else _text(lab, faults))
            output.flush()
            lab.wait()
            raise StateError("the lab has ended by itself", lab.log_text()[-300:])
    except _Stopped as stopped:
        # Ctrl-C is how this is meant to end.
        return 0 if stopped.number == signal.SIGINT else 128 + stopped.number


def _text(lab: Lab, faults: list[Chosen]) -> str:
    first = lab.instances[0].destination
    return f"""\
{_summary(lab, faults)}

In another terminal (its HOME becomes the lab's):

  . {_shell_word(lab.env_file)}
  ssh {first}
  scp /etc/hosts {first}:

To use names such as {lab.instances[0].name} there:

  ssm-ssh setup && ssm-ssh sync

Ctrl-C stops the lab and removes all of it."""


def _shell_text(lab: Lab, faults: list[Chosen]) -> str:
    return f"""\
{_summary(lab, faults)}

In this shell, ssh, scp, sftp, ssm-ssh, the AWS CLI and the SDKs reach the lab:

  ssh {lab.instances[0].destination}
  ssm-ssh list

Its HOME is the lab's, so your own startup files are not read. To stop the lab and remove all of it, leave the shell."""


def _summary(lab: Lab, faults: list[Chosen]) -> str:
    rows = [("NAME", "INSTANCE", "USER", "SYSTEM", "SSH SERVER")]
    rows += [(host.name, host.instance_id, host.users[0], host.platform, host.sshd) for host in lab.instances]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    table = "\n".join("  " + "  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
    chosen = f"\n\nFaults: {printable(', '.join(fault.text for fault in faults), 300)}" if faults else ""
    return f"The lab is up: region {lab.region}, account {lab.account}.\n\n{table}{chosen}"


def _shell_word(value: object) -> str:
    import shlex

    return shlex.quote(str(value))


def _run(lab: Lab, faults: list[Chosen], wait: Callable[[], int]) -> int:
    from ssm_ssh.lab.process import lifeline

    # What the command leaves behind comes to us, and ends with the lab.
    lifeline.adopt_orphans()
    try:
        with _stopping(), lab:
            _set(lab, faults)
            return wait()
    except _Stopped as stopped:
        return 128 + stopped.number
    finally:
        lifeline.end_descendants()


def _wait_for_shell(lab: Lab, faults: list[Chosen]) -> int:
    from ssm_ssh.lab import shell

    started = shell.prepare(lab.folder, shell.user_shell(os.environ), lab.env)
    if sys.stdin.isatty():
        output.line(_shell_text(lab, faults))
        output.flush()
    return _wait_for(started.command, started.env, hang_up=True)


def _wait_for(command: Sequence[str], env: dict[str, str], *, hang_up: bool = False) -> int:
    """Run `command` to its end and return its exit status.

    `hang_up`: it is an interactive shell, which ignores SIGTERM and gets SIGHUP instead, again each second until it
    ends: bash only notes a SIGHUP that comes between the prompt and the read, and then waits for a key.
    """
    signal.signal(signal.SIGINT, _ignore)
    try:
        process = subprocess.Popen(command, env=env)
    except OSError as error:
        raise UsageError(
            f"cannot run {printable(command[0], 80)}: {error.strerror}", "Name a program after --"
        ) from error
    received: list[int] = []

    def pass_on(number: int, _: FrameType | None) -> None:
        received.append(number)
        os.kill(process.pid, signal.SIGHUP if hang_up else number)
        if hang_up:
            signal.setitimer(signal.ITIMER_REAL, 1.0, 1.0)

    def hang_up_again(_: int, __: FrameType | None) -> None:
        os.kill(process.pid, signal.SIGHUP)

    signal.signal(signal.SIGALRM, hang_up_again)
    # Ctrl-C has reached the command already, for it is in the same process group; the others have not.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, pass_on)
    status = _collect(process.pid)
    signal.setitimer(signal.ITIMER_REAL, 0.0)
    for number in _SIGNALS:
        signal.signal(number, _ignore)
    process.returncode = os.waitstatus_to_exitcode(status)
    if hang_up and received:  # the shell may end of its own accord when it gets the other signal
        return 128 + received[0]
    return 128 - process.returncode if process.returncode < 0 else process.returncode


def _collect(pid: int) -> int:
    """Wait for `pid` and return its status. Orphans of the command are ours, and are collected on the way.

    A shell that stops itself (`suspend`) stops us too, so that the shell that started us takes over.
    """
    while True:
        ended, status = os.waitpid(-1, os.WUNTRACED)
        if ended != pid:
            continue
        if not os.WIFSTOPPED(status):
            return status
        if os.WSTOPSIG(status) == signal.SIGSTOP:
            os.kill(os.getpid(), signal.SIGSTOP)
            os.kill(pid, signal.SIGCONT)
