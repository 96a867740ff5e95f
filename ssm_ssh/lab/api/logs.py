"""CloudWatch Logs, as far as Session Manager's preferences need it: which log groups exist."""

from __future__ import annotations

from typing import Any

from ssm_ssh.lab.api.context import ApiError, Operation, ServiceContext, page
from ssm_ssh.lab.identity.identities import Identity

# The log groups of a lab: the first is encrypted.
GROUP, OPEN_GROUP = "/session-manager", "/not-encrypted"


class Logs:
    """The operations of `logs`."""

    def __init__(self, context: ServiceContext) -> None:
        self._state = context.state

    def operations(self) -> dict[str, Operation]:
        """Return the operations by name."""
        return {"DescribeLogGroups": Operation(self.describe_log_groups)}

    async def describe_log_groups(self, _: Identity, values: dict[str, Any]) -> dict[str, Any]:
        """DescribeLogGroups: by the beginning or a part of their names."""
        prefix, part = values.get("logGroupNamePrefix", ""), values.get("logGroupNamePattern", "")
        if prefix and part:
            text = "LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters."
            raise ApiError("InvalidParameterException", text)
        names = [name for name in (GROUP, OPEN_GROUP) if name.startswith(prefix) and part in name]
        shown, token = page(names, values.get("nextToken"), values.get("limit", 50), wrong="InvalidParameterException")
        arn = f"arn:aws:logs:{self._state.asked_region}:{self._state.account}:log-group"
        groups = [
            {
                "logGroupName": name,
                "creationTime": int(self._state.started * 1000),
                "metricFilterCount": 0,
                "arn": f"{arn}:{name}:*",
                "storedBytes": 0,
                "kmsKeyId": f"{arn.replace(':logs:', ':kms:').removesuffix('log-group')}key/logs"
                if name == GROUP
                else None,
                "logGroupClass": "STANDARD",
            }
            for name in shown
        ]
        return {"logGroups": groups, "nextToken": token}
