"""Calls of AWS's APIs: signed, with deadlines, retries and errors that a person can act on.

https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html; EC2 has a protocol of its own, see ec2_query.py.
"""

from __future__ import annotations

import json
import threading
import time

from ssm_ssh.aws.api import ec2_query, http
from ssm_ssh.aws.api.attempt import Attempt
from ssm_ssh.aws.api.preconnection import PreConnection
from ssm_ssh.aws.api.sigv4 import sign
from ssm_ssh.aws.config.endpoints import resolve
from ssm_ssh.aws.credentials.source import CredentialSource
from ssm_ssh.errors import NetworkError
from ssm_ssh.random_numbers import random_fraction
from ssm_ssh.startup import TYPE_CHECKING
from ssm_ssh.text import printable

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Callable, Mapping
    from typing import Any

    from ssm_ssh.aws.config.endpoints import Endpoint
    from ssm_ssh.aws.config.settings import AwsSettings

# Seconds between two tries, however many there have been.
_LONGEST_DELAY = 20.0
# Retries in a row without a success, after which calls fail at once: a program over many instances must not multiply
# the load on a service in trouble.
_RETRY_BUDGET = 20
# Seconds. AWS accepts signatures within five minutes of its own clock.
_TOLERATED_SKEW = 240.0
# Seconds for a call with its retries. An answer that arrives byte by byte would otherwise take forever, and a push
# holds a lock that other connections wait for.
CALL_LIMIT = 25.0


class Api:
    """AWS's APIs as `settings` reach them. Threads may share one: its TLS context, credentials and clock skew.

    `debug` receives one line for each request: operation, host, status, duration and request id, never a payload.
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
        self._random = random or random_fraction
        self._lock = threading.Lock()
        self._context: ssl.SSLContext | None = None
        self._preconnections: dict[str, PreConnection] = {}
        self._budget = _RETRY_BUDGET
        self.skew = 0.0
        """Seconds that this computer's clock is behind AWS's, as far as AWS has said."""
        self._dated: tuple[str, float] | None = None

    def __repr__(self) -> str:
        return f"Api({self.settings!r})"

    def context(self) -> ssl.SSLContext:
        """Return the TLS context of this program, which serves the gateway too."""
        with self._lock:
            if self._context is None:
                from ssm_ssh.transport.tls import client_context

                self._context = client_context(self.settings.ca_bundle)
            return self._context

    def connect(self, endpoint: Endpoint, deadlines: http.Deadlines) -> socket.socket:
        """Return a connection to `endpoint`. Raises what http.connect raises."""
        return http.connect(endpoint, env=self.settings.env, context=self.context, deadlines=deadlines)

    def preconnect(self, service: str) -> None:
        """Connect to `service` in the background, for a later call that is `repeatable`. Raises nothing."""

        def connect() -> socket.socket:
            deadlines = http.Deadlines(self.settings.connect_timeout, self.settings.read_timeout, None)
            return self.connect(resolve(self.settings, service), deadlines)

        with self._lock:
            replaced, self._preconnections[service] = self._preconnections.get(service), PreConnection(connect)
        if replaced is not None:
            replaced.cancel()

    def cancel_preconnection(self, service: str) -> None:
        """Close the connection of `preconnect` if no call has used it."""
        with self._lock:
            preconnection = self._preconnections.pop(service, None)
        if preconnection is not None:
            preconnection.cancel()

    def signed_upgrade(self, host: str, path: str, query: str) -> dict[str, str]:
        """Return the headers that sign a GET of the gateway's `path?query`; `host` is the value of the Host header.

        The action is `ssmmessages:OpenDataChannel`. Raises CredentialsError and NetworkError.
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
        """Call `operation` of `service` and return its answer; EC2's in the form of `ec2_query.decode`.

        Errors name `target`. `deadline` is in seconds of time.monotonic(); None: CALL_LIMIT from now. The time for
        credentials does not count, because a person may be asked for them. A call that is not `repeatable` is not
        sent again once AWS may have acted on it. `reached` is called with False when a connection stands and TLS is
        verified, and with True when AWS has answered with an error, before any retry; what it raises ends the call.

        Raises AwsError and its subclasses, CredentialsError, NetworkError, ProtocolError, and UsageError for an
        endpoint that cannot be used.
        """
        query = service in ec2_query.VERSIONS
        body = ec2_query.encode(operation, payload, service) if query else json.dumps(payload).encode("ascii")
        attempt = Attempt(self, service=service, operation=operation, body=body, target=target)
        attempt.reached = reached
        began = time.monotonic()
        self.credentials.get()
        deadline = time.monotonic() + CALL_LIMIT if deadline is None else deadline + time.monotonic() - began
        attempt.deadline = deadline
        if repeatable:
            with self._lock:
                attempt.preconnection = self._preconnections.pop(service, None)
        retries = 0
        while True:
            error, delay = attempt.run()
            if error is None:
                self._restore_budget()
                return attempt.result
            if isinstance(error, NetworkError):
                error.unsent = not attempt.maybe_done
            if delay is None or (attempt.maybe_done and not repeatable):
                raise self._with_suggestion(error)
            if delay:
                retries += 1
                if retries >= self.settings.max_attempts or not self._may_retry():
                    raise self._with_suggestion(error)
                wait = self._random() * min(_LONGEST_DELAY, delay * 2 ** (retries - 1))
                if time.monotonic() + wait >= deadline:
                    raise self._with_suggestion(error)
                self._sleep(wait)

    def log(self, text: str) -> None:
        """Pass one line to `debug`."""
        if self._debug is not None:
            self._debug(printable(text))

    def now(self) -> float:
        """Return the time to sign with, in seconds since the epoch: this computer's, corrected by AWS's."""
        return self._clock() + self.skew

    def note_date(self, date: str) -> None:
        """Keep the Date header of an answer, for `clock_difference`."""
        self._dated = date, self._clock()

    def clock_difference(self) -> float | None:
        """Return how many seconds this computer's clock is behind AWS's by the last answer; None: AWS has not said.

        The header has whole seconds, and an answer takes a while, so one or two seconds mean nothing.
        """
        return None if self._dated is None else _difference(*self._dated)

    def correct_clock(self, date: str, used: float) -> bool:
        """Adopt the server's time; return whether it differs by minutes from that of a signature with skew `used`."""
        skew = _difference(date, self._clock())
        if skew is None:
            return False
        if abs(skew - used) < _TOLERATED_SKEW:
            return False
        self.skew = skew
        self.log(f"the clock of this computer is wrong by {skew:.0f} s; signing with AWS's time")
        return True

    def _may_retry(self) -> bool:
        with self._lock:
            self._budget -= 1
            return self._budget >= 0

    def _with_suggestion(self, error: Exception) -> Exception:
        """Return `error` with the region that may be meant: a region that does not exist has no address."""
        if isinstance(error, NetworkError):
            from ssm_ssh.aws.config.regions import suggestion

            error.hint = suggestion(self.settings.region) or error.hint
        return error

    def _restore_budget(self) -> None:
        with self._lock:
            self._budget = _RETRY_BUDGET


def _difference(date: str, now: float) -> float | None:
    """Return how many seconds the Date header `date` (RFC 9110, 5.6.7) is ahead of `now`; None for no such date."""
    from email.utils import parsedate_to_datetime

    try:
        return parsedate_to_datetime(date).timestamp() - now
    except (TypeError, ValueError):
        return None
