"""`ssm-ssh forward TARGET -L ...`: ports of an instance, or of hosts that it reaches, on this computer."""

from __future__ import annotations

import os
import re
import time

from ssm_ssh.cli import output, target
from ssm_ssh.errors import SsmSshError, StateError, UsageError
from ssm_ssh.startup import TYPE_CHECKING
from ssm_ssh.text import printable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from ssm_ssh.aws.config.settings import AwsSettings
    from ssm_ssh.cli.parser import Arguments
    from ssm_ssh.forward.background import Background
    from ssm_ssh.forward.connection import Notices
    from ssm_ssh.forward.hub import Hub
    from ssm_ssh.forward.listener import Listener
    from ssm_ssh.forward.records import Record
    from ssm_ssh.forward.specs import Spec
    from ssm_ssh.log import Log

_DESCRIPTION = """\
Forward ports through Session Manager: of an instance, or of any host that it reaches. It needs no sshd and no open
port there.

  ssm-ssh forward i-0123456789abcdef0 5432                       its port 5432, here on the same
  ssm-ssh forward web-1 -L 8080:80 -L 0:db.internal:5432         two forwards, one on any free port
  ssm-ssh forward -f web-1 5432; ssm-ssh forward --stop 5432     in the background
  ssm-ssh forward web-1 -L 0:db.internal:5432 -- sh -c 'psql -h $SSM_SSH_FORWARD_HOST -p $SSM_SSH_FORWARD_PORT'
"""

_EPILOG = f"""\
{target.EPILOG}
FORWARD is PORT, PORT:HOSTPORT, [BIND:]PORT:HOST:HOSTPORT or PATH:HOST:HOSTPORT, as for ssh -L. It listens on both
loopback addresses unless BIND says otherwise ("*": on all); port 0 takes any free one. HOST is as the instance knows
it, by default the instance itself.

A line on stdout for each forward says that it is ready. A session that is over is replaced when the next program
connects. COMMAND runs while the forwards stand, with SSM_SSH_FORWARD_HOST and SSM_SSH_FORWARD_PORT for the first,
SSM_SSH_FORWARD_PORT_1, _2 ... for each.

exit status: that of COMMAND; 0 after Ctrl-C; 1 it failed; 2 the call was wrong; 128+N signal N.
"""
# Seconds for a forward in the background to end its sessions.
_STOP = 20.0
_LOCAL_HOST = "127.0.0.1"


def run(argv: list[str]) -> int:
    """Run the command; returns its exit status. Raises SsmSshError."""
    command: list[str] = []
    if "--" in argv:
        at = argv.index("--")
        argv, command = argv[:at], argv[at + 1 :]
        if not command:
            raise UsageError("there is no command after '--'", "Leave '--' out, or name a command")
    arguments = vars(_parser().parse_args(argv))
    if arguments["list"]:
        return _list(as_json=arguments["json"])
    words = arguments["words"]
    if arguments["stop"]:
        return _stop(words)
    _refuse_others(arguments)
    if words and re.match(r"[0-9]+(?::|$)", words[0]):  # ports without a target, which is chosen from a list
        words = ["", *words]
    from ssm_ssh.forward.specs import parse

    texts = [*words[1:], *(arguments["forwards"] or [])]
    if not texts:
        raise UsageError("there is nothing to forward", "Name a port: ssm-ssh forward TARGET 5432")
    specs = [parse(text) for text in texts]
    if arguments["background"] and command:
        raise UsageError("-f and a command exclude each other", "Leave one of them out")
    arguments["target"] = words[0] if words else ""
    return _forward(arguments, specs, command)


def _parser() -> Arguments:
    from ssm_ssh.cli.parser import command_parser

    parser = command_parser("forward", _DESCRIPTION, epilog=_EPILOG)
    parser.add_argument("words", metavar="TARGET [FORWARD ...] [-- COMMAND ...]", nargs="*", help=target.WHAT)
    parser.add_argument("-L", dest="forwards", metavar="FORWARD", action="append", help="one more forward, see below")
    parser.add_argument("-f", dest="background", action="store_true", help="go to the background when ready")
    parser.add_argument("--list", action="store_true", help="list the forwards in the background")
    parser.add_argument(
        "--stop",
        action="store_true",
        help="stop forwards in the background: of a port, a process id or an instance, or `all`",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object for each forward")
    parser.add_argument("--sessions", metavar="N", type=int, default=4, help="most sessions for a destination (4)")
    parser.add_argument(
        "--half-close-wait",
        metavar="S",
        help="how long to wait for the server once a program has finished sending (10 s)",
    )
    parser.add_argument("-R", dest="reverse", metavar="FORWARD", action="append", help="not available: use ssh -R")
    parser.add_argument("-D", dest="socks", metavar="PORT", action="append", help="not available: use ssh -D")
    target.add_options(parser)
    return parser


def _refuse_others(arguments: dict[str, Any]) -> None:
    """Raise UsageError for what Session Manager cannot do, or what makes no sense."""
    if arguments["reverse"]:
        raise UsageError("Session Manager cannot forward ports of this computer to an instance", "Use ssh -R")
    if arguments["socks"]:
        raise UsageError("Session Manager forwards to fixed hosts only, not through a SOCKS proxy", "Use ssh -D")
    if not 1 <= arguments["sessions"] <= 20:
        raise UsageError(f"{arguments['sessions']} is not a number of sessions", "Use 1 to 20")


def _forward(arguments: dict[str, Any], specs: Sequence[Spec], command: list[str]) -> int:
    from ssm_ssh.forward.background import Background
    from ssm_ssh.forward.connection import Choices, Notices, make_hub, open_listeners

    if not arguments["target"]:
        arguments = target.picked(arguments)
    listeners = open_listeners(specs)
    background: Background | None = None
    try:
        if arguments["background"]:
            output.flush()
            background = Background()
        chosen = target.choose(arguments["target"], arguments, "half_close_wait")
        notices = Notices(chosen.log)
        choices = Choices(
            chosen.settings.seconds("resume_limit"),
            chosen.settings.seconds("half_close_wait"),
            arguments["sessions"],
            arguments["reason"] or "",
            chosen.settings.text("kms_key"),
            chosen.settings.text("start"),
        )
        starter = _Readiness(listeners, chosen.instance_id, notices, chosen.log, background=background, command=command)
        starter.as_json = arguments["json"]
        hub = make_hub(
            listeners,
            lambda again: _settings(chosen, again=again),
            chosen.instance_id,
            chosen.log,
            choices=choices,
            notices=notices,
            on_ready=starter.on_ready,
        )
        starter.hub = hub
        status = hub.run()
        starter.finish()
    finally:
        for listener in listeners:
            listener.close()
    if starter.error is not None or hub.error is not None:
        raise starter.error or hub.error or SsmSshError("the forward failed")
    return status


def _settings(chosen: target.Chosen, *, again: bool) -> AwsSettings:
    """Return the account and region; `again`: with credentials that the user may have renewed since."""
    located = chosen.located
    if again:
        from ssm_ssh.locate.resolver import aws_settings

        try:
            return aws_settings(located.selection, os.environ)
        except SsmSshError as error:
            chosen.log.info(f"not read again: {error.sentence()}")
    return located.aws


class _Readiness:
    """What happens when all forwards are ready: the lines, the background, the command."""

    hub: Hub
    as_json = False

    def __init__(
        self,
        listeners: Sequence[Listener],
        instance_id: str,
        notices: Notices,
        log: Log,
        *,
        background: Background | None,
        command: list[str],
    ) -> None:
        self.error: SsmSshError | None = None
        self._listeners = listeners
        self._instance_id = instance_id
        self._notices = notices
        self._log = log
        self._background = background
        self._command = command

    def on_ready(self) -> None:
        """Say that the forwards stand, and go on as the user wants."""
        show = output.note if self._command else output.line
        for listener in self._listeners:
            show(self._line(listener))
        output.flush()
        if self._background is not None:
            from ssm_ssh.forward import records

            self._notices.silent = True
            try:
                records.add(self._instance_id, [(each.addresses, each.spec.destination) for each in self._listeners])
            except StateError as error:
                output.error(error.sentence())
            self._background.leave()
        elif self._command:
            try:
                self.hub.command(self._command, {**os.environ, **_variables(self._listeners)})
            except OSError as error:
                self.error = SsmSshError(
                    f"{printable(self._command[0], 80)} cannot be run: {error.strerror or type(error).__name__}"
                )
                self.hub.close(127 if isinstance(error, FileNotFoundError) else 126)

    def finish(self) -> None:
        """Take the record out."""
        if self._background is not None and self._notices.silent:
            from ssm_ssh.forward import records

            try:
                records.remove()
            except StateError as error:
                self._log.info(f"not removed: {error.sentence()}")

    def _line(self, listener: Listener) -> str:
        spec = listener.spec
        if self.as_json:
            import json

            return json.dumps(
                {
                    "instance_id": self._instance_id,
                    "addresses": listener.addresses,
                    "port": listener.port or None,
                    "host": spec.host or "localhost",
                    "host_port": spec.host_port,
                    "pid": os.getpid(),
                }
            )
        where = " and ".join(printable(address, 120) for address in listener.addresses)
        return f"forwarding {where} to {printable(spec.destination, 300)} by {self._instance_id}"


def _variables(listeners: Sequence[Listener]) -> dict[str, str]:
    """Return the variables that tell a command where the forwards are."""

    def host(listener: Listener) -> str:
        if listener.spec.path:
            return listener.spec.path
        address = str(listener.sockets[0].getsockname()[0])
        return {"0.0.0.0": _LOCAL_HOST, "::": "::1"}.get(address, address)  # noqa: S104

    variables = {"SSM_SSH_FORWARD_HOST": host(listeners[0]), "SSM_SSH_FORWARD_PORT": str(listeners[0].port)}
    for number, listener in enumerate(listeners, 1):
        variables[f"SSM_SSH_FORWARD_HOST_{number}"] = host(listener)
        variables[f"SSM_SSH_FORWARD_PORT_{number}"] = str(listener.port)
    return variables


def _list(*, as_json: bool) -> int:
    from ssm_ssh.cli.table import Column
    from ssm_ssh.forward import records

    running = records.running()
    if as_json:
        output.as_json([{"pid": record.pid, **record._asdict()} for record in running])
        return 0
    if not running:
        output.line("No forward runs in the background.")
        return 0
    rows = [
        [str(record.pid), record.instance_id, ", ".join(addresses), destination, _since(record)]
        for record in running
        for addresses, destination in record.forwards
    ]
    output.table([Column(head) for head in ("PROCESS", "INSTANCE", "LISTENS ON", "LEADS TO", "SINCE")], rows)
    return 0


def _since(record: Record) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(record.at))


def _stop(words: list[str]) -> int:
    from ssm_ssh.forward import records

    running = records.running()
    if len(words) > 1:
        raise UsageError(
            f"unexpected argument '{printable(words[1], 80)}'", "--stop takes one port, process or instance"
        )
    if not words and len(running) > 1:
        raise UsageError(f"{len(running)} forwards run in the background", "Name a port of one, or `all`")
    word = words[0] if words else "all"
    chosen = [
        record for record in running if word in ("all", str(record.pid), record.instance_id) or word in record.ports
    ]
    if not chosen:
        what = f" for {printable(word, 80)}" if words and word != "all" else ""
        raise SsmSshError(f"no forward{what} runs in the background", "See: ssm-ssh forward --list")
    status = 0
    for record in chosen:
        if records.stop(record, _STOP):
            output.line(f"stopped the forward of process {record.pid} by {record.instance_id}")
        else:
            output.error(f"process {record.pid} has not ended within {_STOP:.0f} s. End it by: kill -9 {record.pid}")
            status = 1
    return status
