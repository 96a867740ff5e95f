"""`ssm-ssh list`: the instances, and whether they can be reached."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ssm_ssh.cli import output, scope
from ssm_ssh.cli.parser import Arguments, command_parser
from ssm_ssh.cli.table import Cell, Column

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
On a terminal the table fits the width: long texts are cut, and the columns agent, address and platform are left out if
there is no room for them. Elsewhere the table is complete. --json prints one array of objects.
Needs ssm:DescribeInstanceInformation, and ec2:DescribeInstances for names and tags.

exit status: 0 all places answered; 1 one of them did not (the others are shown); 2 wrong arguments.
"""

_MOST_SHARED = 5
_COLUMNS = (
    Column("NAME", least=12),
    Column("ID", whole=True),
    Column("PLATFORM", least=12, spare=1),
    Column("USER"),
    Column("AGENT", whole=True, spare=3),
    Column("PING", least=14),
    Column("ADDRESS", whole=True, spare=2),
    Column("PROFILE/REGION", whole=True),
)


def run(argv: list[str]) -> int:
    """Run the command; returns its exit status."""
    options = _parser().parse_args(argv)
    asked = scope.ask(options)
    told = [answer.inventory for answer in reversed(asked.answers) if answer.inventory]
    nodes = {node.instance_id: node for place in told for node in place.nodes}
    own = asked.settings.text("user")
    shown = [node._replace(user=own or node.user) for node in nodes.values()]
    if options.online:
        shown = [node for node in shown if node.ping == "Online"]
    shown.sort(key=lambda node: (node.name == "", node.name.lower(), node.instance_id))
    if options.json:
        output.as_json([_as_object(node) for node in shown])
    elif shown:
        output.table(_COLUMNS, [_row(node) for node in shown])
        _tell_shared(shown)
    else:
        unasked = sum(answer.inventory is None for answer in asked.answers)
        _report_none(unasked=unasked, places=len(asked.answers), tags=bool(options.tag))
    return 1 if scope.complain(asked.answers) else 0


def _parser() -> Arguments:
    parser = command_parser("list", _DESCRIPTION, epilog=_EPILOG)
    scope.add_options(parser)
    parser.add_argument("--online", action="store_true", help="only instances whose agent is online")
    parser.add_argument("--json", action="store_true", help="for programs: one array of objects")
    return parser


def _report_none(*, unasked: int, places: int, tags: bool) -> None:
    what = "No instance matches the tags" if tags else "No instance is known to Systems Manager"
    if not unasked:
        output.note(f"{what}." if tags else f"{what} there.")
    elif unasked < places:
        output.note(f"{what} in the places that answered.")


def _tell_shared(nodes: list[Node]) -> None:
    """Say to a person which names are those of several instances, since `ssh NAME` cannot mean one of them."""
    import sys

    from ssm_ssh.locate import aliases

    if not sys.stdout.isatty():
        return
    chosen = aliases.choose([aliases.Named(node.instance_id, node.name) for node in nodes], lambda _: "")
    for name, keys in sorted(chosen.shared.items())[:_MOST_SHARED]:
        longer = ", ".join(sorted(chosen.aliases[key] for key in keys)[:_MOST_SHARED])
        output.note(
            f"{len(keys)} instances are named {name}: after sync, their aliases end with a part of the id ({longer})"
        )


def _row(node: Node) -> tuple[str | Cell, ...]:
    ping = node.ping if node.state in ("", "running") else f"{node.ping} ({node.state})"
    return (
        node.name,
        node.instance_id,
        node.platform,
        node.user,
        node.agent_version,
        Cell(ping, output.GOOD if ping == "Online" else output.CARE),
        node.address,
        f"{node.profile or 'default'}/{node.region}",
    )


def _as_object(node: Node) -> dict[str, str]:
    return {
        "name": node.name,
        "instance_id": node.instance_id,
        "platform": node.platform,
        "user": node.user,
        "agent_version": node.agent_version,
        "ping_status": node.ping,
        "private_address": node.address,
        "state": node.state,
        "profile": node.profile,
        "region": node.region,
    }
