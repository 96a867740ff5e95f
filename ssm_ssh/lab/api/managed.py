"""Systems Manager's settings of an account: service settings, and the activations of managed nodes."""

from __future__ import annotations

from typing import Any

from ssm_ssh.lab.api.context import ApiError, Operation, ServiceContext, page
from ssm_ssh.lab.identity.identities import Identity

TIER = "/ssm/managed-instance/activation-tier"
HOST_MANAGEMENT = "/ssm/managed-instance/default-ec2-instance-management-role"
_DAY = 86400.0


class Managed:
    """The operations of `ssm` about the account's settings."""

    def __init__(self, context: ServiceContext) -> None:
        self._state = context.state

    def operations(self) -> dict[str, Operation]:
        """Return the operations by name."""
        return {
            "GetServiceSetting": Operation(self.get_service_setting, self._setting_arn),
            "DescribeActivations": Operation(self.describe_activations),
        }

    def _setting_arn(self, values: dict[str, Any]) -> str:
        setting = str(values.get("SettingId"))
        if setting.startswith("arn:"):
            return setting
        return f"arn:aws:ssm:{self._state.region}:{self._state.account}:servicesetting{setting}"

    async def get_service_setting(self, _: Identity, values: dict[str, Any]) -> dict[str, Any]:
        """GetServiceSetting: the tier of managed nodes, and default host management, which is off."""
        arn = self._setting_arn(values)
        setting = arn.partition(":servicesetting")[2]
        standard = any(instance.site.standard_tier for instance in self._state.instances.values())
        known = {TIER: "standard" if standard else "advanced", HOST_MANAGEMENT: "$None"}
        if setting not in known:
            raise ApiError("ServiceSettingNotFound", "")
        return {
            "ServiceSetting": {
                "SettingId": setting,
                "SettingValue": known[setting],
                "LastModifiedDate": self._state.started,
                "LastModifiedUser": "System",
                "ARN": arn,
                "Status": "Default" if known[setting] in ("standard", "$None") else "Customized",
            }
        }

    async def describe_activations(self, _: Identity, values: dict[str, Any]) -> dict[str, Any]:
        """DescribeActivations: one for each managed node."""
        nodes = [instance for instance in self._state.here() if instance.hybrid]
        for filter_ in values.get("Filters", []):
            wanted = filter_.get("FilterValues", [])
            facts = {
                "ActivationIds": lambda node: node.site.activation_id,
                "DefaultInstanceName": lambda node: node.options.name,
                "IamRole": lambda node: node.site.role.name,
            }.get(filter_.get("FilterKey"))
            if facts is None:
                raise ApiError("InvalidFilter", "The filter name is not valid.")
            nodes = [node for node in nodes if facts(node) in wanted]
        shown, token = page(nodes, values.get("NextToken"), values.get("MaxResults", 50))
        activations = [
            {
                "ActivationId": node.site.activation_id,
                "DefaultInstanceName": node.options.name,
                "IamRole": f"service-role/{node.site.role.name}",
                "RegistrationLimit": 1,
                "RegistrationsCount": 1,
                "ExpirationDate": self._state.started + (-_DAY if node.site.activation_expired else _DAY),
                "Expired": node.site.activation_expired,
                "CreatedDate": self._state.started - 2 * _DAY,
                "Tags": [],
            }
            for node in shown
        ]
        return {"ActivationList": activations, "NextToken": token}
