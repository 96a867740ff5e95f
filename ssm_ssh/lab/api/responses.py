"""How each service writes an answer or an error: JSON 1.1, EC2's XML, and the query protocol's XML."""

from __future__ import annotations

import json
from typing import Any
from xml.sax.saxutils import escape

from ssm_ssh.lab.api.context import ApiError
from ssm_ssh.lab.wire import shapes
from ssm_ssh.lab.wire.http import Response

_JSON = "application/x-amz-json-1.1"
_SPACES = {
    "ec2": "http://ec2.amazonaws.com/doc/2016-11-15/",
    "sts": "https://sts.amazonaws.com/doc/2011-06-15/",
    "iam": "https://iam.amazonaws.com/doc/2010-05-08/",
}
_HEADER = '<?xml version="1.0" encoding="UTF-8"?>\n'

# The query services have names of their own for what the JSON services call otherwise.
_UNVERIFIED = "AWS was not able to validate the provided access credentials"
_EC2: dict[str, tuple[str, str, int]] = {
    "MissingAuthenticationTokenException": (
        "MissingParameter",
        "The request must contain the parameter AWSAccessKeyId",
        400,
    ),
    "UnrecognizedClientException": ("AuthFailure", _UNVERIFIED, 401),
    "InvalidSignatureException": ("AuthFailure", _UNVERIFIED, 401),
    "IncompleteSignatureException": ("IncompleteSignature", "", 400),
    "ExpiredTokenException": ("RequestExpired", "Request has expired.", 400),
    "AccessDeniedException": ("UnauthorizedOperation", "", 403),
    "ThrottlingException": ("RequestLimitExceeded", "Request limit exceeded.", 503),
}
_STS: dict[str, tuple[str, str, int]] = {
    "MissingAuthenticationTokenException": (
        "MissingAuthenticationToken",
        "Request is missing Authentication Token",
        403,
    ),
    "UnrecognizedClientException": ("InvalidClientTokenId", "", 403),
    "InvalidSignatureException": ("SignatureDoesNotMatch", "", 403),
    "IncompleteSignatureException": ("IncompleteSignature", "", 400),
    "ExpiredTokenException": ("ExpiredToken", "", 403),
    "AccessDeniedException": ("AccessDenied", "", 403),
    "ThrottlingException": ("Throttling", "Rate exceeded", 400),
}
# The JSON services write the text of these as "Message", of all other common errors as "message".
_CAPITAL = frozenset({"AccessDeniedException"})


def success(service: str, operation: str, result: dict[str, Any], request_id: str, *, modelled: bool) -> Response:
    """Return the answer to a call that went well; `result` holds the members of the model's output."""
    shape = shapes.service(service).operation_model(operation).output_shape if modelled else None
    if service == "ec2":
        members = shapes.to_xml(shape, result, "x")[3:-4] if shape else ""
        body = (
            f'<{operation}Response xmlns="{_SPACES[service]}"><requestId>{request_id}</requestId>'
            f"{members}</{operation}Response>"
        )
        return _xml(body, 200, request_id)
    if service in ("sts", "iam"):
        inner = shapes.to_xml(shape, result, f"{operation}Result") if shape else ""
        body = (
            f'<{operation}Response xmlns="{_SPACES[service]}">{inner}'
            f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata></{operation}Response>"
        )
        return _xml(body, 200, request_id)
    return _json(shapes.to_json(shape, result) if shape else result, 200, request_id)


def json_error(request_id: str, code: str, message: str, status: int) -> Response:
    """Return an error of a JSON service."""
    body: dict[str, Any] = {"__type": code}
    if message:
        body["Message" if code in _CAPITAL or not code.endswith("Exception") else "message"] = message
    return _json(body, status, request_id)


def in_query_words(service: str, error: ApiError) -> ApiError:
    """Return `error` as EC2, STS or IAM says it."""
    words = (_EC2 if service == "ec2" else _STS).get(error.code)
    if words is None:
        return error
    code, message, status = words
    if code == "UnauthorizedOperation":
        message = f"You are not authorized to perform this operation. {error.message}"
    return ApiError(code, message or error.message, status)


def xml_error(service: str, request_id: str, error: ApiError) -> Response:
    """Return an error of EC2, STS or IAM."""
    inner = f"<Code>{escape(error.code)}</Code><Message>{escape(error.message)}</Message>"
    if service == "ec2":
        body = f"<Response><Errors><Error>{inner}</Error></Errors><RequestID>{request_id}</RequestID></Response>"
    else:
        body = (
            f'<ErrorResponse xmlns="{_SPACES[service]}"><Error><Type>Sender</Type>{inner}</Error>'
            f"<RequestId>{request_id}</RequestId></ErrorResponse>"
        )
    return _xml(body, error.status, request_id)


def _json(values: dict[str, Any], status: int, request_id: str) -> Response:
    headers = [("Content-Type", _JSON), ("x-amzn-RequestId", request_id)]
    return Response(status, headers, json.dumps(values).encode())


def _xml(body: str, status: int, request_id: str) -> Response:
    headers = [("Content-Type", "text/xml;charset=UTF-8"), ("x-amzn-RequestId", request_id)]
    return Response(status, headers, (_HEADER + body).encode())
