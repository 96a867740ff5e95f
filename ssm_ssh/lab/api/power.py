"""EC2's starts and stops: states that take time, and an agent that registers once its machine has booted."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from ssm_ssh.lab.api.context import ApiError, Operation, ServiceContext
from ssm_ssh.lab.identity.identities import Identity
from ssm_ssh.lab.state import InstanceRecord

_CODES = {"pending": 0, "running": 16, "shutting-down": 32, "terminated": 48, "stopping": 64, "stopped": 80}


class Power:
    """StartInstances and StopInstances. How long they take is in the lab's options."""

    def __init__(self, context: ServiceContext) -> None:
        self._context = context
        self._state = context.state
        self._tasks: set[asyncio.Task[None]] = set()

    def operations(self) -> dict[str, Operation]:
        """Return the operations by name."""
        return {
            "StartInstances": Operation(self.start_instances, self._arn),
            "StopInstances": Operation(self.stop_instances, self._arn),
        }

    async def stop(self) -> None:
        """Leave every instance in the state in which it is."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _arn(self, values: dict[str, Any]) -> str:
        return self._context.instance_arn(str((values.get("InstanceIds") or [""])[0]))

    def _instances(self, values: dict[str, Any], action: str, allowed: tuple[str, ...]) -> list[InstanceRecord]:
        """Return the instances, all of them in a state of `allowed`. Raises ApiError."""
        records = []
        for instance_id in values["InstanceIds"]:
            record = self._state.instance_here(instance_id)
            if record is None or record.hybrid:
                raise ApiError("InvalidInstanceID.NotFound", f"The instance ID '{instance_id}' does not exist")
            if record.state not in allowed:
                raise ApiError(
                    "IncorrectInstanceState",
                    f"The instance '{instance_id}' is not in a state from which it can be {action}.",
                )
            records.append(record)
        return records

    async def start_instances(self, _: Identity, values: dict[str, Any]) -> dict[str, Any]:
        """StartInstances: nothing happens to those that run or start already."""
        changes = []
        for record in self._instances(values, "started", ("stopped", "pending", "running")):
            before = record.state
            if before == "stopped":
                record.state, record.state_reason = "pending", ("", "")
                record.launched = self._state.clock()
                self._begin(self._boot(record))
            changes.append(_change(record, before))
        return {"StartingInstances": changes}

    async def stop_instances(self, _: Identity, values: dict[str, Any]) -> dict[str, Any]:
        """StopInstances: also with Hibernate, after which an instance starts as any other does."""
        changes = []
        for record in self._instances(values, "stopped", ("stopped", "stopping", "running")):
            before = record.state
            if before == "running":
                record.state = "stopping"
                code = "UserInitiatedHibernate" if values.get("Hibernate") else "UserInitiatedShutdown"
                record.state_reason = (f"Client.{code}", f"Client.{code}: User initiated shutdown")
                self._begin(self._shut_down(record))
            changes.append(_change(record, before))
        return {"StoppingInstances": changes}

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _boot(self, record: InstanceRecord) -> None:
        options = self._state.options
        await asyncio.sleep(options.pending_seconds)
        if record.state != "pending":  # a fault was faster
            return
        await self._context.instances.call("boot", instance_id=record.instance_id)
        record.state = "running"
        await asyncio.sleep(options.boot_seconds)
        if record.state == "running" and record.options.agent_at_boot:
            await self._fault("start_agent", record)

    async def _shut_down(self, record: InstanceRecord) -> None:
        await self._fault("kill_instance", record)
        await asyncio.sleep(self._state.options.stopping_seconds)
        if record.state == "stopping":
            record.state = "stopped"

    async def _fault(self, name: str, record: InstanceRecord) -> None:
        await self._context.instances.call("fault", name=name, args={"instance_id": record.instance_id})


def _change(record: InstanceRecord, before: str) -> dict[str, Any]:
    return {
        "InstanceId": record.instance_id,
        "CurrentState": {"Code": _CODES[record.state], "Name": record.state},
        "PreviousState": {"Code": _CODES[before], "Name": before},
    }
