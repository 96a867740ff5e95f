"""`ssm-ssh status`: print what the doctor's local checks find."""

from __future__ import annotations

from ssm_ssh.cli import doctor
from ssm_ssh.cli.parser import Arguments, command_parser

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


def run(argv: list[str]) -> int:
    """Run the command; returns 0 when ssh uses this ssm-ssh, and connections can succeed."""
    options = _parser().parse_args(argv)
    from ssm_ssh.doctor import checks

    findings = checks.run()
    doctor.show(findings, as_json=options.json)
    return 0 if all(finding.is_good for finding in findings) else 1


def _parser() -> Arguments:
    parser = command_parser("status", _DESCRIPTION, epilog=_EPILOG)
    parser.add_argument("--json", action="store_true", help="for programs: one array of objects")
    return parser
