"""Systems Manager: sessions, instances and documents."""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import Callable
from typing import Any

from ssm_ssh.lab.api import command_documents
from ssm_ssh.lab.api.context import ApiError, Operation, ServiceContext, page
from ssm_ssh.lab.api.documents import AWS_DOCUMENTS, DEFAULT, Documents, check_parameters, check_session, is_command
from ssm_ssh.lab.identity.identities import Identity
from ssm_ssh.lab.state import InstanceRecord, SessionRecord

_PAGE = 10  # of DescribeInstanceInformation and DescribeSessions, when the caller names no size

# The calls of an agent to Systems Manager, apart from the message gateway, and the minimal answers to them.
_AGENT_CALLS: dict[str, dict[str, Any]] = {
    "UpdateInstanceInformation": {},
    "ListInstanceAssociations": {"Associations": []},
    "ListAssociations": {"Associations": []},
    "UpdateInstanceAssociationStatus": {},
    "PutComplianceItems": {},
    "PutInventory": {},
    "GetManifest": {},
}


class Ssm:
    """The operations of `ssm` that are not about commands."""

    def __init__(self, context: ServiceContext, document_fault: Callable[[str], str] = lambda _: "") -> None:
        self._context = context
        self._state = context.state
        self.documents = Documents(document_fault)

    def operations(self) -> dict[str, Operation]:
        """Return the operations by name."""
        target, document, session = self._target, self._document, self._session_arn
        return {
            "StartSession": Operation(self.start_session, target),
            "ResumeSession": Operation(self.resume_session, session),
            "TerminateSession": Operation(self.terminate_session, session),
            "DescribeSessions": Operation(self.describe_sessions),
            "GetConnectionStatus": Operation(self.get_connection_status, target),
            "DescribeInstanceInformation": Operation(self.describe_instance_information),
            "GetDocument": Operation(self.get_document, document),
            "DescribeDocument": Operation(self.describe_document, document),
            "CreateDocument": Operation(self.create_document, document),
            "UpdateDocument": Operation(self.update_document, document),
            "DeleteDocument": Operation(self.delete_document, document),
            **{
                name: Operation(_constant(answer), action=f"ssm:{name}", modelled=False)
                for name, answer in _AGENT_CALLS.items()
            },
        }

    def _target(self, values: dict[str, Any]) -> str:
        return self._context.instance_arn(str(values.get("Target")))

    def _document(self, values: dict[str, Any]) -> str:
        return self._context.ssm_arn("document", str(values.get("Name")))

    def _session_arn(self, values: dict[str, Any]) -> str:
        return self._context.ssm_arn("session", str(values.get("SessionId")))

    # Sessions

    async def start_session(self, caller: Identity, values: dict[str, Any]) -> dict[str, Any]:
        """StartSession: the document, its parameters, then whether the agent is there."""
        name = values.get("DocumentName", DEFAULT)
        content = self.documents.for_session(name)
        if is_command(content):
            text = "Document type: 'Command' is not supported. Only type: 'Session' is supported for Session Manager."
            raise ApiError("InvalidDocument", text)
        parameters: dict[str, list[str]] = values.get("Parameters", {})
        check_parameters(name, content, parameters)
        target = values["Target"]
        instance = self._state.instance_here(target)
        gone = ApiError("TargetNotConnected", f"{target} is not connected.")
        if instance is None or not instance.online:
            raise gone
        if instance.hybrid and any(node.site.standard_tier for node in self._state.here()):
            # Seen in https://repost.aws and the user guide's page on the advanced tier.
            text = "Enable advanced-instances tier to use Session Manager with your on-premises instances"
            raise ApiError("BadRequest", text)
        session = self._state.new_session(
            caller, target=target, document=name, parameters=parameters, reason=values.get("Reason", "")
        )
        session.max_minutes = str((content.get("inputs") or {}).get("maxSessionDuration") or "")
        try:
            token = self._context.sessions.open_session(session, content)
        except LookupError:
            del self._state.sessions[session.session_id]
            raise gone from None
        return self._opened(session, token)

    def _opened(self, session: SessionRecord, token: str | None) -> dict[str, Any]:
        out = {"SessionId": session.session_id}
        if token is None:
            return out
        return {**out, "TokenValue": token, "StreamUrl": self._context.sessions.stream_url(session.session_id)}

    def _session(self, caller: Identity, values: dict[str, Any], action: str) -> SessionRecord:
        session_id = values["SessionId"]
        if caller.own_sessions and not session_id.startswith(f"{caller.session_name}-"):
            raise ApiError("AccessDeniedException", caller.denied_sentence(action, self._session_arn(values)))
        session = self._state.sessions.get(session_id)
        if session is None:
            raise ApiError("DoesNotExistException", f"Session {session_id} does not exist")
        return session

    async def resume_session(self, caller: Identity, values: dict[str, Any]) -> dict[str, Any]:
        """ResumeSession: a new token; none when the session is over."""
        session = self._session(caller, values, "ssm:ResumeSession")
        token = None if session.over else self._context.sessions.resume_session(session.session_id)
        session.resumes += token is not None
        return self._opened(session, token)

    async def terminate_session(self, caller: Identity, values: dict[str, Any]) -> dict[str, Any]:
        """TerminateSession: a session that is over already is an error, as users of AWS report."""
        session = self._session(caller, values, "ssm:TerminateSession")
        if session.over or not self._context.sessions.terminate_session(session.session_id):
            raise ApiError("ValidationException", "Session is not in a valid state")
        session.ended_by = session.ended_by or "api"
        return {"SessionId": session.session_id}

    async def describe_sessions(self, _: Identity, values: dict[str, Any]) -> dict[str, Any]:
        """DescribeSessions: newest first."""
        over = values["State"] == "History"
        sessions = [session for session in self._state.sessions.values() if session.over == over]
        tests: dict[str, Callable[[SessionRecord, str], bool]] = {
            "Target": lambda session, value: session.target == value,
            "Owner": lambda session, value: session.owner == value,
            "Status": lambda session, value: session.status == value,
            "SessionId": lambda session, value: session.session_id == value,
            "InvokedAfter": lambda session, value: session.start >= _date(value),
            "InvokedBefore": lambda session, value: session.start < _date(value),
            # Just-in-time node access, which the lab does not have.
            "AccessType": lambda _, value: value == "Standard",
        }
        for filter_ in values.get("Filters", []):
            test, value = tests.get(filter_["key"]), filter_["value"]
            if test is None:
                raise ApiError("InvalidFilterKey", "The specified key is not valid.")
            sessions = [session for session in sessions if test(session, value)]
        shown, token = page(sessions[::-1], values.get("NextToken"), values.get("MaxResults", _PAGE))
        return {"Sessions": [_described(session) for session in shown], "NextToken": token}

    async def get_connection_status(self, _: Identity, values: dict[str, Any]) -> dict[str, Any]:
        """GetConnectionStatus: an unknown target is not connected."""
        instance = self._state.instance_here(values["Target"])
        online = instance is not None and instance.online
        return {"Target": values["Target"], "Status": "connected" if online else "notconnected"}

    # Instances

    async def describe_instance_information(self, _: Identity, values: dict[str, Any]) -> dict[str, Any]:
        """DescribeInstanceInformation: instances whose agent has ever been online."""
        if "InstanceInformationFilterList" in values and "Filters" in values:
            raise ApiError("ValidationException", "Filters and InstanceInformationFilterList cannot be used together")
        instances = [instance for instance in self._state.here() if instance.last_ping and instance.site.registered]
        for filter_ in values.get("InstanceInformationFilterList", []):
            instances = [instance for instance in instances if _matches(instance, filter_["key"], filter_["valueSet"])]
        for item in values.get("Filters", []):
            instances = [instance for instance in instances if _matches(instance, item["Key"], item["Values"])]
        shown, token = page(instances, values.get("NextToken"), values.get("MaxResults", _PAGE))
        return {"InstanceInformationList": [_information(instance) for instance in shown], "NextToken": token}

    # Documents

    async def get_document(self, _: Identity, values: dict[str, Any]) -> dict[str, Any]:
        """GetDocument: the content as JSON text."""
        content = self.documents.get(values["Name"])
        return {
            "Name": values["Name"],
            "DocumentVersion": "1",
            "Status": "Active",
            "Content": json.dumps(content, indent=2),
            "DocumentType": "Command" if is_command(content) else "Session",
            "DocumentFormat": "JSON",
        }

    async def describe_document(self, _: Identity, values: dict[str, Any]) -> dict[str, Any]:
        """DescribeDocument: everything but the content."""
        return {"Document": self._description(values["Name"])}

    def _description(self, name: str) -> dict[str, Any]:
        content = self.documents.get(name)
        return {
            "Name": name,
            "Hash": hashlib.sha256(json.dumps(content).encode()).hexdigest(),
            "HashType": "Sha256",
            "Owner": "Amazon" if name in AWS_DOCUMENTS and name != DEFAULT else self._state.account,
            "CreatedDate": self._state.started,
            "Status": "Active",
            "DocumentVersion": "1",
            "Description": content.get("description", ""),
            "Parameters": [
                {
                    "Name": key,
                    "Type": rule.get("type", "String"),
                    "Description": rule.get("description", ""),
                    "DefaultValue": rule.get("default"),
                }
                for key, rule in content.get("parameters", {}).items()
            ],
            "PlatformTypes": ["Linux", "MacOS", "Windows"],
            "DocumentType": "Command" if is_command(content) else "Session",
            "SchemaVersion": content["schemaVersion"],
            "LatestVersion": "1",
            "DefaultVersion": "1",
            "DocumentFormat": "JSON",
        }

    async def create_document(self, _: Identity, values: dict[str, Any]) -> dict[str, Any]:
        """CreateDocument: session and command documents, in JSON only."""
        checks = {"Session": check_session, "Command": command_documents.check}
        check = checks.get(values.get("DocumentType", "Command"))
        if check is None or values.get("DocumentFormat", "JSON") != "JSON":
            raise ApiError("InvalidDocumentSchemaVersion", "The lab keeps session and command documents, in JSON only")
        self.documents.create(values["Name"], values["Content"], check)
        return {"DocumentDescription": self._description(values["Name"])}

    async def update_document(self, _: Identity, values: dict[str, Any]) -> dict[str, Any]:
        """UpdateDocument: the account's preferences, and session documents; there is only one version of each."""
        self.documents.update(values["Name"], values["Content"], check_session)
        return {"DocumentDescription": self._description(values["Name"])}

    async def delete_document(self, _: Identity, values: dict[str, Any]) -> dict[str, Any]:
        """DeleteDocument."""
        self.documents.delete(values["Name"])
        return {}


def _constant(answer: dict[str, Any]) -> Callable[[Identity, dict[str, Any]], Any]:
    async def run(_: Identity, __: dict[str, Any]) -> dict[str, Any]:
        return answer

    return run


def _date(text: str) -> float:
    """Return the seconds since the epoch of an ISO 8601 date in UTC, as the filters of DescribeSessions have it."""
    try:
        date = datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ")
    except ValueError:
        raise ApiError("InvalidFilterValue", "The filter value is not valid.") from None
    return date.replace(tzinfo=datetime.timezone.utc).timestamp()


def _described(session: SessionRecord) -> dict[str, Any]:
    return {
        "SessionId": session.session_id,
        "Target": session.target,
        "Status": session.status,
        "StartDate": session.start,
        "EndDate": session.end or None,
        "DocumentName": session.document,
        "Owner": session.owner,
        "Reason": session.reason or None,
        "Details": session.output[:1024] or None,
        "MaxSessionDuration": session.max_minutes or None,
        "AccessType": "Standard",
    }


def _matches(instance: InstanceRecord, key: str, values: list[str]) -> bool:
    if key.startswith("tag:"):
        return instance.tags.get(key[4:]) in values
    if key == "tag-key":
        return any(tag in values for tag in instance.tags)
    facts = {
        "InstanceIds": instance.instance_id,
        "AgentVersion": instance.agent_version,
        "PingStatus": instance.ping_status,
        "PlatformTypes": "Linux",
        "ResourceType": "ManagedInstance" if instance.hybrid else "EC2Instance",
    }
    if key not in facts:
        raise ApiError("InvalidFilterKey", f"Filter key {key} is not valid.")
    return facts[key] in values


def _information(instance: InstanceRecord) -> dict[str, Any]:
    out = {
        "InstanceId": instance.instance_id,
        "PingStatus": instance.ping_status,
        "LastPingDateTime": instance.last_ping,
        "AgentVersion": instance.agent_version,
        "IsLatestVersion": False,
        "PlatformType": "Linux",
        "PlatformName": instance.options.platform,
        "PlatformVersion": instance.options.platform_version,
        "ResourceType": "ManagedInstance" if instance.hybrid else "EC2Instance",
        "IPAddress": instance.address,
        "ComputerName": f"ip-{instance.address.replace('.', '-')}.{_domain(instance)}",
        "AssociationStatus": None,
    }
    if instance.hybrid:
        # A hybrid activation gives its nodes a name, a role and a date; EC2 instances have none of them here.
        out |= {
            "Name": instance.options.name,
            "ComputerName": instance.options.name or instance.instance_id,
            "ActivationId": instance.site.activation_id,
            "IamRole": instance.site.role.name,
            "RegistrationDate": instance.launched,
        }
    return out


def _domain(instance: InstanceRecord) -> str:
    return "compute.internal" if not instance.hybrid else "local"
