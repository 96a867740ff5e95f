"""Systems Manager's Run Command: run by the instances process, visible late and truncated as in AWS."""

from __future__ import annotations

import asyncio
import datetime
import re
import uuid
from dataclasses import dataclass, field
from typing import Any

from ssm_ssh.lab.api import command_documents
from ssm_ssh.lab.api.command_documents import RUN_SHELL
from ssm_ssh.lab.api.context import ApiError, Operation, ServiceContext, page
from ssm_ssh.lab.api.documents import Documents, is_command
from ssm_ssh.lab.identity.identities import Identity
from ssm_ssh.lab.state import InstanceRecord
from ssm_ssh.lab.wire import rpc

# https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetCommandInvocation.html
_OUTPUT, _ERROR, _LISTED = 24_000, 8_000, 2_500
_DEFAULT_TIMEOUT = 3600
_PAGE = 50
_KEPT = 1_000
# Systems Manager replaces these before the command reaches an instance.
_REFERENCE = re.compile(r"\{\{\s*(ssm|ssm-secure|resolve):[^}]*\}\}")


@dataclass
class Invocation:
    """One command on one instance."""

    instance: InstanceRecord
    visible_at: float
    status: str = "Pending"
    details: str = "Pending"
    response_code: int = -1
    stdout: str = ""
    stderr: str = ""
    started: float = 0.0
    ended: float = 0.0


@dataclass
class Command:
    """One SendCommand."""

    command_id: str
    document: str
    plugin: str
    comment: str
    script: dict[str, list[str]]
    parameters: dict[str, list[str]]
    requested: float
    timeout: int
    invocations: dict[str, Invocation] = field(default_factory=dict)

    @property
    def status(self) -> str:
        """The worst of the invocations, or InProgress."""
        seen = {invocation.status for invocation in self.invocations.values()}
        for status in ("Pending", "InProgress", "Failed", "TimedOut", "Cancelled"):
            if status in seen:
                return status
        return "Success"


class Commands:
    """The operations of `ssm` that are about commands."""

    def __init__(self, context: ServiceContext, documents: Documents) -> None:
        self._context = context
        self._documents = documents
        self._state = context.state
        self._commands: dict[str, Command] = {}
        self._tasks: dict[tuple[str, str], asyncio.Task[None]] = {}

    def operations(self) -> dict[str, Operation]:
        """Return the operations by name."""
        return {
            "SendCommand": Operation(self.send_command, self._first_instance),
            "GetCommandInvocation": Operation(self.get_command_invocation),
            "ListCommandInvocations": Operation(self.list_command_invocations),
            "ListCommands": Operation(self.list_commands),
            "CancelCommand": Operation(self.cancel_command),
        }

    async def stop(self) -> None:
        """Cancel the commands that are still running."""
        tasks = tuple(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _first_instance(self, values: dict[str, Any]) -> str:
        ids = values.get("InstanceIds") or ["*"]
        return self._context.instance_arn(str(ids[0]))

    def _targets(self, values: dict[str, Any]) -> list[InstanceRecord]:
        ids = values.get("InstanceIds") or []
        if len(set(ids)) != len(ids):
            raise ApiError("DuplicateInstanceId", "")
        if ids and values.get("Targets"):
            raise ApiError("ValidationException", "InstanceIds and Targets cannot be used together")
        if ids:
            known = self._state.instances
            wrong = [instance_id for instance_id in ids if instance_id not in known or not known[instance_id].online]
            if wrong:
                raise ApiError(
                    "InvalidInstanceId",
                    f"Instances [[{', '.join(wrong)}]] not in a valid state for account {self._state.account}",
                )
            return [known[instance_id] for instance_id in ids]
        targets = [instance for instance in self._state.instances.values() if instance.online]
        for target in values.get("Targets") or []:
            key, wanted = target["Key"], target["Values"]
            if key == "InstanceIds":
                targets = [instance for instance in targets if instance.instance_id in wanted]
            elif key.startswith("tag:"):
                targets = [instance for instance in targets if instance.tags.get(key[4:]) in wanted]
            else:
                raise ApiError("InvalidTarget", f"Target key {key} is not valid.")
        if not values.get("Targets"):
            raise ApiError("ValidationException", "Either InstanceIds or Targets must be given")
        return targets

    async def send_command(self, caller: Identity, values: dict[str, Any]) -> dict[str, Any]:
        """SendCommand: AWS-RunShellScript, or a document of the user's own that runs a script."""
        name = values["DocumentName"].rpartition("document/")[2]
        if caller.documents and name not in caller.documents:
            arn = self._context.ssm_arn("document", name)
            raise ApiError("AccessDeniedException", caller.denied_sentence("ssm:SendCommand", arn))
        content = None if name == RUN_SHELL else self._documents.get(name)
        if content is not None and not is_command(content):
            raise ApiError("InvalidDocument", f"Document type Session is not supported for SendCommand: {name}")
        parameters: dict[str, list[str]] = values.get("Parameters", {})
        script = command_documents.script(name, content, parameters)
        for item in (item for values_ in parameters.values() for item in values_):
            if reference := _REFERENCE.search(item):
                raise ApiError("InvalidParameters", f"Parameter resolution failed for {reference.group(0)}")
        instances = self._targets(values)
        now = self._state.clock()
        command = Command(
            str(uuid.uuid4()),
            name,
            command_documents.plugin(content),
            values.get("Comment", ""),
            script,
            parameters,
            now,
            values.get("TimeoutSeconds", _DEFAULT_TIMEOUT),
        )
        while len(self._commands) >= _KEPT:
            del self._commands[next(iter(self._commands))]
        self._commands[command.command_id] = command
        for instance in instances:
            invocation = Invocation(instance, now + self._state.options.invocation_delay)
            command.invocations[instance.instance_id] = invocation
            key = (command.command_id, instance.instance_id)
            task = self._tasks[key] = asyncio.create_task(self._run(command, invocation))
            task.add_done_callback(lambda _, key=key: self._tasks.pop(key, None))  # type: ignore[misc]
        return {"Command": self._described(command)}

    async def _run(self, command: Command, invocation: Invocation) -> None:
        invocation.status = invocation.details = "InProgress"
        invocation.started = self._state.clock()
        try:
            result = await self._context.instances.call(
                "send_command",
                instance_id=invocation.instance.instance_id,
                command_id=command.command_id,
                document=RUN_SHELL,
                parameters=command.script,
                timeout=command.timeout,
            )
            invocation.status = result["status"]
            invocation.details = result.get("status_details", result["status"])
            invocation.response_code = result["response_code"]
            invocation.stdout, invocation.stderr = result["stdout"], result["stderr"]
        except rpc.CallFailed as error:
            invocation.status, invocation.details, invocation.stderr = "Failed", "Undeliverable", error.message
        except asyncio.CancelledError:
            invocation.status = invocation.details = "Cancelled"
        invocation.ended = self._state.clock()

    def _command(self, command_id: str) -> Command:
        command = self._commands.get(command_id)
        if command is None:
            raise ApiError("InvalidCommandId", "")
        return command

    async def get_command_invocation(self, _: Identity, values: dict[str, Any]) -> dict[str, Any]:
        """GetCommandInvocation: eventually consistent."""
        command = self._commands.get(values["CommandId"])
        invocation = command.invocations.get(values["InstanceId"]) if command else None
        if command is None or invocation is None or invocation.visible_at > self._state.clock():
            raise ApiError("InvocationDoesNotExist", "")
        if values.get("PluginName", command.plugin) not in (command.plugin, command.plugin.removeprefix("aws:")):
            raise ApiError("InvalidPluginName", "")
        elapsed = max(0.0, (invocation.ended or self._state.clock()) - invocation.started)
        return {
            "CommandId": command.command_id,
            "InstanceId": invocation.instance.instance_id,
            "Comment": command.comment,
            "DocumentName": command.document,
            "DocumentVersion": "$DEFAULT",
            "PluginName": command.plugin,
            "ResponseCode": invocation.response_code,
            "ExecutionStartDateTime": _iso(invocation.started),
            "ExecutionElapsedTime": f"PT{elapsed:.3f}S" if invocation.ended else "",
            "ExecutionEndDateTime": _iso(invocation.ended),
            "Status": invocation.status,
            "StatusDetails": invocation.details,
            "StandardOutputContent": invocation.stdout[:_OUTPUT],
            "StandardOutputUrl": "",
            "StandardErrorContent": invocation.stderr[:_ERROR],
            "StandardErrorUrl": "",
            "CloudWatchOutputConfig": {"CloudWatchLogGroupName": "", "CloudWatchOutputEnabled": False},
        }

    async def list_command_invocations(self, _: Identity, values: dict[str, Any]) -> dict[str, Any]:
        """ListCommandInvocations: with each plugin's first 2,500 characters when details are asked for."""
        wanted = values.get("InstanceId")
        now = self._state.clock()
        rows = [
            (command, invocation)
            for command in self._chosen(values)
            for invocation in command.invocations.values()
            if wanted in (None, invocation.instance.instance_id) and invocation.visible_at <= now
        ]
        shown, token = page(rows, values.get("NextToken"), values.get("MaxResults", _PAGE))
        details = values.get("Details", False)
        return {"CommandInvocations": [_listed(*row, details=details) for row in shown], "NextToken": token}

    def _chosen(self, values: dict[str, Any]) -> list[Command]:
        if "CommandId" in values:
            return [self._command(values["CommandId"])]
        return list(self._commands.values())[::-1]

    async def list_commands(self, _: Identity, values: dict[str, Any]) -> dict[str, Any]:
        """ListCommands: newest first."""
        wanted = values.get("InstanceId")
        commands = [command for command in self._chosen(values) if wanted is None or wanted in command.invocations]
        shown, token = page(commands, values.get("NextToken"), values.get("MaxResults", _PAGE))
        return {"Commands": [self._described(command) for command in shown], "NextToken": token}

    async def cancel_command(self, _: Identity, values: dict[str, Any]) -> dict[str, Any]:
        """CancelCommand: without waiting for the end."""
        command = self._command(values["CommandId"])
        for instance_id in values.get("InstanceIds") or tuple(command.invocations):
            task = self._tasks.get((command.command_id, instance_id))
            if task is not None:
                task.cancel()
        return {}

    def _described(self, command: Command) -> dict[str, Any]:
        done = [invocation for invocation in command.invocations.values() if invocation.ended]
        return {
            "CommandId": command.command_id,
            "DocumentName": command.document,
            "DocumentVersion": "$DEFAULT",
            "Comment": command.comment,
            "ExpiresAfter": command.requested + command.timeout + _DEFAULT_TIMEOUT,
            "Parameters": command.parameters,
            "InstanceIds": list(command.invocations),
            "Targets": [],
            "RequestedDateTime": command.requested,
            "Status": command.status,
            "StatusDetails": command.status,
            "MaxConcurrency": "50",
            "MaxErrors": "0",
            "TargetCount": len(command.invocations),
            "CompletedCount": len(done),
            "ErrorCount": sum(invocation.status != "Success" for invocation in done),
            "DeliveryTimedOutCount": 0,
            "TimeoutSeconds": command.timeout,
        }


def _listed(command: Command, invocation: Invocation, *, details: bool) -> dict[str, Any]:
    out: dict[str, Any] = {
        "CommandId": command.command_id,
        "InstanceId": invocation.instance.instance_id,
        "InstanceName": "",
        "Comment": command.comment,
        "DocumentName": command.document,
        "DocumentVersion": "$DEFAULT",
        "RequestedDateTime": command.requested,
        "Status": invocation.status,
        "StatusDetails": invocation.details,
        "CommandPlugins": [],
    }
    if details:
        output = invocation.stdout
        if invocation.stderr:
            output += f"\n----------ERROR-------\n{invocation.stderr}"
        out["CommandPlugins"] = [
            {
                "Name": command.plugin,
                "Status": invocation.status,
                "StatusDetails": invocation.details,
                "ResponseCode": invocation.response_code,
                "ResponseStartDateTime": invocation.started,
                "ResponseFinishDateTime": invocation.ended or None,
                "Output": output[:_LISTED],
            }
        ]
    return out


def _iso(seconds: float) -> str:

    if not seconds:
        return ""
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
