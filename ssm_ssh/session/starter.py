"""What starts the sessions of a command: the account, the instance, the document and its parameters."""

from __future__ import annotations

import os
import threading
import time

from ssm_ssh.errors import StateError, TargetNotConnected
from ssm_ssh.random_numbers import random_bits
from ssm_ssh.startup import TYPE_CHECKING
from ssm_ssh.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from ssm_ssh.aws.api.client import Api
    from ssm_ssh.aws.config.settings import AwsSettings
    from ssm_ssh.channel.encryption import DataKey
    from ssm_ssh.channel.events import KeyRequest
    from ssm_ssh.channel.session import Channel
    from ssm_ssh.log import Log
    from ssm_ssh.session.bring_up import BringUp
    from ssm_ssh.session.instance_world import InstanceWorld
    from ssm_ssh.session.managed import ManagedSession

# AWS asks session clients for at least this plugin version; agents switch features on by it.
CLIENT_VERSION = "1.2.764.0"
# The longest reason of StartSession.
_MOST_REASON = 256
# Seconds that the call that starts a session has for itself. What is imported meanwhile would only slow it down; on a
# slow network there is time for both.
_HEAD_START = 0.02
# Seconds for a question about the instance while a session waits.
_QUESTION = 10.0


class SessionStarter:
    """Starts sessions of one document with one instance. Threads may share it.

    Nothing is read or called before `start` or `api`.
    """

    def __init__(
        self,
        settings: AwsSettings,
        instance_id: str,
        document: str,
        parameters: Mapping[str, Sequence[str]],
        log: Log,
        *,
        purpose: str,
        reason: str = "",
        kms_key: str = "",
        port: bool = True,
        start: str = "",
    ) -> None:
        """`settings`: the account and region to ask; `document`: "" for the account's shell session.

        `reason` is what the audit trail shows; by default `purpose`, who asks and from where. `kms_key`: the setting
        of that name; `port`: the session carries TCP connections, for which the agent never asks for a key. `start`:
        the setting of that name, for an instance that is off; "": what AWS says of the instance is not questioned.
        """
        self.instance_id = instance_id
        self.document = document
        self.asking = False
        """Whether `start` waits for AWS, and not for a person."""
        self._settings = settings
        self._parameters = parameters
        self._log = log
        self._purpose = purpose
        self._reason = reason
        self._kms_key = kms_key
        self._port = port
        self._wish = start
        self._api: Api | None = None
        self._lock = threading.Lock()
        self._bring_up: BringUp | None = None
        self._world: InstanceWorld | None = None
        self._cancelled = threading.Event()
        self._ahead: _Ahead | None = None

    def api(self) -> Api:
        """Return the APIs of the account and region."""
        with self._lock:
            if self._api is None:
                from ssm_ssh.aws.api.client import Api
                from ssm_ssh.aws.credentials.source import CredentialSource

                credentials = CredentialSource(self._settings, isolate=True)
                self._api = Api(self._settings, credentials=credentials, debug=self._log.debug)
        return self._api

    def begin(self) -> None:
        """Start the session that the first `start` will return, in a thread of its own. Blocks for 20 ms at most.

        So AWS is asked before the caller has imported the rest of what a connection needs. Signals must be caught
        already: a process that ends by one would leave the session open.
        """
        self._ahead = _Ahead(self._start_session)
        self._ahead.asked.wait(_HEAD_START)

    def start(self) -> ManagedSession:
        """Start a session, and the instance first if it is off and may be started. Blocks.

        Raises what `session.managed.start` and `BringUp.run` raise.
        """
        while True:
            try:
                ahead, self._ahead = self._ahead, None
                session = self._start_session() if ahead is None else ahead.result()
            except TargetNotConnected as error:
                self.bring_up(error)
            else:
                self._wish = ""  # who stops the instance from now on wants it stopped
                return session

    def bring_up(self, error: TargetNotConnected) -> None:
        """Return when a call that failed with `error` may succeed because the instance has been started. Blocks.

        Raises `error`, and what `BringUp.run` raises.
        """
        if not self._wish:
            raise error
        api = self.api()
        with self._lock:
            if self._bring_up is None:
                from ssm_ssh.session.bring_up import BringUp
                from ssm_ssh.session.instance_world import InstanceWorld

                self._world = world = InstanceWorld(
                    api, self.instance_id, self.agent_connected, self._cancelled, self._log
                )
                self._bring_up = BringUp(self.instance_id, self._wish, world)
        self._bring_up.run(error)

    def cancel(self) -> None:
        """Wait for the instance no longer: no session is wanted any more. Does not block."""
        self._cancelled.set()
        if self._world is not None:
            self._world.leave()

    def _start_session(self) -> ManagedSession:
        """Start a session while the TLS connection to its gateway is being made."""
        from ssm_ssh.session import managed
        from ssm_ssh.session.gateway import Gateway

        api = self.api()
        gateway = Gateway(self._settings, api, self._log)
        api.credentials.get()  # before the time limit of the call, because it may wait for a person
        self.asking = True
        try:
            session = managed.start(
                api,
                gateway,
                self.instance_id,
                self.document,
                self._parameters,
                purpose=self._purpose,
                reason=self._reason or _caller(self._purpose),
                log=self._log,
                on_connected=self._remember,
                make_key=self._data_key,
                reached=self._reached,
            )
        except TargetNotConnected:
            gateway.abandon()
            raise
        finally:
            self.asking = False
        self._log.info(f"session {session.id} started: {self._purpose}")
        return session

    def _reached(self, _: bool) -> None:
        """Let `begin` return: the connection to AWS stands, and the call is being sent."""
        if self._ahead is not None:
            self._ahead.asked.set()

    def agent_connected(self) -> bool | None:
        """Ask AWS whether the instance's agent is connected; None: AWS could not be asked. Blocks."""
        from ssm_ssh.aws.services.sessions import connection_status
        from ssm_ssh.errors import SsmSshError

        try:
            return connection_status(self.api(), self.instance_id, deadline=time.monotonic() + _QUESTION)
        except SsmSshError as error:
            self._log.info(f"not asked: {error.sentence()}")
            return None

    def platform(self) -> str:
        """Return the platform of the instance as Systems Manager names it, "" where that is not known. Blocks."""
        from ssm_ssh.aws.services.inventory import find_node
        from ssm_ssh.errors import SsmSshError

        try:
            node = find_node(self.api(), self.instance_id, deadline=time.monotonic() + _QUESTION)
        except SsmSshError as error:
            self._log.info(f"the platform is not known: {error.sentence()}")
            return ""
        return node.platform if node is not None else ""

    def _data_key(self, session_id: str, request: KeyRequest) -> DataKey:
        from ssm_ssh.session.encryption import data_key

        return data_key(self.api(), session_id, self.instance_id, request, kms_key=self._kms_key, port=self._port)

    def _remember(self) -> None:
        """Record the profile and region that reached the instance; credentials of the environment have no name."""
        from ssm_ssh.locate import history
        from ssm_ssh.locate.selection import given_by

        settings = self._settings
        if not settings.explicit_profile and given_by(settings.env):
            return
        known = history.KnownInstance(self.instance_id, settings.profile_name, settings.region)
        try:
            history.remember([known])
        except StateError as error:
            self._log.info(f"not recorded: {error.sentence()}")


class _Ahead:
    """A session that is being started in a thread."""

    def __init__(self, start: Callable[[], ManagedSession]) -> None:
        self.asked = threading.Event()
        self._session: ManagedSession | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(start,), daemon=True)
        self._thread.start()

    def result(self) -> ManagedSession:
        """Return the session when it is there. Blocks. Raises what `start` has raised."""
        self._thread.join()
        if self._session is None:
            raise self._error or RuntimeError("no session")
        return self._session

    def _run(self, start: Callable[[], ManagedSession]) -> None:
        try:
            self._session = start()
        except BaseException as error:  # raised again in `result`
            self._error = error
        self.asked.set()


def channel_maker(session_types: Collection[str], *, least_agent: str = "") -> Callable[[], Channel]:
    """Return what makes the channels of one command: of one client, accepting sessions of `session_types`.

    Agents older than `least_agent` are refused.
    """
    from ssm_ssh.channel.session import Channel

    client_id = _uuid(random_bits(128))

    def make_channel() -> Channel:
        return Channel(
            client_id=client_id,
            client_version=CLIENT_VERSION,
            epoch=time.time() - time.monotonic(),
            session_types=session_types,
            encryption=True,
            least_agent=least_agent,
        )

    return make_channel


def _uuid(bits: int) -> str:
    """Return a random UUID (RFC 9562, version 4) made of 128 random bits; the uuid module costs a start 3 ms."""
    digits = f"{bits & ~(0xF << 76) & ~(0x3 << 62) | 4 << 76 | 2 << 62:032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _caller(purpose: str) -> str:
    """Return what the audit trail shows: the purpose, who asks, and from where."""
    import socket

    from ssm_ssh.locate.login_hint import local_user

    # As getpass.getuser, whose import costs a start a millisecond.
    user = next(filter(None, map(os.environ.get, ("LOGNAME", "USER", "LNAME", "USERNAME"))), "") or local_user()
    return printable(f"{purpose} by {user or 'unknown'} on {socket.gethostname()} (ssm-ssh)", _MOST_REASON)
