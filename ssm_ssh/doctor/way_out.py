"""The way out: whether this computer reaches AWS's endpoints, how, and who issued their certificates.

Only TCP and TLS: no request is made, so neither credentials nor permissions are needed.
"""

from __future__ import annotations

import threading
import time

from ssm_ssh.doctor.finding import Finding, State
from ssm_ssh.errors import NotTrusted, SsmSshError
from ssm_ssh.startup import TYPE_CHECKING, NamedTuple
from ssm_ssh.text import printable

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Callable, Sequence

    from ssm_ssh.aws.api.client import Api
    from ssm_ssh.aws.config.endpoints import Endpoint

NAME = "connection to AWS"
# What a session needs: the API, and the gateway of its data channel.
SERVICES = ("ssm", "ssmmessages")
# Seconds for one endpoint, and for a second look at one that failed.
_LIMIT, _MORE = 8.0, 3.0
# Organizations that issue the certificates of AWS's own endpoints; partitions other than `aws` have others.
_ISSUERS = ("amazon", "digicert")


class Route(NamedTuple):
    """How `host` is reached. `error` is why it is not, with its hint.

    `proxy` is host:port, "" for none. `address` is an address of the host, "" where a proxy resolves the name or
    it has none. `issuer` is that of the certificate, "" if unknown. `own`: it is AWS's own, in the partition `aws`.
    """

    host: str
    proxy: str = ""
    address: str = ""
    issuer: str = ""
    own: bool = False
    error: tuple[str, str] | None = None


def begin(api: Api, services: Sequence[str] = SERVICES) -> Callable[[], list[Route]]:
    """Look at the endpoints in the background; the function returned waits for them. Neither raises SsmSshError."""
    routes: dict[str, Route] = {}

    def look(service: str) -> None:
        routes[service] = _look(api, service)

    threads = [threading.Thread(target=look, args=(service,), daemon=True) for service in services]
    for thread in threads:
        thread.start()
    until = time.monotonic() + _LIMIT + _MORE

    def finish() -> list[Route]:
        for thread in threads:
            thread.join(max(0.0, until - time.monotonic()))
        late = ("it could not be looked at in time", "Check DNS and the network or VPN")
        return [routes.get(service, Route(service, error=late)) for service in services]

    return finish


def check(routes: Sequence[Route]) -> list[Finding]:
    """PURE: return what `routes` show, in one finding for all that fail, and one for inspected TLS."""
    failed = [route for route in routes if route.error is not None]
    if failed:
        return [_failure(failed)]
    found = [Finding(NAME, State.OK, "; ".join(dict.fromkeys(f"{route.host}: {_way(route)}" for route in routes)))]
    inspected = [route for route in routes if route.own and route.issuer and not _is_aws(route.issuer)]
    if inspected:
        text = f"the certificate of {inspected[0].host} is issued by {inspected[0].issuer}: TLS is inspected on the way"
        todo = "If sessions break, let the proxy pass *.amazonaws.com uninspected, and WebSockets"
        found.append(Finding(NAME, State.WARNING, text, todo))
    return found


def _failure(failed: Sequence[Route]) -> Finding:
    first = failed[0]
    message, hint = first.error or ("", "")
    if first.issuer:
        foreign = first.own and not _is_aws(first.issuer)
        message += f". It is issued by {first.issuer}" + (
            ", not by AWS: TLS is inspected on the way" if foreign else ""
        )
    elif first.proxy and first.proxy not in message:
        message += f". HTTPS_PROXY sends it through {first.proxy}"
    elif _is_private(first.address):
        message += f". Its name leads to the private address {first.address}"
        hint = "Connect to that network or its VPN, or use a DNS server outside of it"
    others = [route.host for route in failed[1:] if route.host != first.host]
    if others:
        message += f". {' and '.join(dict.fromkeys(others))} cannot be reached either"
    return Finding(NAME, State.PROBLEM, message, hint)


def _way(route: Route) -> str:
    if route.proxy:
        return f"reached through the proxy {route.proxy}"
    if _is_private(route.address):
        return f"reached at the private address {route.address}"
    return f"reached at {route.address}" if route.address else "reached"


def _is_aws(issuer: str) -> bool:
    return any(name in issuer.lower() for name in _ISSUERS)


def _is_private(address: str) -> bool:
    import ipaddress

    try:
        known = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    return known.is_private and not known.is_loopback


def _look(api: Api, service: str) -> Route:
    from ssm_ssh.aws.api.http import Deadlines
    from ssm_ssh.aws.config.endpoints import partition, resolve
    from ssm_ssh.transport.proxy import proxy_for

    route = Route(service)
    try:
        endpoint = resolve(api.settings, service)
        own = not endpoint.override and partition(api.settings.region).name == "aws"
        route = Route(endpoint.host, own=own)
        proxy = proxy_for(endpoint.host, endpoint.port, api.settings.env) if endpoint.scheme == "https" else None
        route = route._replace(proxy=f"{proxy.host}:{proxy.port}" if proxy else "")
        sock = api.connect(endpoint, Deadlines(_LIMIT, _LIMIT, time.monotonic() + _LIMIT))
    except NotTrusted as error:
        return route._replace(error=(error.message, error.hint), issuer=_issuer_unverified(api, endpoint))
    except SsmSshError as error:
        address = "" if route.proxy else _address(route.host)
        return route._replace(error=(error.message, error.hint), address=address)
    with sock:
        return route._replace(address="" if route.proxy else _peer(sock), issuer=_issuer(sock))


def _issuer_unverified(api: Api, endpoint: Endpoint) -> str:
    """Return the issuer of a certificate that did not verify. Nothing is sent on that connection."""
    import ssl

    from ssm_ssh.aws.api import http

    def context() -> ssl.SSLContext:
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
        return made

    try:
        deadlines = http.Deadlines(_MORE, _MORE, time.monotonic() + _MORE)
        with http.connect(endpoint, env=api.settings.env, context=context, deadlines=deadlines) as sock:
            return _issuer(sock)
    except SsmSshError:
        return ""


def _issuer(sock: socket.socket) -> str:
    """Return the organization, else the name, of the issuer of the peer's certificate, printable."""
    import ssl

    if not isinstance(sock, ssl.SSLSocket):
        return ""
    encoded = sock.getpeercert(binary_form=True)
    if not encoded:
        return ""
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    try:
        names = x509.load_der_x509_certificate(encoded).issuer
        kinds = (NameOID.ORGANIZATION_NAME, NameOID.COMMON_NAME)
        known = [name for kind in kinds for name in names.get_attributes_for_oid(kind)]
    except ValueError:
        return ""
    return f"'{printable(str(known[0].value), 80)}'" if known else ""


def _peer(sock: socket.socket) -> str:
    try:
        return str(sock.getpeername()[0])
    except OSError:
        return ""


def _address(host: str) -> str:
    """Return the first address of `host`, "" if it has none."""
    import socket

    try:
        return str(socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0][4][0])
    except (OSError, UnicodeError):
        return ""
