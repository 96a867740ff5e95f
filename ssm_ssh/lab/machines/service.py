"""The instances process: the machines, the agent of each, and the calls of the lab's server that reach them."""

from __future__ import annotations

import asyncio
import dataclasses
import ssl
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from ssm_ssh.lab.agent.agent import Agent
from ssm_ssh.lab.agent.options import AgentOptions
from ssm_ssh.lab.agent.remote_host import Network
from ssm_ssh.lab.agent.service import AgentCredentials
from ssm_ssh.lab.agent.session import Machine
from ssm_ssh.lab.machines.faults import FAULTS
from ssm_ssh.lab.machines.instances import Instances
from ssm_ssh.lab.options import LabOptions
from ssm_ssh.lab.process.descendants import collect_orphans
from ssm_ssh.lab.wire.rpc import CallFailed

# AWS-RunShellScript's executionTimeout, in seconds, where none is given.
_EXECUTION_SECONDS = 3600.0


async def start(config: dict[str, Any]) -> InstanceService:
    """Boot the machines and start their agents, as the server's `config` says (see server.py).

    Raises CallFailed or OSError; then nothing is left.
    """
    options = LabOptions.from_json(config["options"])
    folder = Path(config["folder"], "instances")
    folder.mkdir(mode=0o700, exist_ok=True)
    chosen = options.chosen()
    members = [
        (instance["instance_id"], choice, instance["address"])
        for instance, choice in zip(config["instances"], chosen, strict=True)
    ]
    instances = Instances(folder, members, sshd=options.sshd)
    try:
        await instances.start()
    except BaseException:
        await instances.stop()
        raise
    api_url = [""]  # the server has none before the instances are there
    service = InstanceService(instances, _agents(config, options, instances, api_url), api_url)
    await service.start_agents()
    return service


def _agents(
    config: dict[str, Any], options: LabOptions, instances: Instances, api_url: list[str]
) -> dict[str, Callable[[], Agent]]:
    """Return what makes a new agent, for each instance."""
    tls = ssl.create_default_context(cafile=config["ca_file"])

    def maker(instance: dict[str, Any]) -> Callable[[], Agent]:
        machine = instances.machine(instance["instance_id"])
        return lambda: Agent(
            machine.instance_id,
            gateway_url=config["gateway_url"],
            region=config["region"],
            credentials=AgentCredentials(instance["access_key"], instance["secret_key"], instance.get("token", "")),
            machine=Machine(instances.open_port, Network(instances.resolve, instances.open_address), machine.accounts),
            api_url=lambda: api_url[0],
            ca_file=config["ca_file"],
            tls=tls,
            options=AgentOptions(
                **{"version": machine.options.agent_version, "pacing": options.pacing, **options.agent}
            ),
        )

    return {instance["instance_id"]: maker(instance) for instance in config["instances"]}


class InstanceService:
    """What runs behind the link: see rpc.Service. `agents` makes an agent for each instance id.

    `api_url` has one item: the URL of the API, as the server tells it.
    """

    def __init__(
        self, instances: Instances, agents: dict[str, Callable[[], Agent]], api_url: list[str] | None = None
    ) -> None:
        self.instances = instances
        self._api_url = [""] if api_url is None else api_url
        self._make = agents
        self._agents: dict[str, Agent] = {}
        self._versions: dict[str, str] = {}  # of the agents that were changed, before that
        self._collecting = asyncio.create_task(collect_orphans())

    def ready(self) -> dict[str, Any]:
        """Return the instances as they are."""
        return {"instances": self.instances.ready(), "folder": str(self.instances.folder)}

    async def start_agents(self) -> None:
        """Start the agents of the instances that run and are to be connected."""
        for instance_id, machine in self.instances.machines.items():
            if machine.running and machine.options.connected:
                await self._start_agent(instance_id)

    async def stop(self) -> None:
        """End agents and machines."""
        self._collecting.cancel()
        await asyncio.gather(*(agent.stop() for agent in self._agents.values()), return_exceptions=True)
        await self.instances.stop()

    async def handle(self, op: str, args: dict[str, Any]) -> dict[str, Any]:
        """Carry out one call of the server's. Raises CallFailed."""
        operations: dict[str, Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]] = {
            "push_key": self._push_key,
            "send_command": self._send_command,
            "console_output": self._console_output,
            "host_keys": self._host_keys,
            "map_port": self._map_port,
            "api_url": self._set_api_url,
            "boot": self._boot,
            "fault": self._fault,
            "clear_faults": self._clear_faults,
        }
        if op not in operations:
            raise CallFailed("UnknownOperation", f"{op} is not an operation on instances")
        try:
            return await operations[op](args)
        except (KeyError, TypeError) as error:
            raise CallFailed("ValidationException", f"{op}: {error}") from error
        except OSError as error:
            raise CallFailed("InternalServerError", f"{op}: {error}") from error

    async def _push_key(self, args: dict[str, Any]) -> dict[str, Any]:
        self.instances.push_eic_key(args["instance_id"], args["user"], args["public_key"])
        return {}

    async def _send_command(self, args: dict[str, Any]) -> dict[str, Any]:
        parameters: dict[str, list[str]] = args["parameters"]
        script = "\n".join(parameters["commands"])
        seconds = float((parameters.get("executionTimeout") or [str(_EXECUTION_SECONDS)])[0])
        directory = (parameters.get("workingDirectory") or [""])[0]
        return await self.instances.run_command(args["instance_id"], script, seconds, directory)

    async def _console_output(self, args: dict[str, Any]) -> dict[str, Any]:
        return {"output": self.instances.console_output(args["instance_id"]), "timestamp": time.time()}

    async def _host_keys(self, args: dict[str, Any]) -> dict[str, Any]:
        return {"host_keys": self.instances.machine(args["instance_id"]).host_keys}

    async def _map_port(self, args: dict[str, Any]) -> dict[str, Any]:
        self.instances.map_port(args["instance_id"], int(args["port"]), int(args["real_port"]))
        return {}

    async def _set_api_url(self, args: dict[str, Any]) -> dict[str, Any]:
        self._api_url[0] = str(args["url"])
        return {}

    async def _boot(self, args: dict[str, Any]) -> dict[str, Any]:
        """Start the machine; its agent is started later."""
        await self.instances.start_instance(args["instance_id"])
        return {}

    # Faults

    async def _fault(self, args: dict[str, Any]) -> dict[str, Any]:
        name, words = args["name"], dict(args.get("args") or {})
        instance_id = words.pop("instance_id")
        self.instances.machine(instance_id)
        if name == "agent_version":
            await self._change_agent(instance_id, str(words["version"]))
            return {}
        if name not in FAULTS:
            raise CallFailed("ValidationException", f"{name} is not a fault of instances")
        if name == "start_agent":
            await self._start_agent(instance_id)
            return {}
        if name == "agent_quirk":
            self._agent(instance_id).quirk.set(words.get("kind", ""))
            return {}
        if name in ("kill_agent", "kill_instance", "restart_instance"):
            await self._kill_agent(instance_id)
        if name != "kill_agent":
            await getattr(self.instances, name)(instance_id, **words)
        if name in ("start_instance", "restart_instance"):
            await self._start_agent(instance_id)
        return {}

    async def _change_agent(self, instance_id: str, version: str) -> None:
        """Start the agent again as another version ("": the instance's own)."""
        machine = self.instances.machine(instance_id)
        own = self._versions.setdefault(instance_id, machine.options.agent_version)
        machine.options = dataclasses.replace(machine.options, agent_version=version or own)
        await self._kill_agent(instance_id)
        await self._start_agent(instance_id)

    async def _clear_faults(self, _: dict[str, Any]) -> dict[str, Any]:
        """Undo what lasts: everything runs and listens again, and EIC works where it did at first."""
        for instance_id, machine in self.instances.machines.items():
            machine.set_eic_effective(machine.options.eic)
            if machine.host_keys:  # it has been booted
                machine.configure_sshd()
                machine.set_home_mode(0o700)
            if machine.options.state == "running":
                await self.instances.start_instance(instance_id)
                if not machine.sshd.listening:
                    await machine.start_sshd()
        for instance_id in list(self._versions):
            await self._change_agent(instance_id, "")
        self._versions.clear()
        await self.start_agents()
        for agent in self._agents.values():
            agent.quirk.set("")
        return {}

    async def _start_agent(self, instance_id: str) -> None:
        if instance_id not in self._agents and self.instances.machine(instance_id).running:
            self._agents[instance_id] = self._make[instance_id]()
            self._agents[instance_id].start()

    def _agent(self, instance_id: str) -> Agent:
        if instance_id not in self._agents:
            raise CallFailed("InstanceNotRunning", f"no agent runs on {instance_id}")
        return self._agents[instance_id]

    async def _kill_agent(self, instance_id: str) -> None:
        agent = self._agents.pop(instance_id, None)
        if agent is not None:
            await agent.kill()
