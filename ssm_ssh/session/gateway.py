"""From a session to its open data channel: the TLS connection made ahead, the signed upgrade, the first frame."""

from __future__ import annotations

import threading
import time

from ssm_ssh.aws.config.endpoints import loopback, resolve, stream_hosts
from ssm_ssh.errors import AccessDenied, Disconnected, SsmSshError
from ssm_ssh.startup import TYPE_CHECKING

if TYPE_CHECKING:
    from ssm_ssh.aws.api.client import Api
    from ssm_ssh.aws.config.settings import AwsSettings
    from ssm_ssh.aws.services.sessions import StartedSession
    from ssm_ssh.channel.session import Channel
    from ssm_ssh.log import Log
    from ssm_ssh.transport.stream import Stream
    from ssm_ssh.transport.websocket import WebSocket

# One attempt at connecting, all of it: ssh's own patience is often 10 s, a lossy network needs several.
_PATIENCE = 15.0


class Gateway:
    """The region's gateway. Made while the session is still being asked for, it connects in the background."""

    def __init__(self, settings: AwsSettings, api: Api, log: Log) -> None:
        self._settings = settings
        self._api = api
        self._log = log
        endpoint = resolve(settings, "ssmmessages")
        self._host, self._port, self._secure = endpoint.host, endpoint.port, endpoint.scheme == "https"
        self._stream: Stream | None = None
        self._abandoned = False
        self._thread = threading.Thread(target=self._ahead, daemon=True)
        self._thread.start()

    def enter(self, session: StartedSession, channel: Channel, until: float) -> WebSocket:
        """Open the data channel of `session` and send the opening message; blocks, until `until` (monotonic) at most.

        Raises ProtocolError for a StreamUrl that leads elsewhere, NetworkError, UpgradeRefused, AccessDenied.
        """
        from ssm_ssh.transport.stream_url import check_stream_url
        from ssm_ssh.transport.websocket import open_websocket

        settings = self._settings
        url = check_stream_url(
            session.stream_url,
            hosts=stream_hosts(settings.region),
            override=settings.endpoint_url("ssmmessages"),
            api_loopback=loopback(resolve(settings, "ssm").host),
        )
        self._thread.join(max(0.0, min(_PATIENCE, until - time.monotonic())))
        stream, self._stream = self._stream, None
        if stream is None or (url.host, url.port, url.secure) != (self._host, self._port, self._secure):
            if stream is not None:
                stream.close()
            stream = self._connect(url.host, url.port, url.secure, until)
        headers = {} if url.presigned else self._signed(url.path, url.query, url.host_header)
        deadline = min(time.monotonic() + _PATIENCE, until)
        try:
            try:
                socket = open_websocket(url, stream, headers, deadline)
            except Disconnected:  # what was connected ahead may have been closed while StartSession took its time
                self._log.debug("the early connection was closed")
                socket = open_websocket(url, self._connect(url.host, url.port, url.secure, until), headers, deadline)
        except AccessDenied as error:
            from ssm_ssh.aws.api.errors import explain
            from ssm_ssh.aws.api.refusal import Refusal

            refusal = Refusal(error.operation, session.id, error.status, error.code, error.message)
            raise explain(refusal, settings) from None
        socket.send_text(channel.open_message(session.token))
        return socket

    def abandon(self) -> None:
        """Close the early connection: there is no session to use it for. Does not block."""
        self._abandoned = True
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()

    def _signed(self, path: str, query: str, host: str) -> dict[str, str]:
        try:
            return self._api.signed_upgrade(host, path, query)
        except SsmSshError as error:  # a gateway that does not ask for a signature must still be reachable
            self._log.info(f"the upgrade is not signed: {error.sentence()}")
            return {}

    def _ahead(self) -> None:
        """Connect, and import what the upgrade needs while the network works. Errors come again in `enter`."""
        try:
            self._stream = self._connect(self._host, self._port, self._secure)
            if self._abandoned:
                self.abandon()
                return
            import ssm_ssh.session.records  # what the session's start will need
            import ssm_ssh.transport.websocket  # noqa: F401 - what `enter` will need
        except SsmSshError as error:
            self._log.debug(f"no early connection: {error.sentence()}")
        except Exception as error:  # a thread's traceback would land on ssh's stderr
            self._log.failure(error)

    def _connect(self, host: str, port: int, secure: bool, until: float | None = None) -> Stream:
        from ssm_ssh.transport.dial import dial
        from ssm_ssh.transport.proxy import proxy_for
        from ssm_ssh.transport.stream import Stream, TlsStream

        now = time.monotonic()
        deadline = now + _PATIENCE if until is None else min(now + _PATIENCE, until)
        proxy = proxy_for(host, port, self._settings.env) if secure else None  # HTTPS_PROXY is for https and wss
        sock = dial(host, port, proxy=proxy, context=self._api.context, timeout=max(0.1, deadline - now))
        return TlsStream(sock, self._api.context(), host, deadline) if secure else Stream(sock)
