"""The story of one SSH connection, in reading order: the key, the host key, the session, and the end."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from ssm_ssh.errors import StateError
from ssm_ssh.text import printable
from ssm_ssh.tunnel.explanations import Explanations
from ssm_ssh.tunnel.key_access import KeyAccess

if TYPE_CHECKING:
    from ssm_ssh.aws.api.client import Api
    from ssm_ssh.aws.config.settings import AwsSettings
    from ssm_ssh.channel.session import Channel
    from ssm_ssh.hostkeys.verify import Server
    from ssm_ssh.log import Log
    from ssm_ssh.session.managed import ManagedSession
    from ssm_ssh.settings.options import ConnectionOptions
    from ssm_ssh.ssh.hostkey import HostKey
    from ssm_ssh.tunnel.destination import SshDestination
    from ssm_ssh.tunnel.login_outcome import LoginOutcome

# AWS asks session clients for at least this plugin version; agents switch features on by it.
CLIENT_VERSION = "1.2.764.0"


class Connection(Explanations):
    """What one SSH connection asks of AWS and of this computer (tunnel.service.TunnelService)."""

    def __init__(
        self, destination: SshDestination, settings: AwsSettings, options: ConnectionOptions, log: Log
    ) -> None:
        """Read nothing and call nothing yet. `settings`: the account and region to ask."""
        super().__init__(destination)
        self.asking = False
        self._options = options
        self._settings = settings
        self._log = log
        self._api: Api | None = None
        self._lock = threading.Lock()
        self._cancelled = False
        self._key = KeyAccess(destination, options, settings, self._calls, log)

    # --- as a whole ---------------------------------------------------------------------------------------------------

    def plan(self) -> list[str]:
        """Return one line for each call that `carry` would make."""
        from ssm_ssh.tunnel.plan import describe

        return describe(self._settings, self._destination, self._options, method=self._key.likely_method)

    def carry(self) -> int:
        """Carry the connection on stdin and stdout until it ends; returns the exit status."""
        import random

        from ssm_ssh.channel.session import Channel
        from ssm_ssh.relay.stdio import StandardStreams
        from ssm_ssh.tunnel.relay import ssh_relay

        self._key.choose_key()
        client_id = _uuid(random.SystemRandom().getrandbits(128))

        def make_channel() -> Channel:
            return Channel(client_id=client_id, client_version=CLIENT_VERSION, epoch=time.time() - time.monotonic())

        relay = ssh_relay(
            self,
            StandardStreams(),
            make_channel,
            self._log,
            resume_limit=self._options.resume_limit,
            random=random.SystemRandom().random,
        )
        return relay.run()

    # --- the steps: each blocks, in a thread of its own ---------------------------------------------------------------

    def authorize(self) -> str:
        """Have the instance accept the key for a minute. Returns a notice, "" for none."""
        from ssm_ssh.auth import push_journal
        from ssm_ssh.locate.login_hint import LoginHint, local_user
        from ssm_ssh.tunnel import outcomes

        destination, now = self._destination, time.time()
        self._preconnect_console()
        hint = None
        if not self._key.pushed:
            refused = push_journal.looked_refused(destination.instance_id, destination.user, now)
            hint = LoginHint(destination.target, destination.user, self._calls, local_user(), refused=refused)
        notice = self._key.push()
        notices = (outcomes.news(destination.instance_id, now), notice, hint.advice() if hint else "")
        return ". ".join(filter(None, notices))

    def still_authorized(self) -> bool:
        """Whether the pushed key is accepted for long enough to log in."""
        return self._key.still_accepted()

    def check_host_key(self, key: HostKey, *, judged_by_ssh: bool) -> str:
        """Compare the server's host key with what is known of it, and ask AWS if necessary.

        Returns a notice, "" for none. Raises HostKeyRefused.
        """
        from ssm_ssh.hostkeys import verify
        from ssm_ssh.hostkeys.sources import aws_sources

        sources = aws_sources(
            self._calls,
            self._destination.instance_id,
            # A user who chose a push without commands wants no commands there.
            commands=self._key.by_command,
            document=self._options.push_document,
            still_wanted=lambda: not self._cancelled,
        )
        try:
            return verify.check(
                self._server(),
                key,
                sources,
                require=self._options.require_host_keys,
                judged_by_ssh=judged_by_ssh,
                log=self._log,
            )
        finally:
            self._calls().cancel_preconnection("ec2")  # another connection may have asked meanwhile

    def start(self) -> ManagedSession:
        """Start a session while the TLS connection to its gateway is being made."""
        from ssm_ssh.session import managed
        from ssm_ssh.session.gateway import Gateway

        destination, api = self._destination, self._calls()
        gateway = Gateway(self._settings, api, self._log)
        api.credentials.get()  # before the time limit of the call, because it may wait for a person
        self.asking = True
        try:
            session = managed.start(
                api,
                gateway,
                destination.instance_id,
                self._options.document,
                destination.session_parameters,
                reason=_reason(destination),
                log=self._log,
                on_connected=self._remember,
            )
        finally:
            self.asking = False
        self._log.info(f"session {session.id} started as {destination.user}")
        return session

    def cancel(self) -> None:
        """Ask AWS nothing more on behalf of this connection."""
        self._cancelled = True

    # --- the end ------------------------------------------------------------------------------------------------------

    def ended(self, login: LoginOutcome) -> None:
        """Learn from how the login went, after everything of ssh's has been let go."""
        self._key.login_ended(login)

    def record_outage(self, lost: bool) -> None:
        """Record that the connection is lost and being resumed, or that it is back."""
        from ssm_ssh.tunnel import outcomes

        try:
            outcomes.lost(self._destination.instance_id, time.time()) if lost else outcomes.back(time.time())
        except StateError as error:
            self._log.info(f"not recorded: {error.sentence()}")

    def record_end(self, sentence: str, *, told: bool) -> None:
        """Record how the connection ended, and whether the user was told."""
        from ssm_ssh.tunnel import outcomes

        try:
            outcomes.ended(self._destination.instance_id, sentence, time.time(), told=told)
        except StateError as error:
            self._log.info(f"not recorded: {error.sentence()}")

    # --- how ----------------------------------------------------------------------------------------------------------

    def _server(self) -> Server:
        from ssm_ssh.hostkeys import verify

        destination = self._destination
        return verify.server(destination.target, destination.port, destination.host, verify.origin(self._settings))

    def _preconnect_console(self) -> None:
        """Connect to the API of the console now if the host key will have to be looked up there."""
        from ssm_ssh.hostkeys import verify

        if not self._destination.target.hybrid and not verify.is_known(self._server()):
            self._calls().preconnect("ec2")

    def _remember(self) -> None:
        """Record the profile and region that reached the instance; credentials of the environment have no name."""
        from ssm_ssh.locate import history
        from ssm_ssh.locate.selection import given_by

        settings = self._settings
        if not settings.explicit_profile and given_by(settings.env):
            return
        known = history.KnownInstance(self._destination.instance_id, settings.profile_name, settings.region)
        try:
            history.remember([known])
        except StateError as error:
            self._log.info(f"not recorded: {error.sentence()}")

    def _calls(self) -> Api:
        with self._lock:
            if self._api is None:
                from ssm_ssh.aws.api.client import Api
                from ssm_ssh.aws.credentials.source import CredentialSource

                credentials = CredentialSource(self._settings, isolate=True)
                self._api = Api(self._settings, credentials=credentials, debug=self._log.debug)
        return self._api


def _uuid(bits: int) -> str:
    """Return a random UUID (RFC 9562, version 4) made of 128 random bits; the uuid module costs a start 3 ms."""
    digits = f"{bits & ~(0xF << 76) & ~(0x3 << 62) | 4 << 76 | 2 << 62:032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _reason(destination: SshDestination) -> str:
    """Return what the audit trail shows: who asks, from where, for which user there."""
    import getpass
    import socket

    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        user = "unknown"
    login = f"{destination.user}@{destination.instance_id}"
    return printable(f"ssh {login} by {user} on {socket.gethostname()} (ssm-ssh)", 256)
