"""IAM: instance profiles, roles and their policies, and the simulation of policies.

https://docs.aws.amazon.com/IAM/latest/APIReference/
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ssm_ssh.lab.api.context import ApiError, Operation, ServiceContext
from ssm_ssh.lab.cloud.role import Role, text
from ssm_ssh.lab.identity import policy as policies
from ssm_ssh.lab.identity.identities import Identity

_ROLE_ID = "AROA"


class Iam:
    """The operations of `iam`. `denial`: whether a fault denies an action to everyone in identity-based policies."""

    def __init__(self, context: ServiceContext, denial: Callable[[str], str] = lambda _: "") -> None:
        self._state = context.state
        self._denial = denial

    def operations(self) -> dict[str, Operation]:
        """Return the operations by name."""
        return {
            "GetInstanceProfile": Operation(
                self.get_instance_profile, self._arn("instance-profile", "InstanceProfile")
            ),
            "GetRole": Operation(self.get_role, self._arn("role", "Role")),
            "ListAttachedRolePolicies": Operation(self.list_attached_role_policies, self._arn("role", "Role")),
            "ListRolePolicies": Operation(self.list_role_policies, self._arn("role", "Role")),
            "GetRolePolicy": Operation(self.get_role_policy, self._arn("role", "Role")),
            "GetPolicy": Operation(self.get_policy, _policy_arn),
            "GetPolicyVersion": Operation(self.get_policy_version, _policy_arn),
            "SimulatePrincipalPolicy": Operation(
                self.simulate_principal_policy, lambda values: str(values.get("PolicySourceArn"))
            ),
        }

    def _arn(self, kind: str, member: str) -> Callable[[dict[str, Any]], str]:
        return lambda values: f"arn:aws:iam::{self._state.account}:{kind}/{values.get(f'{member}Name')}"

    def _roles(self) -> list[Role]:
        return [instance.site.role for instance in self._state.instances.values()]

    def _role(self, values: dict[str, Any]) -> Role:
        name = str(values["RoleName"])
        role = next((role for role in self._roles() if role.name == name), None)
        if role is None:
            raise _none("role", name)
        return role

    async def get_instance_profile(self, _: Identity, values: dict[str, Any]) -> dict[str, Any]:
        """GetInstanceProfile: with its role."""
        name = str(values["InstanceProfileName"])
        role = next((role for role in self._roles() if role.name == name and role.has_profile), None)
        if role is None:
            raise _none("instance profile", name, "Instance Profile")
        return {
            "InstanceProfile": {
                "Path": "/",
                "InstanceProfileName": name,
                "InstanceProfileId": role.profile["Id"],
                "Arn": role.profile["Arn"],
                "CreateDate": self._state.started,
                "Roles": [self._described(role)],
            }
        }

    def _described(self, role: Role) -> dict[str, Any]:
        return {
            "Path": "/",
            "RoleName": role.name,
            "RoleId": _ROLE_ID + role.name.upper()[:17].ljust(17, "A"),
            "Arn": role.arn,
            "CreateDate": self._state.started,
            "AssumeRolePolicyDocument": text(role.trust),
            "MaxSessionDuration": 3600,
        }

    async def get_role(self, _: Identity, values: dict[str, Any]) -> dict[str, Any]:
        """GetRole."""
        return {"Role": self._described(self._role(values))}

    async def list_attached_role_policies(self, _: Identity, values: dict[str, Any]) -> dict[str, Any]:
        """ListAttachedRolePolicies."""
        role = self._role(values)
        attached = [{"PolicyName": name, "PolicyArn": role.policy_arn(name)} for name in role.managed]
        return {"AttachedPolicies": attached, "IsTruncated": False}

    async def list_role_policies(self, _: Identity, values: dict[str, Any]) -> dict[str, Any]:
        """ListRolePolicies: the inline ones."""
        return {"PolicyNames": list(self._role(values).inline), "IsTruncated": False}

    async def get_role_policy(self, _: Identity, values: dict[str, Any]) -> dict[str, Any]:
        """GetRolePolicy: an inline policy."""
        role, name = self._role(values), str(values["PolicyName"])
        if name not in role.inline:
            raise ApiError("NoSuchEntity", f"The role policy with name {name} cannot be found.", 404)
        return {"RoleName": role.name, "PolicyName": name, "PolicyDocument": text(role.inline[name])}

    def _managed(self, values: dict[str, Any]) -> dict[str, Any]:
        arn = str(values["PolicyArn"])
        for role in self._roles():
            for name, document in role.managed.items():
                if role.policy_arn(name) == arn:
                    return document
        raise ApiError("NoSuchEntity", f"Policy {arn} does not exist or is not attachable.", 404)

    async def get_policy(self, _: Identity, values: dict[str, Any]) -> dict[str, Any]:
        """GetPolicy: a managed policy, which has one version."""
        self._managed(values)
        arn = str(values["PolicyArn"])
        return {
            "Policy": {
                "PolicyName": arn.rpartition("/")[2],
                "PolicyId": "ANPA" + "A" * 17,
                "Arn": arn,
                "Path": "/",
                "DefaultVersionId": "v1",
                "AttachmentCount": 1,
                "IsAttachable": True,
                "CreateDate": self._state.started,
                "UpdateDate": self._state.started,
            }
        }

    async def get_policy_version(self, _: Identity, values: dict[str, Any]) -> dict[str, Any]:
        """GetPolicyVersion."""
        document = self._managed(values)
        version = str(values["VersionId"])
        if version != "v1":
            raise ApiError("NoSuchEntity", f"Policy {values['PolicyArn']} version {version} does not exist", 404)
        return {
            "PolicyVersion": {
                "Document": text(document),
                "VersionId": version,
                "IsDefaultVersion": True,
                "CreateDate": self._state.started,
            }
        }

    async def simulate_principal_policy(self, _: Identity, values: dict[str, Any]) -> dict[str, Any]:
        """SimulatePrincipalPolicy: of a user, a role of people, or the role of an instance.

        It sees identity-based policies only: what another kind of policy denies, it calls allowed.
        """
        decide = self._decider(str(values["PolicySourceArn"]), _entries(values))
        results = [
            _result(action, resource, decide(action, resource))
            for action in values["ActionNames"]
            for resource in values.get("ResourceArns") or ["*"]
        ]
        return {"EvaluationResults": results, "IsTruncated": False}

    def _decider(self, arn: str, context: dict[str, str]) -> Callable[[str, str], str]:
        """Return what decides about (action, resource): allowed, explicitDeny or implicitDeny. Raises ApiError."""
        role = next((role for role in self._roles() if role.arn == arn), None)
        if role is not None:
            return lambda action, resource: policies.decision(role.documents, action, resource, context, role.name)
        kind, _, name = arn.rpartition(":")[2].partition("/")
        for identity in self._state.identities.values():
            if arn == identity.arn and ":sts:" not in arn:
                return self._of(identity, context)
            if kind == "role" and f":assumed-role/{name}/" in identity.arn:
                return self._of(identity, context)
        if ":assumed-role/" in arn or not arn.startswith("arn:aws:iam::"):
            raise ApiError("InvalidInput", f"Invalid Entity Arn: {arn} does not clearly define entity type and name.")
        raise _none(kind, name)

    def _of(self, identity: Identity, context: dict[str, str]) -> Callable[[str, str], str]:
        def decide(action: str, resource: str) -> str:
            if self._denial(action):
                return "implicitDeny"
            if not identity.refused(action, [resource], context):
                return "allowed"
            return "explicitDeny" if "explicit deny" in identity.denied_sentence(action, resource) else "implicitDeny"

        return decide


def _policy_arn(values: dict[str, Any]) -> str:
    return str(values.get("PolicyArn"))


def _entries(values: dict[str, Any]) -> dict[str, str]:
    return {
        str(entry["ContextKeyName"]): str(entry["ContextKeyValues"][0])
        for entry in values.get("ContextEntries") or []
        if entry.get("ContextKeyValues")
    }


def _result(action: str, resource: str, decision: str) -> dict[str, Any]:
    return {
        "EvalActionName": action,
        "EvalResourceName": resource,
        "EvalDecision": decision,
        "MatchedStatements": [],
        "MissingContextValues": [],
    }


def _none(kind: str, name: str, shown: str = "") -> ApiError:
    if shown:
        return ApiError("NoSuchEntity", f"{shown} {name} cannot be found.", 404)
    return ApiError("NoSuchEntity", f"The {kind} with name {name} cannot be found.", 404)
