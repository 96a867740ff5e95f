"""The Parameter Store, as far as a session's parameters can name what is in it."""

from __future__ import annotations

from typing import Any

from ssm_ssh.lab.api.context import ApiError, Operation, ServiceContext
from ssm_ssh.lab.identity.identities import Identity


class Parameters:
    """The parameters of one lab: strings, by name."""

    def __init__(self, context: ServiceContext) -> None:
        self._context = context
        self.values = dict(context.state.options.parameters)

    def operations(self) -> dict[str, Operation]:
        """Return the operations by name."""
        return {
            "GetParameter": Operation(self.get_parameter, lambda values: self._arn(values.get("Name"))),
            "GetParameters": Operation(self.get_parameters, lambda values: self._arn((values.get("Names") or [""])[0])),
            "PutParameter": Operation(self.put_parameter, lambda values: self._arn(values.get("Name"))),
        }

    def _arn(self, name: object) -> str:
        return self._context.ssm_arn("parameter", str(name).lstrip("/"))

    def _described(self, name: str) -> dict[str, Any]:
        value = self.values[name]
        return {"Name": name, "Type": "String", "Value": value, "Version": 1, "ARN": self._arn(name)}

    async def get_parameter(self, _: Identity, values: dict[str, Any]) -> dict[str, Any]:
        """GetParameter."""
        if values["Name"] not in self.values:
            raise ApiError("ParameterNotFound", "")
        return {"Parameter": self._described(values["Name"])}

    async def get_parameters(self, _: Identity, values: dict[str, Any]) -> dict[str, Any]:
        """GetParameters: what there is, and the names of what there is not."""
        names = list(dict.fromkeys(values["Names"]))
        return {
            "Parameters": [self._described(name) for name in names if name in self.values],
            "InvalidParameters": [name for name in names if name not in self.values],
        }

    async def put_parameter(self, _: Identity, values: dict[str, Any]) -> dict[str, Any]:
        """PutParameter: strings only."""
        name = values["Name"]
        if values.get("Type", "String") != "String":
            raise ApiError("UnsupportedParameterType", "The lab keeps parameters of the type String only")
        if name in self.values and not values.get("Overwrite"):
            raise ApiError("ParameterAlreadyExists", f"The parameter {name} already exists.")
        self.values[name] = values["Value"]
        return {"Version": 1, "Tier": "Standard"}
