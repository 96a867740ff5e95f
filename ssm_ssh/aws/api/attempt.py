"""One call of an AWS API in progress: its request, its tries, and what each of them leaves for the next."""

from __future__ import annotations

import time

import ssm_ssh
from ssm_ssh.aws.api import ec2_query, http
from ssm_ssh.aws.api.sigv4 import sign
from ssm_ssh.aws.config.endpoints import resolve, signing_region
from ssm_ssh.errors import NetworkError, NotTrusted, ProtocolError, ProxyRefused
from ssm_ssh.startup import TYPE_CHECKING, Protocol
from ssm_ssh.values import json_object

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping
    from typing import Any

    from ssm_ssh.aws.api.preconnection import PreConnection
    from ssm_ssh.aws.config.endpoints import Endpoint
    from ssm_ssh.aws.config.settings import AwsSettings
    from ssm_ssh.aws.credentials.access_key import Credentials
    from ssm_ssh.aws.credentials.source import CredentialSource
    from ssm_ssh.errors import SsmSshError

    class Caller(Protocol):
        """What an attempt needs of the client (client.Api) that it belongs to."""

        settings: AwsSettings
        credentials: CredentialSource
        skew: float

        def connect(self, endpoint: Endpoint, deadlines: http.Deadlines) -> socket.socket:
            """See Api.connect."""

        def correct_clock(self, date: str, used: float) -> bool:
            """See Api.correct_clock."""

        def note_date(self, date: str) -> None:
            """See Api.note_date."""

        def now(self) -> float:
            """See Api.now."""

        def log(self, text: str) -> None:
            """See Api.log."""


# The X-Amz-Target prefixes of the services' models.
_PREFIXES = {
    "ssm": "AmazonSSM",
    "ec2-instance-connect": "AWSEC2InstanceConnectService",
    "kms": "TrentService",
    "logs": "Logs_20140328",
}
# Seconds: the longest first delay, doubled for each further one. Throttling means that the account's rate is used up,
# which takes about a second to recover from; a lost connection does not.
_THROTTLED_DELAY, _TRANSIENT_DELAY = 1.0, 0.25
# Seconds without a byte on a preconnection: the network may have forgotten it, and a new connection is quickly made.
_PRECONNECTION_TIMEOUT = 4.0


class Attempt:
    """One call in progress. The clock is corrected and credentials are renewed at most once in its course."""

    def __init__(self, caller: Caller, *, service: str, operation: str, body: bytes, target: str) -> None:
        """`target` is what errors name. Raises UsageError for an endpoint that cannot be used."""
        self._caller = caller
        self._service = service
        self._operation = operation
        self._body = body
        self._target = target
        self._endpoint: Endpoint = resolve(caller.settings, service)
        self._clock_corrected = self._credentials_renewed = False
        self.deadline: float | None = None
        self.preconnection: PreConnection | None = None
        self.reached: Callable[[bool], None] | None = None
        self.maybe_done = False
        """Whether AWS may have acted on the last try."""
        self.result: dict[str, Any] = {}

    def run(self) -> tuple[SsmSshError | None, float | None]:
        """Try once. Return the error, if any, and the base of the delay before the next try (None: do not try again).

        Without an error `result` holds the answer. Raises CredentialsError, ProtocolError and UsageError.
        """
        credentials, skew = self._caller.credentials.get(), self._caller.skew
        self.maybe_done = False
        try:
            response = self._exchange(credentials)
        except (NotTrusted, ProxyRefused) as error:
            return error, None
        except NetworkError as error:
            return error, _TRANSIENT_DELAY
        self._caller.note_date(response.headers.get("date", ""))
        if response.status == 200:
            self.result = self._decode(response)
            return None, None
        return self._refused(response, credentials, skew)

    def _refused(
        self, response: http.Response, credentials: Credentials, skew: float
    ) -> tuple[SsmSshError, float | None]:
        from ssm_ssh.aws.api.errors import explain
        from ssm_ssh.aws.api.refusal import read_refusal

        refusal = read_refusal(response, self._service, self._operation, self._target)
        if refusal.code and self.reached is not None:
            self.reached(True)
        if refusal.clock_suspected and not self._clock_corrected:
            self._clock_corrected = True
            if self._caller.correct_clock(response.headers.get("date", ""), skew):
                return explain(refusal, self._caller.settings), 0.0
        refusal = refusal.with_clock_ruled_out(temporary=credentials.token is not None)
        error = explain(refusal, self._caller.settings)
        if refusal.expired and not self._credentials_renewed:
            self._credentials_renewed = True
            return error, None if self._caller.credentials.refresh(credentials) is None else 0.0
        if refusal.throttled:
            return error, _THROTTLED_DELAY
        if refusal.transient:
            self.maybe_done = True
            return error, _TRANSIENT_DELAY
        return error, None

    def _exchange(self, credentials: Credentials) -> http.Response:
        caller, endpoint, settings = self._caller, self._endpoint, self._caller.settings
        deadlines = http.Deadlines(settings.connect_timeout, settings.read_timeout, self.deadline)
        started = time.monotonic()
        outcome = "no answer"
        try:
            headers = {
                "Host": endpoint.authority,
                **_protocol_headers(self._service, self._operation),
                "User-Agent": f"ssm-ssh/{ssm_ssh.__version__}",
            }
            signed = sign(
                "POST",
                endpoint.path,
                "",
                headers,
                self._body,
                credentials=credentials,
                service=self._service,
                region=signing_region(self._service, settings.region),
                now=caller.now(),
            )
            response = self._exchange_early(signed, deadlines)
            if response is None:
                sock = caller.connect(endpoint, deadlines)
                if self.reached is not None:
                    try:
                        self.reached(False)
                    except BaseException:
                        sock.close()
                        raise
                self.maybe_done = True
                response = http.exchange(sock, endpoint, signed, self._body, deadlines)
            self.maybe_done = False
            outcome = f"{response.status} request {response.headers.get('x-amzn-requestid', '-')[:40]}"
            return response
        finally:
            took = 1000 * (time.monotonic() - started)
            caller.log(f"{self._operation} {endpoint.authority}: {outcome}, {took:.0f} ms")

    def _exchange_early(self, signed: Mapping[str, str], deadlines: http.Deadlines) -> http.Response | None:
        """Use the preconnection; return None if there is none or if it has been closed meanwhile."""
        preconnection, self.preconnection = self.preconnection, None
        if preconnection is None:
            return None
        try:
            sock = preconnection.take(deadlines.limit(deadlines.connect))
            short = deadlines._replace(read=min(_PRECONNECTION_TIMEOUT, deadlines.read))
            return None if sock is None else http.exchange(sock, self._endpoint, signed, self._body, short)
        except (NetworkError, TimeoutError):
            return None

    def _decode(self, response: http.Response) -> dict[str, Any]:
        xml = self._service in ec2_query.VERSIONS
        decoded = ec2_query.decode(response.body) if xml else json_object(response.body)
        if decoded is None:
            raise ProtocolError(
                f"the answer of {self._endpoint.host} to {self._operation} is not {'XML' if xml else 'JSON'}",
                "Check the endpoint URL, and whether a proxy or login page answers instead",
            )
        return decoded


def _protocol_headers(service: str, operation: str) -> dict[str, str]:
    if service in ec2_query.VERSIONS:
        return {"Content-Type": ec2_query.CONTENT_TYPE}
    return {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": f"{_PREFIXES[service]}.{operation}"}
