"""Calls to AWS's APIs: signed, with deadlines, retries and errors that a person can act on.

https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html; EC2 speaks a protocol of its own, see ec2.py.
"""

from __future__ import annotations

import json
import os
import threading
import time
from typing import TYPE_CHECKING, Any

import ssm_ssh
from ssm_ssh.aws.api import ec2_query, http
from ssm_ssh.aws.api.errors import Refusal, explain
from ssm_ssh.aws.api.preconnect import Ahead
from ssm_ssh.aws.api.sigv4 import sign
from ssm_ssh.aws.config.endpoints import resolve
from ssm_ssh.aws.credentials.source import CredentialSource
from ssm_ssh.errors import NetworkError, NotTrusted, ProtocolError, ProxyRefused, SsmSshError
from ssm_ssh.text import printable
from ssm_ssh.values import json_object

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Callable, Mapping

    from ssm_ssh.aws.config.endpoints import Endpoint
    from ssm_ssh.aws.config.settings import AwsSettings
    from ssm_ssh.aws.credentials.access_key import Credentials

# The X-Amz-Target prefixes of the services' models.
_PREFIX = {"ssm": "AmazonSSM", "ec2-instance-connect": "AWSEC2InstanceConnectService", "kms": "TrentService"}
# Seconds: the longest first delay, doubled for each further one. Throttling means that the account's rate is used up,
# so it takes about a second to recover; a lost connection does not.
_THROTTLED_DELAY, _TRANSIENT_DELAY, _LONGEST_DELAY = 1.0, 0.25, 20.0
# Retries in a row without a success before calls fail at once, so that a program over many instances does not
# multiply the load on a service in trouble.
_RETRY_BUDGET = 20
# Seconds. AWS accepts signatures within five minutes of its own clock.
_TOLERATED_SKEW = 240.0
# Seconds for a call, its retries and all: an answer that comes a byte at a time would else take for ever, and a push
# holds a lock that other connections wait for.
CALL_LIMIT = 25.0
# Seconds without a byte on a connection made ahead: the network may have forgotten it, and a new one is soon made.
_AHEAD_PATIENCE = 4.0


class Api:
    """AWS as `settings` reach it. Threads may share one; they share its TLS context, credentials and clock skew.

    `debug` receives one line a request: operation, host, status, duration, request id, never a payload.
    """

    def __init__(
        self,
        settings: AwsSettings,
        *,
        credentials: CredentialSource | None = None,
        debug: Callable[[str], None] | None = None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.time,
        random: Callable[[], float] | None = None,
    ) -> None:
        self.settings = settings
        self.credentials = credentials or CredentialSource(settings, clock)
        self._debug = debug
        self._sleep = sleep
        self._clock = clock
        self._random = random or _fraction
        self._lock = threading.Lock()
        self._context: ssl.SSLContext | None = None
        self._ahead: dict[str, Ahead] = {}
        self._budget = _RETRY_BUDGET
        self.skew = 0.0  # seconds that this computer's clock is behind AWS's, as far as AWS has said

    def __repr__(self) -> str:
        return f"Api({self.settings!r})"

    def context(self) -> ssl.SSLContext:
        """Return the one TLS context of this program, for the gateway too."""
        with self._lock:
            if self._context is None:
                from ssm_ssh.transport.tls import client_context

                self._context = client_context(self.settings.ca_bundle)
            return self._context

    def connect(self, endpoint: Endpoint, deadlines: http.Deadlines) -> socket.socket:
        """Return a connection as `http.connect` makes it, which raises what that does."""
        return http.connect(endpoint, env=self.settings.env, context=self.context, deadlines=deadlines)

    def connect_ahead(self, service: str) -> None:
        """Connect to `service` in the background, for a call to come that is `repeatable`. Raises nothing."""

        def connect() -> socket.socket:
            deadlines = http.Deadlines(self.settings.connect_timeout, self.settings.read_timeout, None)
            return self.connect(resolve(self.settings, service), deadlines)

        with self._lock:
            replaced, self._ahead[service] = self._ahead.get(service), Ahead(connect)
        if replaced is not None:
            replaced.drop()

    def drop_ahead(self, service: str) -> None:
        """Close what `connect_ahead` has made, if no call came."""
        with self._lock:
            ahead = self._ahead.pop(service, None)
        if ahead is not None:
            ahead.drop()

    def signed_upgrade(self, host: str, path: str, query: str) -> dict[str, str]:
        """Return the headers that sign a GET of the gateway's `path?query`; `host` is the Host header's value.

        The action is `ssmmessages:OpenDataChannel`. Raises CredentialsError, NetworkError.
        """
        signed = sign(
            "GET",
            path,
            query,
            {"Host": host},
            b"",
            credentials=self.credentials.get(),
            service="ssmmessages",
            region=self.settings.region,
            now=self.now(),
        )
        del signed["Host"]
        return signed

    def call(
        self,
        service: str,
        operation: str,
        payload: Mapping[str, Any],
        *,
        target: str = "",
        deadline: float | None = None,
        repeatable: bool = True,
        reached: Callable[[bool], None] | None = None,
    ) -> dict[str, Any]:
        """Call `operation` of `service` and return its answer; that of EC2 as `ec2.decode` does.

        `target` is what errors name; `deadline` is in time.monotonic()'s seconds, CALL_LIMIT from now if there is none.
        The time for credentials does not count, for a person may be asked for them. A call that is not `repeatable` is
        not sent again once AWS may have acted on it. `reached` is called with False when a connection stands, TLS
        verified, and with True when AWS has answered with an error, before any retry. Raises AwsError and its kinds,
        CredentialsError, NetworkError, ProtocolError, UsageError (endpoint).
        """
        body = ec2_query.encode(operation, payload) if service == "ec2" else json.dumps(payload).encode("ascii")
        attempt = _Attempt(self, service=service, operation=operation, body=body, target=target)
        attempt.reached = reached
        began = time.monotonic()
        self.credentials.get()
        deadline = time.monotonic() + CALL_LIMIT if deadline is None else deadline + time.monotonic() - began
        attempt.deadline = deadline
        if repeatable:
            with self._lock:
                attempt.ahead = self._ahead.pop(service, None)
        retries = 0
        while True:
            failure, delay = attempt.run()
            if failure is None:
                self._succeeded()
                return attempt.result
            if isinstance(failure, NetworkError):
                failure.unsent = not attempt.maybe_done
            if delay is None or (attempt.maybe_done and not repeatable):
                raise failure
            if delay:
                retries += 1
                if retries >= self.settings.max_attempts or not self._may_retry():
                    raise failure
                wait = self._random() * min(_LONGEST_DELAY, delay * 2 ** (retries - 1))
                if time.monotonic() + wait >= deadline:
                    raise failure
                self._sleep(wait)

    def say(self, text: str) -> None:
        """Pass a line to `debug`."""
        if self._debug is not None:
            self._debug(printable(text))

    def now(self) -> float:
        """Return the time to sign with, in seconds since the epoch: this computer's, corrected by what AWS said."""
        return self._clock() + self.skew

    def correct_clock(self, date: str, used: float) -> bool:
        """Take over the server's time; return whether it is off by minutes from what was signed with skew `used`."""
        from email.utils import parsedate_to_datetime

        try:
            skew = parsedate_to_datetime(date).timestamp() - self._clock()
        except (TypeError, ValueError):
            return False
        if abs(skew - used) < _TOLERATED_SKEW:
            return False
        self.skew = skew
        self.say(f"the clock here is off by {skew:.0f} s; signing with the time of AWS")
        return True

    def _may_retry(self) -> bool:
        with self._lock:
            self._budget -= 1
            return self._budget >= 0

    def _succeeded(self) -> None:
        with self._lock:
            self._budget = _RETRY_BUDGET


class _Attempt:
    """One call in progress: what may happen once only, and what the last try left."""

    def __init__(self, api: Api, *, service: str, operation: str, body: bytes, target: str) -> None:
        self._api = api
        self._service = service
        self._operation = operation
        self._body = body
        self._target = target
        self.deadline: float | None = None
        self._endpoint: Endpoint = resolve(api.settings, service)
        self._clock_corrected = self._credentials_renewed = False
        self.ahead: Ahead | None = None
        self.reached: Callable[[bool], None] | None = None
        self.maybe_done = False
        self.result: dict[str, Any] = {}

    def run(self) -> tuple[SsmSshError | None, float | None]:
        """Try once. Return the failure, if any, and the base of the delay before another try (None: no other)."""
        credentials, skew = self._api.credentials.get(), self._api.skew
        self.maybe_done = False
        try:
            answer = self._exchange(credentials)
        except (NotTrusted, ProxyRefused) as error:
            return error, None
        except NetworkError as error:
            return error, _TRANSIENT_DELAY
        if answer.status == 200:
            self.result = self._decode(answer)
            return None, None
        refusal = _refusal(answer, self._service, self._operation, self._target)
        if refusal.code and self.reached is not None:
            self.reached(True)
        if refusal.clock and not self._clock_corrected:
            self._clock_corrected = True
            if self._api.correct_clock(answer.headers.get("date", ""), skew):
                return explain(refusal, self._api.settings), 0.0
        refusal = refusal.by_a_right_clock(temporary=credentials.token is not None)
        failure = explain(refusal, self._api.settings)
        if refusal.expired and not self._credentials_renewed:
            self._credentials_renewed = True
            return failure, None if self._api.credentials.refresh(credentials) is None else 0.0
        if refusal.throttled:
            return failure, _THROTTLED_DELAY
        if refusal.transient:
            self.maybe_done = True
            return failure, _TRANSIENT_DELAY
        return failure, None

    def _exchange(self, credentials: Credentials) -> http.Answer:
        api, endpoint, settings = self._api, self._endpoint, self._api.settings
        deadlines = http.Deadlines(settings.connect_timeout, settings.read_timeout, self.deadline)
        started = time.monotonic()
        said = "no answer"
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
                region=settings.region,
                now=api.now(),
            )
            answer = self._ask_ahead(signed, deadlines)
            if answer is None:
                sock = api.connect(endpoint, deadlines)
                if self.reached is not None:
                    self.reached(False)
                self.maybe_done = True
                answer = http.ask(sock, endpoint, signed, self._body, deadlines)
            self.maybe_done = False
            said = f"{answer.status} request {answer.headers.get('x-amzn-requestid', '-')[:40]}"
            return answer
        finally:
            api.say(f"{self._operation} {endpoint.authority}: {said}, {1000 * (time.monotonic() - started):.0f} ms")

    def _ask_ahead(self, signed: Mapping[str, str], deadlines: http.Deadlines) -> http.Answer | None:
        """Ask on the connection made ahead; None where there is none, or where it has been closed meanwhile."""
        ahead, self.ahead = self.ahead, None
        if ahead is None:
            return None
        try:
            sock = ahead.take(deadlines.limit(deadlines.connect))
            brief = deadlines._replace(read=min(_AHEAD_PATIENCE, deadlines.read))
            return None if sock is None else http.ask(sock, self._endpoint, signed, self._body, brief)
        except (NetworkError, TimeoutError):
            return None

    def _decode(self, answer: http.Answer) -> dict[str, Any]:
        xml = self._service == "ec2"
        decoded = ec2_query.decode(answer.body) if xml else json_object(answer.body)
        if decoded is None:
            kind = "XML" if xml else "JSON"
            raise ProtocolError(
                f"{self._endpoint.host} answered {self._operation} with something that is not {kind}",
                "Check the endpoint URL, and whether a proxy or login page answers instead",
            )
        return decoded


def _protocol_headers(service: str, operation: str) -> dict[str, str]:
    if service == "ec2":
        return {"Content-Type": ec2_query.CONTENT_TYPE}
    return {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": f"{_PREFIX[service]}.{operation}"}


def _refusal(answer: http.Answer, service: str, operation: str, target: str) -> Refusal:
    if service == "ec2":
        return Refusal(operation, target, answer.status, *ec2_query.error(answer.body))
    body = json_object(answer.body) or {}
    code = str(answer.headers.get("x-amzn-errortype") or body.get("__type") or body.get("code") or "")
    message = body.get("message") or body.get("Message") or body.get("errorMessage") or ""
    # Services write the code as Name, as namespace#Name and as Name:URL.
    name = code.partition(":")[0].rpartition("#")[2].strip()
    return Refusal(operation, target, answer.status, name, str(message))


def _fraction() -> float:
    return int.from_bytes(os.urandom(4), "big") / 2**32
