"""The product's relay on stdin and stdout, connected to a peer instead of AWS.

    relay_client.py URL CA_FILE

Relay, channel, WebSocket, TLS and pipes are those of `ssm-ssh proxy`. Only the calls to AWS are missing.
"""

from __future__ import annotations

import random
import sys
import time
from typing import TYPE_CHECKING

from ssm_ssh.channel.session import Channel
from ssm_ssh.errors import SessionEnded
from ssm_ssh.log import Log
from ssm_ssh.relay.stdio import StandardStreams
from ssm_ssh.transport.dial import dial
from ssm_ssh.transport.stream import TlsStream
from ssm_ssh.transport.stream_url import check_stream_url
from ssm_ssh.transport.tls import client_context
from ssm_ssh.transport.websocket import open_websocket
from ssm_ssh.tunnel.relay import ssh_relay

if TYPE_CHECKING:
    from ssl import SSLContext

    from ssm_ssh.errors import SsmSshError
    from ssm_ssh.ssh.hostkey import HostKey
    from ssm_ssh.transport.stream_url import StreamUrl
    from ssm_ssh.transport.websocket import WebSocket


class DirectService:
    """The way to the peer."""

    def __init__(self, url: str, ca_file: str) -> None:
        self.asking = False
        host = url.split("/")[2]
        self._url = check_stream_url(url, hosts=(), override=f"https://{host}")
        self._context = client_context(ca_file)

    def authorize(self) -> str:
        return ""

    def still_authorized(self) -> bool:
        return True

    def explain_key_wait(self) -> str:
        return ""

    def ended(self, login: object) -> None: ...

    def check_host_key(self, key: HostKey, *, judged_by_ssh: bool) -> str:
        return ""

    def start(self) -> DirectSession:
        return DirectSession(self._url, self._context)

    def cancel(self) -> None: ...

    def refused_by_sshd(self, reason: str) -> bool:
        return False

    def explain_end(self, reason: str) -> SsmSshError:
        return SessionEnded(f"the peer ended: {reason}")

    def explain_silence(self) -> SsmSshError:
        return SessionEnded("the peer is silent")

    def explain_step(self, awaited: str) -> str:
        return f"waiting for {awaited}"

    def explain_overdue(self, awaited: str, last: SsmSshError | None) -> SsmSshError:
        return SessionEnded(f"the peer has not taken the step: {awaited}")

    def explain_refused_login(self) -> SsmSshError:
        return SessionEnded("the peer refused the login")

    def explain_no_session(self, reason: str) -> SsmSshError:
        return SessionEnded(f"the peer has not begun: {reason}")

    def explain_unanswered(self, seconds: float, *, unfinished: bool) -> SsmSshError:
        return SessionEnded(f"the peer has acknowledged nothing for {seconds:.0f} s")

    def explain_outside(self) -> SsmSshError:
        return SessionEnded("the peer closed the session")

    def record_outage(self, lost: bool) -> None: ...

    def record_end(self, sentence: str, *, told: bool) -> None: ...


class DirectSession:
    """The peer's data channel."""

    def __init__(self, url: StreamUrl, context: SSLContext) -> None:
        self.id = "benchmark"
        self._url = url
        self._context = context

    def connect(self, channel: Channel) -> WebSocket:
        deadline = time.monotonic() + 15
        sock = dial(self._url.host, self._url.port, timeout=15)
        stream = TlsStream(sock, self._context, self._url.host, deadline)
        socket = open_websocket(self._url, stream, {}, deadline)
        socket.send_text(channel.open_message("token"))
        return socket

    resume = connect

    def guard(self) -> None: ...

    def terminate(self, patience: float) -> None: ...


def main() -> int:
    def channel() -> Channel:
        return Channel(client_id="benchmark", epoch=time.time() - time.monotonic())

    service = DirectService(*sys.argv[1:])
    return ssh_relay(service, StandardStreams(), channel, Log(None, debug=False), random=random.random).run()


if __name__ == "__main__":
    sys.exit(main())
