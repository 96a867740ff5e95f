"""What can go wrong on an instance itself, by name; the instances process carries it out."""

from __future__ import annotations

# Each takes `instance_id`. The agent and the instance stay away until they are started again; the rest lasts until
# the fault is cleared or, for the host key, permanently.
FAULTS: frozenset[str] = frozenset(
    {
        "kill_agent",  # the agent dies: no close frame, no last message
        "start_agent",
        "agent_quirk",  # the agent lives and does not do its part; `kind`: see agent_quirk.QUIRKS
        "kill_instance",  # power off: agent, sshd and every process on it end at once
        "start_instance",
        "restart_instance",  # both, one after the other; the host key stays
        "swap_host_key",  # sshd has new host keys; `console=True`: the machine was rebuilt, its console says so
        "stop_sshd",  # the port is closed and open connections continue, as with `systemctl stop ssh`
        "start_sshd",
        "ineffective_eic",  # keys are accepted by EC2 Instance Connect, and sshd does not look for them
        "forge_console",  # a user of the instance writes to its console; `kind`: see console.FORGERIES
    }
)
