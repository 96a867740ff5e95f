"""`ssm-ssh list`: the instances there are, and whether they can be reached."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from ssm_ssh.cli import scope
from ssm_ssh.cli.parser import Arguments

if TYPE_CHECKING:
    from ssm_ssh.aws.services.inventory import Node

_DESCRIPTION = """\
List the instances that Systems Manager knows: name, id, platform, usual user, agent version, ping status, private
address, profile and region. Names come from the Name tag; a managed node's (mi-...) from its activation.

  ssm-ssh list                          everything that is configured, or the account that AWS_PROFILE names
  ssm-ssh list prod:eu-west-1,us-east-1 dev
  ssm-ssh list --tag Env=prod --online
  ssm-ssh list --json | jq -r '.[] | select(.ping_status == "Online") | .instance_id'
"""

_EPILOG = f"""\
{scope.WHERE}
On a terminal columns are cut to its width; elsewhere they are whole. --json gives one array of objects.
Needs ssm:DescribeInstanceInformation, and ec2:DescribeInstances for names and tags.

exit status: 0 all places answered; 1 one of them did not (the others are shown); 2 the call was wrong.
"""

_HEADS = ("NAME", "ID", "PLATFORM", "USER", "AGENT", "PING", "ADDRESS", "PROFILE/REGION")
_ID = 1


def run(argv: list[str]) -> int:
    """Run the command; returns its exit status."""
    options = _parser().parse_args(argv)
    asked = scope.ask(options)
    nodes = {node.instance_id: node for one in reversed(asked.answers) if one.found for node in one.found.nodes}
    own = asked.settings.text("user")
    shown = [node._replace(user=own or node.user) for node in nodes.values()]
    if options.online:
        shown = [node for node in shown if node.ping == "Online"]
    shown.sort(key=lambda node: (node.name == "", node.name.lower(), node.instance_id))
    if options.json:
        _print_json(shown)
    else:
        _print_table(shown, unasked=sum(place.found is None for place in asked.answers), places=len(asked.answers))
    return 1 if scope.complain(asked.answers) else 0


def _parser() -> Arguments:
    import argparse

    parser = Arguments(
        prog="ssm-ssh list",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    scope.add_options(parser)
    parser.add_argument("--online", action="store_true", help="only those whose agent is there")
    parser.add_argument("--json", action="store_true", help="for programs: one array of objects")
    return parser


def _print_table(nodes: list[Node], *, unasked: int, places: int) -> None:
    import shutil

    from ssm_ssh.cli.table import table

    rows = [
        (one.name, one.instance_id, one.platform, one.user, one.agent_version, _ping(one), one.address, _where(one))
        for one in nodes
    ]
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    if rows:
        print("\n".join(table(_HEADS, rows, width=width, keep=frozenset({_ID}))))
    elif not unasked:
        print("No instance is known to Systems Manager there.", file=sys.stderr)
    elif unasked < places:
        print("No instance is known to Systems Manager in the places that answered.", file=sys.stderr)


def _ping(node: Node) -> str:
    return node.ping if node.state in ("", "running") else f"{node.ping} ({node.state})"


def _where(node: Node) -> str:
    return f"{node.profile or 'default'}/{node.region}"


def _print_json(nodes: list[Node]) -> None:
    import json

    print(
        json.dumps(
            [
                {
                    "name": one.name,
                    "instance_id": one.instance_id,
                    "platform": one.platform,
                    "user": one.user,
                    "agent_version": one.agent_version,
                    "ping_status": one.ping,
                    "private_address": one.address,
                    "state": one.state,
                    "profile": one.profile,
                    "region": one.region,
                }
                for one in nodes
            ],
            indent=1,
        )
    )
