"""Calls without a signature, which return credentials: JSON over HTTPS to one path for each operation.

https://smithy.io/2.0/aws/protocols/aws-restjson1-protocol.html
"""

from __future__ import annotations

import json
import time

import ssm_ssh
from ssm_ssh.aws.api import http
from ssm_ssh.aws.config.endpoints import Endpoint, resolve
from ssm_ssh.errors import ProtocolError
from ssm_ssh.startup import TYPE_CHECKING, NamedTuple
from ssm_ssh.text import printable
from ssm_ssh.values import json_object, text_member

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping
    from typing import Any

    from ssm_ssh.aws.config.settings import AwsSettings

# Seconds for one call, however slowly its response arrives.
_CALL_SECONDS = 40.0


class Reply(NamedTuple):
    """A response: `code` is the OAuth error (empty: none), `values` the JSON object. The repr shows neither."""

    status: int
    code: str
    values: dict[str, Any]

    def __repr__(self) -> str:
        return f"<Reply {self.status}>"

    @property
    def description(self) -> str:
        """The service's description of the error, printable."""
        text = self.values.get("error_description") or self.values.get("message") or self.values.get("Message") or ""
        return printable(text, 200)


class Unsigned:
    """One service as `settings` reach it. `debug` receives one line for each call, without its payload."""

    def __init__(self, settings: AwsSettings, service: str, debug: Callable[[str], None] | None = None) -> None:
        """Raises UsageError for an endpoint that cannot be used."""
        self._settings = settings
        self._debug = debug
        self._context: ssl.SSLContext | None = None
        self.endpoint: Endpoint = resolve(settings, service)

    @property
    def base(self) -> str:
        """The service's URL without a path, for pages that a browser opens."""
        return f"{self.endpoint.scheme}://{self.endpoint.authority}{self.endpoint.path.rstrip('/')}"

    def call(self, operation: str, path: str, payload: Mapping[str, Any], headers: Mapping[str, str]) -> Reply:
        """POST `payload` to `path` and return the response, even if it is an error of the service.

        Raises NetworkError and its kinds, ProtocolError, and UsageError for a proxy or CA bundle that cannot be used.
        """
        settings = self._settings
        endpoint = self.endpoint._replace(path=self.endpoint.path.rstrip("/") + path)
        deadlines = http.Deadlines(settings.connect_timeout, settings.read_timeout, time.monotonic() + _CALL_SECONDS)
        sent = {
            "Host": endpoint.authority,
            "Content-Type": "application/json",
            "Accept": "application/json",
            "User-Agent": f"ssm-ssh/{ssm_ssh.__version__}",
            **headers,
        }
        started, outcome = time.monotonic(), "no answer"
        try:
            sock = http.connect(endpoint, env=settings.env, context=self._tls, deadlines=deadlines)
            response = http.exchange(sock, endpoint, sent, json.dumps(payload).encode("ascii"), deadlines)
            outcome = str(response.status)
        finally:
            if self._debug is not None:
                took = 1000 * (time.monotonic() - started)
                self._debug(f"{operation} {endpoint.authority}: {outcome}, {took:.0f} ms")
        return _reply(response, endpoint.host, operation)

    def _tls(self) -> ssl.SSLContext:
        if self._context is None:
            from ssm_ssh.transport.tls import client_context

            self._context = client_context(self._settings.ca_bundle)
        return self._context


def _reply(response: http.Response, host: str, operation: str) -> Reply:
    values = json_object(response.body)
    if response.status == 200 and values is not None:
        return Reply(200, "", values)
    if values is None:
        if response.status < 400:
            raise ProtocolError(
                f"the answer of {host} to {operation} is not JSON (HTTP status {response.status})",
                "Check the endpoint URL, and whether a proxy or login page answers instead",
            )
        values = {}
    header = response.headers.get("x-amzn-errortype", "").partition(":")[0].rpartition("#")[2]
    return Reply(response.status, text_member(values, "error") or header or "unknown_error", values)
