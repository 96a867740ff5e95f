"""The story of one SSH connection, in reading order: the key, the host key, the session, and the end."""

from __future__ import annotations

import os
import time

from ssm_ssh.errors import StateError, TargetNotConnected
from ssm_ssh.random_numbers import random_fraction
from ssm_ssh.session.starter import SessionStarter, channel_maker
from ssm_ssh.startup import TYPE_CHECKING
from ssm_ssh.tunnel.explanations import Explanations
from ssm_ssh.tunnel.key_access import KeyAccess

if TYPE_CHECKING:
    from ssm_ssh.aws.config.settings import AwsSettings
    from ssm_ssh.hostkeys.verify import Server
    from ssm_ssh.log import Log
    from ssm_ssh.session.managed import ManagedSession
    from ssm_ssh.settings.options import ConnectionOptions
    from ssm_ssh.ssh.hostkey import HostKey
    from ssm_ssh.tunnel.destination import SshDestination
    from ssm_ssh.tunnel.login_outcome import LoginOutcome


class Connection(Explanations):
    """What one SSH connection asks of AWS and of this computer (tunnel.service.TunnelService)."""

    def __init__(
        self, destination: SshDestination, settings: AwsSettings, options: ConnectionOptions, log: Log
    ) -> None:
        """Read nothing and call nothing yet. `settings`: the account and region to ask."""
        super().__init__(destination)
        self._options = options
        self._settings = settings
        self._log = log
        self._starter = SessionStarter(
            settings,
            destination.instance_id,
            options.document,
            destination.session_parameters,
            log,
            purpose=f"ssh {destination.user}@{destination.instance_id}",
            kms_key=options.kms_key,
            start=options.start,
        )
        self._calls = self._starter.api
        self._cancelled = False
        self._alias: str | None = None
        self._key = KeyAccess(destination, options, settings, self._calls, log)

    @property
    def asking(self) -> bool:
        """Whether `start` waits for AWS, and not for a person."""
        return self._starter.asking

    # --- as a whole ---------------------------------------------------------------------------------------------------

    def plan(self) -> list[str]:
        """Return one line for each call that `carry` would make."""
        from ssm_ssh.tunnel.plan import describe

        return describe(self._settings, self._destination, self._options, method=self._key.likely_method)

    def carry(self) -> int:
        """Carry the connection on stdin and stdout until it ends; returns the exit status."""
        from ssm_ssh.relay.signals import catching
        from ssm_ssh.relay.tasks import TaskRunner

        self._key.choose_key()
        tasks = TaskRunner()
        with catching(tasks.waker):
            self._starter.begin()
            from ssm_ssh.channel.handshake import PORT
            from ssm_ssh.relay.stdio import StandardStreams
            from ssm_ssh.tunnel.relay import ssh_relay

            relay = ssh_relay(
                self,
                StandardStreams(),
                channel_maker((PORT,)),
                self._log,
                resume_limit=self._options.resume_limit,
                random=random_fraction,
                tasks=tasks,
            )
            return relay.run()

    # --- the steps: each blocks, in a thread of its own ---------------------------------------------------------------

    def authorize(self) -> str:
        """Have the instance accept the key for a minute, once it runs. Returns a notice, "" for none."""
        while True:
            try:
                return self._authorize()
            except TargetNotConnected as error:
                self._starter.bring_up(error)

    def _authorize(self) -> str:
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
        # A probe shows nothing to a person, so it must not use up what is shown once.
        news = "" if os.environ.get(push_journal.PROBE_MARK) else outcomes.news(destination.instance_id, now)
        notices = (news, notice, hint.advice() if hint else "")
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
        return self._starter.start()

    def cancel(self) -> None:
        """Ask AWS nothing more on behalf of this connection."""
        self._cancelled = True
        self._starter.cancel()

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
        if self._alias is None:
            from ssm_ssh.tunnel.host_key_alias import host_key_alias

            self._alias = host_key_alias(os.getppid())
        origin = verify.origin(self._settings)
        return verify.server(destination.target, destination.port, destination.host, origin, self._alias)

    def _preconnect_console(self) -> None:
        """Connect to the API of the console now if the host key will have to be looked up there."""
        from ssm_ssh.hostkeys import verify

        if not self._destination.target.hybrid and not verify.is_known(self._server()):
            self._calls().preconnect("ec2")
