"""The options of a lab: plain values, passed as JSON to the lab's processes."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from ssm_ssh.errors import UsageError

REGION = "eu-central-1"
SSHD_KINDS = ("auto", "system", "embedded")
# One process holds every agent and SSH server; more than this is a load test of that process, not of a client.
MAX_INSTANCES = 200


@dataclass(frozen=True)
class InstanceOptions:
    """One instance. An empty `instance_id` is replaced by a random one (`mi-` when `hybrid`)."""

    name: str = ""
    instance_id: str = ""
    hybrid: bool = False
    platform: str = "Amazon Linux"
    platform_version: str = "2023"
    users: tuple[str, ...] = ("ec2-user",)
    ssh_port: int = 22
    sshd: str = ""  # "" = the lab's choice
    eic: bool = True  # the ec2-instance-connect package is installed: pushed keys are looked up by sshd
    console: bool = True  # cloud-init printed the host keys on the console
    agent_version: str = "3.3.1611.0"
    connected: bool = True  # the agent runs
    agent_at_boot: bool = True  # the agent's service is enabled: it starts with the instance
    state: str = "running"  # as EC2 names it: running, stopped, terminated


_KINDS = (
    InstanceOptions(name="web", platform="Amazon Linux", platform_version="2023", users=("ec2-user",)),
    InstanceOptions(name="db", platform="Ubuntu", platform_version="24.04", users=("ubuntu",)),
    InstanceOptions(
        name="edge", hybrid=True, platform="Debian GNU/Linux", platform_version="12", users=("admin",), eic=False
    ),
)


def some_instances(count: int) -> tuple[InstanceOptions, ...]:
    """Return `count` instances that differ in platform and user: web-1, db-1, edge-1 (hybrid), web-2, ...

    Raises UsageError when `count` is not between 1 and MAX_INSTANCES.
    """
    if not 1 <= count <= MAX_INSTANCES:
        raise UsageError(f"{count} is not a number of instances", f"Use a number from 1 to {MAX_INSTANCES}")
    kinds = len(_KINDS)
    return tuple(
        dataclasses.replace(_KINDS[i % kinds], name=f"{_KINDS[i % kinds].name}-{i // kinds + 1}") for i in range(count)
    )


@dataclass(frozen=True)
class LabOptions:
    """A lab. `instances` is a number (see `some_instances`) or the instances themselves; times are in seconds."""

    instances: int | tuple[InstanceOptions, ...] = 3
    pacing: bool = True  # the agent sleeps 1 ms after each read of 1024 bytes, as the official one does
    sshd: str = "auto"
    region: str = REGION
    token_lifetime: float = 60.0  # of a StartSession or ResumeSession token
    idle_timeout: float = 1200.0  # Session Manager's default of 20 minutes
    max_duration: float = 0.0  # of a session, in seconds; 0: no limit, as by default
    # The account's preferences where they are not the defaults: the `inputs` of SSM-SessionManagerRunShell, with AWS's
    # names. "alias/lab" as kmsKeyId is the lab's key. idleSessionTimeout and maxSessionDuration, in minutes, replace
    # the two limits above.
    preferences: dict[str, Any] = field(default_factory=dict)
    parameters: dict[str, str] = field(default_factory=dict)  # what the Parameter Store has: name -> value
    invocation_delay: float = 0.2  # GetCommandInvocation returns InvocationDoesNotExist until then
    pending_seconds: float = 8.0  # from StartInstances until the instance runs
    boot_seconds: float = 8.0  # and from then until its agent has started
    stopping_seconds: float = 8.0  # from StopInstances until it has stopped
    console_delay: float = 0.0  # GetConsoleOutput is empty until this long after the start
    require_upgrade_signature: bool = True  # the data channel's WebSocket upgrade must be signed, as AWS announces
    stream_origin: str = ""  # wss://HOST:PORT in StreamUrl instead of the gateway's, for a proxy in front of it
    early_frames: bool = False  # frames that an agent sends before its first client are kept for that client, not lost
    agent: dict[str, Any] = field(default_factory=dict)  # fields of agent.AgentOptions, where they are to differ
    policies: dict[str, dict[str, Any]] = field(default_factory=dict)  # users with these policy documents, by name
    faults: dict[str, dict[str, Any]] = field(default_factory=dict)  # set before the first call: name -> arguments

    def chosen(self) -> tuple[InstanceOptions, ...]:
        """Return the options of each instance. Raises UsageError for a number out of range."""
        return some_instances(self.instances) if isinstance(self.instances, int) else tuple(self.instances)

    def to_json(self) -> dict[str, Any]:
        """Return the options as JSON values; `from_json` is the inverse."""
        out = dataclasses.asdict(self)
        out["instances"] = [dataclasses.asdict(instance) for instance in self.chosen()]
        return out

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> LabOptions:
        """Return the options that `to_json` wrote."""
        instances = tuple(
            InstanceOptions(**{**instance, "users": tuple(instance["users"])}) for instance in values["instances"]
        )
        return cls(**{**values, "instances": instances})
