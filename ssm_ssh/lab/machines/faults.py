"""What can go wrong on an instance itself, by name; the instances process carries it out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ssm_ssh.lab.agent.quirk import QUIRKS
from ssm_ssh.lab.machines.console import FORGERIES


class InstanceFault(NamedTuple):
    """A fault of an instance. `choices`: what its parameters may be, the first being the default."""

    summary: str
    choices: Mapping[str, tuple[str | bool, ...]] = {}


# Each takes `instance_id`. The agent and the instance stay away until they are started again; the rest lasts until
# the fault is cleared or, for the host key, permanently.
FAULTS: dict[str, InstanceFault] = {
    "kill_agent": InstanceFault("The agent dies: no close frame, no last message."),
    "start_agent": InstanceFault("The agent runs again."),
    "agent_quirk": InstanceFault(
        "The agent stays online and does not do its part in sessions.", {"kind": tuple(filter(None, QUIRKS))}
    ),
    "kill_instance": InstanceFault("Power off: agent, sshd and every process on the instance end at once."),
    "start_instance": InstanceFault("The instance runs again."),
    "restart_instance": InstanceFault("Power off and on again; the host key stays."),
    "swap_host_key": InstanceFault(
        "sshd has new host keys; console=true: the instance was rebuilt, and its console shows them.",
        {"console": (False, True)},
    ),
    "stop_sshd": InstanceFault("The SSH port is closed, and open connections continue, as with `systemctl stop ssh`."),
    "start_sshd": InstanceFault("The SSH port is open again."),
    "break_sshd_config": InstanceFault("sshd's configuration has a line that it does not know, and sshd does not run."),
    "open_homes": InstanceFault("Anyone may write to the homes of the users, so that sshd refuses the keys in them."),
    "ineffective_eic": InstanceFault("EC2 Instance Connect accepts keys, and sshd does not look for them."),
    "forge_console": InstanceFault("A user of the instance writes host keys to its console.", {"kind": FORGERIES}),
}
