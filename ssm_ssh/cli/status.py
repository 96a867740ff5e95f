"""`ssm-ssh status`: print what the doctor's local checks find."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ssm_ssh.cli import output
from ssm_ssh.cli.parser import Arguments, command_parser
from ssm_ssh.cli.table import Cell, Column

if TYPE_CHECKING:
    from ssm_ssh.doctor.finding import Finding

_DESCRIPTION = """\
Check what `ssm-ssh setup` has set up, whether it is current and whether ssh uses it, which profile, region and
credentials apply and where they come from, and what is dangerous or in the way. Nothing is changed, AWS is not called,
and no program that provides credentials is run.

  ssm-ssh status
  ssm-ssh status --json | jq -r '.[] | select(.state == "problem") | .evidence'
"""

_EPILOG = """\
exit status: 0 ssh uses ssm-ssh, everything is current, credentials are configured, and there is no problem;
1 otherwise.
"""

_COLUMNS = (Column("STATE", whole=True), Column("CHECK", whole=True), Column("FINDING", wrap=True))
_STYLES = {"ok": output.GOOD, "warning": output.CARE, "problem": output.BAD, "not checked": output.CARE}


def run(argv: list[str]) -> int:
    """Run the command; returns 0 when ssh uses this ssm-ssh, and connections can succeed."""
    options = _parser().parse_args(argv)
    from ssm_ssh.doctor import checks

    findings = checks.run()
    if options.json:
        output.as_json([_as_object(finding) for finding in findings])
    else:
        output.table(_COLUMNS, [_row(finding) for finding in findings])
    return 0 if all(finding.is_good for finding in findings) else 1


def _parser() -> Arguments:
    parser = command_parser("status", _DESCRIPTION, epilog=_EPILOG)
    parser.add_argument("--json", action="store_true", help="for programs: one array of objects")
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
