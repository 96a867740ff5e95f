"""The lab's AWS API: one HTTPS port for all services.

A request passes authentication, authorization and validation, in this order, before its operation runs.
"""

from __future__ import annotations

import asyncio
import json
import traceback
import uuid
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol
from urllib.parse import parse_qsl

from ssm_ssh.lab.api import responses
from ssm_ssh.lab.api.account import Account
from ssm_ssh.lab.api.context import ApiError, Operation, ServiceContext
from ssm_ssh.lab.api.documents import DEFAULT
from ssm_ssh.lab.api.ec2 import Ec2
from ssm_ssh.lab.api.ec2_network import Ec2Network
from ssm_ssh.lab.api.iam import Iam
from ssm_ssh.lab.api.login import Logins
from ssm_ssh.lab.api.logs import Logs
from ssm_ssh.lab.api.managed import Managed
from ssm_ssh.lab.api.parameters import Parameters
from ssm_ssh.lab.api.power import Power
from ssm_ssh.lab.api.run_command import Commands
from ssm_ssh.lab.api.ssm import Ssm
from ssm_ssh.lab.cloud.site import OTHER_REGION
from ssm_ssh.lab.identity.identities import Identity
from ssm_ssh.lab.identity.verify import Request, SignatureRefused, asked_region, verify
from ssm_ssh.lab.wire import shapes
from ssm_ssh.lab.wire.http import Response

_TARGETS = {
    "AmazonSSM": "ssm",
    "AWSEC2InstanceConnectService": "ec2-instance-connect",
    "TrentService": "kms",
    "Logs_20140328": "logs",
}
_VERSIONS = {"2016-11-15": "ec2", "2011-06-15": "sts", "2010-05-08": "iam"}
# IAM has one endpoint for all regions, which signs for this one.
_IAM_REGION = "us-east-1"
# Inputs that are never logged.
_SECRET_INPUTS = frozenset({"CiphertextBlob"})


class Fault(Protocol):
    """What the API answers instead: an HTTP status, an error code ("": go on) and a message, after `delay` seconds."""

    @property
    def status(self) -> int:
        """The HTTP status."""

    @property
    def code(self) -> str:
        """AWS's code."""

    @property
    def message(self) -> str:
        """AWS's message."""

    @property
    def delay(self) -> float:
        """Seconds before the answer."""

    @property
    def drip(self) -> float:
        """Seconds between two bytes of it."""


class _Call(NamedTuple):
    """Which operation a request names. `query`: EC2's or STS's protocol, `fields` its parameters."""

    service: str
    operation: str
    query: bool
    fields: dict[str, str]


class Api:
    """All services of one lab; `handle` is a handler for HttpServer.

    `fault` is asked once for each call, after its signature was verified; `denial` of its action, in AWS's words ("":
    the policies decide), `simulated_denial` the same for what a simulation of policies sees; `document_fault` of a
    session document's name: "missing", "plain", "denied" or "".
    """

    def __init__(
        self,
        context: ServiceContext,
        *,
        fault: Callable[[str], Fault | None] = lambda _: None,
        denial: Callable[[str], str] = lambda _: "",
        document_fault: Callable[[str], str] = lambda _: "",
        simulated_denial: Callable[[str], str] = lambda _: "",
    ) -> None:
        self._state = context.state
        self._context = context
        self._fault = fault
        self._denial = denial
        self._document_fault = document_fault
        self._power = Power(context)
        self.ssm, self._ec2 = Ssm(context, document_fault), Ec2(context)
        self.parameters = Parameters(context)
        self.commands = Commands(context, self.ssm.documents)
        self.account = Account(context.state)
        self.logins = Logins(context.state)
        self._operations: dict[str, dict[str, Operation]] = {
            "ssm": {
                **self.ssm.operations(),
                **self.commands.operations(),
                **self.parameters.operations(),
                **Managed(context).operations(),
            },
            "ec2": {**self._ec2.operations(), **Ec2Network(context).operations(), **self._power.operations()},
            "iam": Iam(context, simulated_denial).operations(),
            "ec2-instance-connect": self._ec2.connect_operations(),
            "sts": self.account.sts_operations(),
            "kms": self.account.kms_operations(),
            "logs": Logs(context).operations(),
        }

    async def stop(self) -> None:
        """Cancel the commands that are still running, and the starts and stops of instances."""
        await self._power.stop()
        await self.commands.stop()

    async def handle(self, request: Request) -> Response:
        """Response one request."""
        if (unsigned := self.logins.answer(request)) is not None:
            return unsigned
        arrived = self._state.clock()
        request_id = str(uuid.uuid4())
        call = _identify(request)
        if call is None:
            return responses.json_error(request_id, "UnknownOperationException", "", 400)
        values: dict[str, Any] = {}
        caller: Identity | None = None
        drip = 0.0
        try:
            caller = verify(
                request,
                service=call.service,
                region=self._region(call, request),
                lookup=self._state.identities.get,
                now=self._state.clock(),
            )
            drip = await self._trouble(call)
            operation = self._operation(call)
            values = _values(call, request, operation)
            self._authorize(call, caller, operation, values)
            _validate(call, operation, values)
            result = await operation.run(caller, values)
            answer = responses.success(call.service, call.operation, result, request_id, modelled=operation.modelled)
        except SignatureRefused as refused:
            answer, error = self._refusal(call, ApiError(refused.code, refused.message, refused.status), request_id)
        except ApiError as refused:
            answer, error = self._refusal(call, refused, request_id)
        except Exception:
            # A bug in one operation is reported to its caller and in the log.
            traceback.print_exc()
            answer, error = self._refusal(call, ApiError("InternalServerError", "", 500), request_id)
        else:
            error = ""
        self._state.log(
            call.service,
            call.operation,
            {key: value for key, value in values.items() if key not in _SECRET_INPUTS},
            status=answer.status,
            error=error,
            access_key=caller.access_key if caller else "",
            arrived=arrived,
        )
        return answer._replace(drip=drip)

    def _region(self, call: _Call, request: Request) -> str:
        """Return the region that a request must be signed for, and note which one it asks."""
        asked = asked_region(request)
        other = OTHER_REGION if asked == OTHER_REGION else ""
        self._state.asked.set(other)
        # botocore signs for the client's own region where it was told an endpoint.
        return _IAM_REGION if call.service == "iam" and asked == _IAM_REGION else other or self._state.region

    def _operation(self, call: _Call) -> Operation:
        operation = self._operations[call.service].get(call.operation)
        if operation is None:
            raise ApiError("InvalidAction" if call.query else "UnknownOperationException", "")
        return operation

    async def _trouble(self, call: _Call) -> float:
        fault = self._fault(call.operation)
        if fault is None:
            return 0.0
        await asyncio.sleep(fault.delay)
        if fault.code:
            raise ApiError(fault.code, fault.message, fault.status)
        return fault.drip

    def _authorize(self, call: _Call, caller: Identity, operation: Operation, values: dict[str, Any]) -> None:
        action = operation.action or f"{call.service}:{call.operation}"
        why = self._denial(action)
        resource = operation.resource(values)
        context = {"ec2:osuser": str(values["InstanceOSUser"])} if "InstanceOSUser" in values else {}
        refused = "" if operation.free else caller.refused(action, [resource, *self._more(call, values)], context)
        if why or refused:
            raise ApiError("AccessDeniedException", caller.denied_sentence(action, refused or resource, why))
        document = str(values.get("DocumentName", DEFAULT)).rpartition("document/")[2]
        if call.operation == "StartSession" and self._document_fault(document) == "denied":
            why = f"because no identity-based policy allows the {action} action"
            sentence = caller.denied_sentence(action, self._context.ssm_arn("document", document), why)
            raise ApiError("AccessDeniedException", sentence)

    def _more(self, call: _Call, values: dict[str, Any]) -> list[str]:
        """Return the ARNs that a call is authorized on besides the one that its operation names."""
        if call.operation not in ("StartSession", "SendCommand"):
            return []
        document = str(values.get("DocumentName", DEFAULT)).rpartition("document/")[2]
        others = [self._context.instance_arn(str(item)) for item in list(values.get("InstanceIds") or [])[1:]]
        return [*others, self._context.ssm_arn("document", document)]

    @staticmethod
    def _refusal(call: _Call, error: ApiError, request_id: str) -> tuple[Response, str]:
        if call.query:
            error = responses.in_query_words(call.service, error)
            return responses.xml_error(call.service, request_id, error), error.code
        return responses.json_error(request_id, error.code, error.message, error.status), error.code


def _identify(request: Request) -> _Call | None:
    if request.method != "POST":
        return None
    prefix, dot, name = request.value("x-amz-target").rpartition(".")
    if dot:
        service = _TARGETS.get(prefix)
        return _Call(service, name, query=False, fields={}) if service else None
    try:
        fields = dict(parse_qsl(request.body.decode(), keep_blank_values=True, max_num_fields=1000))
    except ValueError:
        return None
    service = _VERSIONS.get(fields.get("Version", ""))
    return _Call(service, fields["Action"], query=True, fields=fields) if service and "Action" in fields else None


def _values(call: _Call, request: Request, operation: Operation) -> dict[str, Any]:
    if call.query:
        shape = shapes.service(call.service).operation_model(call.operation).input_shape
        try:
            return shapes.from_query(shape, call.fields) if shape else {}
        except shapes.WrongType as error:
            raise ApiError("InvalidParameterValue", f"Invalid value for {error}") from None
    try:
        values = json.loads(request.body or b"{}")
    except (ValueError, RecursionError):
        raise ApiError("SerializationException", "") from None
    if not isinstance(values, dict):
        raise ApiError("SerializationException", "Start of structure or map found where not expected.")
    # null is the same as absent.
    return {key: value for key, value in values.items() if value is not None}


def _validate(call: _Call, operation: Operation, values: dict[str, Any]) -> None:
    if call.service == "ec2" and values.get("DryRun"):
        raise ApiError("DryRunOperation", "Request would have succeeded, but DryRun flag is set.", 412)
    if not operation.modelled:
        return
    model = shapes.service(call.service).operation_model(call.operation)
    try:
        wrong = shapes.violations(model, values)
    except shapes.WrongType:
        raise ApiError("SerializationException", "Unexpected type of a member") from None
    if wrong:
        raise ApiError(
            "InvalidArgsException" if call.service == "ec2-instance-connect" else "ValidationException", wrong
        )
