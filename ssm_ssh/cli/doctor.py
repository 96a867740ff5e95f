"""`ssm-ssh doctor [TARGET]`: why an instance cannot be reached, and what to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ssm_ssh.cli import output, target
from ssm_ssh.cli.parser import Arguments, command_parser
from ssm_ssh.cli.table import Cell, Column
from ssm_ssh.text import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ssm_ssh.aws.api.client import Api
    from ssm_ssh.aws.config.settings import AwsSettings
    from ssm_ssh.aws.credentials.source import CredentialSource
    from ssm_ssh.doctor.finding import Finding
    from ssm_ssh.log import Log

_DESCRIPTION = """\
Find out why an instance cannot be reached, and say what to do: this computer, credentials, rights, the instance, its
role and network, the agent, the account's preferences, and one session up to sshd's banner, which needs no login.

  ssm-ssh doctor i-0123456789abcdef0
  ssm-ssh doctor web-1 --no-session --json

Without TARGET only this computer and the credentials are checked. Nothing is changed: it makes only Describe, Get, List
and Simulate calls and a dry run, and starts and ends that one session, which --no-session leaves out.
"""

_EPILOG = f"""\
{target.EPILOG}
What could not be looked at is "not checked", with the permission that it takes. It never counts as good.

exit status: 0 nothing is in the way; 9 no problem was seen, but something was not checked; otherwise that of the first
problem: 10 this computer, 11 credentials, 12 rights, 13 the instance, 14 its role, 15 its network, 16 its agent,
17 preferences, 18 the way in; 1 the examination failed; 2 the call was wrong.
"""
_COLUMNS = (Column("STATE", whole=True), Column("CHECK", whole=True), Column("FINDING", wrap=True))
_STYLES = {"ok": output.GOOD, "warning": output.CARE, "problem": output.BAD, "not checked": output.CARE}


def run(argv: list[str]) -> int:
    """Run the command; returns its exit status. Raises SsmSshError."""
    arguments = vars(_parser().parse_args(argv))
    from ssm_ssh.doctor import causes, checks

    findings = [_without_setup(finding) for finding in checks.run()]
    findings = causes.ordered([*findings, *_examine(arguments)])
    show(findings, as_json=arguments["json"])
    problem = causes.first(findings)
    if problem is not None and not arguments["json"]:
        output.line()
        output.line(f"The first thing to put right: {problem.name}: {printable(problem.sentence, 600)}")
    return causes.exit_status(findings)


def show(findings: Sequence[Finding], *, as_json: bool) -> None:
    """Print `findings`, as a table or for programs."""
    if as_json:
        output.as_json([_as_object(finding) for finding in findings])
    else:
        output.table(_COLUMNS, [_row(finding) for finding in findings])


def _without_setup(finding: Finding) -> Finding:
    """Return `finding`; that ssh is not set up keeps no other command from an instance."""
    from ssm_ssh.doctor.finding import State

    if finding.name == "setup" and finding.state is State.PROBLEM:
        text = f"{finding.evidence}: plain ssh does not reach instances; shell, exec and forward do"
        return finding._replace(state=State.WARNING, evidence=text)
    return finding


def _parser() -> Arguments:
    parser = command_parser("doctor", _DESCRIPTION, epilog=_EPILOG)
    parser.add_argument("target", metavar="TARGET", nargs="?", default="", help=target.WHAT)
    parser.add_argument("--port", type=int, default=22, metavar="N", help="the port of sshd (22)")
    parser.add_argument("--no-session", action="store_true", help="start no session")
    parser.add_argument("--json", action="store_true", help="for programs: one array of objects")
    parser.add_argument("--profile", help="AWS profile")
    parser.add_argument("--region", help="AWS region")
    parser.add_argument("--log-file", metavar="PATH", help="write the log there")
    return parser


def _row(finding: Finding) -> tuple[str | Cell, ...]:
    state = finding.state.value
    return Cell(state, _STYLES.get(state, "")), finding.name, finding.sentence


def _as_object(finding: Finding) -> dict[str, str]:
    return {
        "check": finding.name,
        "state": finding.state.value,
        "evidence": finding.evidence,
        "todo": finding.todo,
    }


def _examine(arguments: dict[str, Any]) -> list[Finding]:
    """Return what AWS and the instance show."""
    from ssm_ssh.doctor import examination
    from ssm_ssh.tunnel.destination import parse_port

    port = parse_port(str(arguments["port"]))
    if not arguments["target"]:
        return examination.examine_account(_api(_own(arguments), None))
    chosen = target.choose(arguments["target"], {**arguments, "resume_limit": None})
    aws, document = chosen.located.aws, chosen.settings.text("document")
    first = _api(aws, chosen.log)

    def in_region(region: str) -> Api:
        return _api(aws.replace(region=region), chosen.log, first.credentials)

    def try_session() -> Finding:
        from ssm_ssh.doctor import way_in

        output.note(f"One session with {chosen.instance_id} is started, and ended at sshd's banner")
        return way_in.try_session(aws, chosen.instance_id, port, document, chosen.log)

    with output.progress(f"Examining {chosen.instance_id} ..."):
        return examination.examine(
            first,
            chosen.instance_id,
            document=document,
            api_in=in_region,
            try_session=None if arguments["no_session"] else try_session,
        )


def _api(aws: AwsSettings, log: Log | None, credentials: CredentialSource | None = None) -> Api:
    from ssm_ssh.aws.api.client import Api
    from ssm_ssh.aws.credentials.source import CredentialSource

    source = credentials or CredentialSource(aws, isolate=True)
    return Api(aws, credentials=source, debug=log.debug if log is not None else None)


def _own(arguments: dict[str, Any]) -> AwsSettings:
    """Return the account and region of no instance in particular. Raises UsageError."""
    import os

    from ssm_ssh.locate import resolver, selection
    from ssm_ssh.settings import schema

    profile, region = arguments["profile"] or "", arguments["region"] or ""
    choice = selection.choose(schema.load(), os.environ, profile=profile, region=region)
    # Who the caller is can be asked in any region.
    return resolver.aws_settings(choice._replace(fallback=choice.fallback or "us-east-1"), os.environ)
