"""The lab's remote control: one JSON line in, one out, over the pipes that only the lab's owner holds."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Awaitable, Callable
from typing import Any

from ssm_ssh.errors import SsmSshError, UsageError
from ssm_ssh.lab.api.context import ApiError, Instances
from ssm_ssh.lab.api.server import Api
from ssm_ssh.lab.cloud.faults import FAULTS as CLOUD_FAULTS
from ssm_ssh.lab.cloud.faults import PREFERENCES
from ssm_ssh.lab.faults.faults import Faults
from ssm_ssh.lab.machines.faults import FAULTS as INSTANCE_FAULTS
from ssm_ssh.lab.state import LabState
from ssm_ssh.lab.wire import rpc
from ssm_ssh.text import printable

Operation = Callable[[dict[str, Any]], Awaitable[Any]]
# The state of an instance after these faults, as EC2 names it.
_STATES = {"kill_instance": "stopped", "start_instance": "running", "restart_instance": "running"}
# Of these the instance itself is off.
_OFF = frozenset({"terminated"})


class Control:
    """Answers the owner of the lab, who may do everything."""

    def __init__(self, state: LabState, faults: Faults, instances: Instances, api: Api) -> None:
        self._state = state
        self._faults = faults
        self._instances = instances
        self._api = api
        self._preferred: dict[str, Any] = {}  # the preferences before a fault changed them; empty: none has
        self._operations: dict[str, Operation] = {
            "calls": self._calls,
            "sessions": self._sessions,
            "online": self._online,
            "fault": self.fault,
            "faults": self._in_force,
            "clear_faults": self._clear_faults,
            "host_keys": self._host_keys,
            "map_port": self._map_port,
            "set_tags": self._set_tags,
            "prefer": self.prefer,
        }

    async def answer(self, line: bytes) -> dict[str, Any]:
        """Carry out the request in `line` and return `{"result"}` or `{"error": {"message", "hint"}}`."""
        try:
            request = json.loads(line)
            return {"result": await self._operations[request["op"]](request.get("args", {}))}
        except SsmSshError as error:
            return {"error": {"message": error.message, "hint": error.hint}}
        except rpc.CallFailed as error:
            return {"error": {"message": error.message or error.code, "hint": ""}}
        except (ValueError, KeyError, TypeError) as error:
            return {"error": {"message": f"the lab does not understand that: {error!r}", "hint": ""}}

    async def _calls(self, args: dict[str, Any]) -> list[dict[str, Any]]:
        return [dataclasses.asdict(call) for call in self._state.calls(args.get("operation"))]

    async def _sessions(self, _: dict[str, Any]) -> list[dict[str, Any]]:
        return [session.public() for session in self._state.sessions.values()]

    async def _online(self, _: dict[str, Any]) -> list[str]:
        return [instance.instance_id for instance in self._state.instances.values() if instance.online]

    async def fault(self, args: dict[str, Any]) -> dict[str, Any]:
        """Put a fault of the gateway, the API or an instance in force. Raises UsageError, rpc.CallFailed."""
        name, values = args["name"], args.get("values", {})
        if name == PREFERENCES:
            self._preferred = self._preferred or dict(self._api.ssm.documents.prefer({}))
            return await self.prefer(values)
        if name in CLOUD_FAULTS:
            return await self._change_site(name, values["instance_id"])
        if name not in INSTANCE_FAULTS:
            return {"number": self._faults.fault(name, **values)}
        result = await self._instances.call("fault", name=name, args=values)
        instance = self._state.instances.get(values.get("instance_id", ""))
        if instance is not None and name in _STATES:
            instance.state = _STATES[name]
        return result

    async def _change_site(self, name: str, instance_id: str) -> dict[str, Any]:
        """Change an instance's surroundings, with what that does to the instance and its agent. Raises UsageError."""
        fault, instance = CLOUD_FAULTS[name], self._state.instances.get(instance_id)
        if instance is None or not instance_id.startswith(fault.prefix):
            raise UsageError(f"{printable(instance_id, 40)} cannot have the fault '{name}'", "Name another instance")
        fault.change(instance.site)
        if fault.agent:
            await self._instances.call(
                "fault", name="agent_version", args={"instance_id": instance_id, "version": fault.agent}
            )
        if fault.offline:
            end = "kill_instance" if fault.state in _OFF else "kill_agent"
            await self._instances.call("fault", name=end, args={"instance_id": instance_id})
        instance.state = fault.state or instance.state
        return {}

    async def _in_force(self, _: dict[str, Any]) -> list[dict[str, Any]]:
        return self._faults.in_force()

    async def _clear_faults(self, _: dict[str, Any]) -> None:
        self._faults.clear()
        await self._instances.call("clear_faults")
        for instance in self._state.instances.values():
            instance.state = instance.options.state
            instance.site = self._state.new_site(instance.instance_id, instance.address)
        if self._preferred:
            self._api.ssm.documents.prefer(self._preferred)
            self._preferred = {}

    async def _host_keys(self, args: dict[str, Any]) -> list[str]:
        result = await self._instances.call("host_keys", instance_id=args["instance_id"])
        return list(result["host_keys"])

    async def _map_port(self, args: dict[str, Any]) -> None:
        await self._instances.call("map_port", **args)

    async def _set_tags(self, args: dict[str, Any]) -> None:
        self._state.instances[args["instance_id"]].tags = dict(args["tags"])

    async def prefer(self, args: dict[str, Any]) -> dict[str, Any]:
        """Change some of the account's preferences, by AWS's names, and return all of them. Raises UsageError."""
        account = self._api.account
        if args.get("kmsKeyId") == account.alias:
            args = {**args, "kmsKeyId": account.key_arn}
        try:
            return self._api.ssm.documents.prefer(args)
        except ApiError as error:
            raise UsageError(error.message, "Give a value that Session Manager accepts") from error
