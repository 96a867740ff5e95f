"""The public key on the instance: which key, how it gets there, for how long, and what the login showed of it."""

from __future__ import annotations

import os
import time

from ssm_ssh.errors import StateError
from ssm_ssh.startup import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from ssm_ssh.auth.identity import UserKey
    from ssm_ssh.auth.singleflight import Pushed
    from ssm_ssh.aws.api.client import Api
    from ssm_ssh.aws.config.settings import AwsSettings
    from ssm_ssh.log import Log
    from ssm_ssh.settings.options import ConnectionOptions
    from ssm_ssh.tunnel.destination import SshDestination
    from ssm_ssh.tunnel.login_outcome import LoginOutcome

# Seconds for which the key must still be accepted when ssh may go on: a login on a slow network.
_LOGIN = 12.0
# Seconds within which a second push would not be accepted for longer than the first.
_JUST_PUSHED = 5.0


class KeyAccess:
    """The key of one connection. `push` blocks; nothing else does."""

    def __init__(
        self,
        destination: SshDestination,
        options: ConnectionOptions,
        settings: AwsSettings,
        api: Callable[[], Api],
        log: Log,
    ) -> None:
        self._destination = destination
        self._options = options
        self._settings = settings
        self._api = api
        self._log = log
        self._key: UserKey | None = None
        self._pushed: Pushed | None = None
        self._pushed_at = 0.0

    @property
    def pushed(self) -> bool:
        """Whether the instance has accepted the key."""
        return self._pushed is not None

    @property
    def by_command(self) -> bool:
        """Whether the push may run a command on the instance, so that other commands may run there too."""
        return self._options.push in ("auto", "send-command")

    @property
    def likely_method(self) -> str:
        """The method that `auto` comes to with what is known now: eic or send-command."""
        if self._options.push != "auto":
            return self._options.push
        from ssm_ssh.auth import push_journal

        ineffective = push_journal.ineffective(self._destination.instance_id, time.time()) is not None
        return "send-command" if self._destination.target.hybrid or ineffective else "eic"

    def choose_key(self) -> None:
        """Choose the key, and make a pair where there is none. Raises UsageError, StateError."""
        from ssm_ssh.auth import identity

        options = self._options
        if options.push != "none":
            self._key = identity.choose(
                options.key, key_type=options.key_type, max_age=options.key_age, env=self._settings.env
            )

    def push(self) -> str:
        """Have the instance accept the key for a minute. Returns a notice, "" for none."""
        from ssm_ssh.auth import push
        from ssm_ssh.storage import notices

        if self._key is None:
            self._log.info("no key pushed, as asked")
            return ""
        options = self._options
        policy = push.PushPolicy(
            options.push,
            document=options.push_document,
            after_denied=options.push_after_denied,
            lifetime=options.push_lifetime,
        )
        destination = self._destination
        self._pushed = pushed = push.authorize(
            self._api, destination.target, destination.user, self._key, policy, log=self._log
        )
        if pushed is None:
            return ""
        self._pushed_at = time.monotonic()
        self._log.debug(f"the key is in place ({pushed.method})")
        if notices.is_due(f"push {destination.instance_id}", pushed.lasting, time.time()):
            return pushed.notice
        return pushed.notice.removeprefix(pushed.lasting).lstrip(". ")

    def still_accepted(self) -> bool:
        """Whether the pushed key is accepted for long enough to log in."""
        if self._pushed is None or time.monotonic() < self._pushed_at + _JUST_PUSHED:
            return True
        return self._pushed.until - time.time() > _LOGIN

    def login_ended(self, login: LoginOutcome) -> None:
        """Learn from how the login went. A refusal after EC2 Instance Connect starts a probe of it."""
        from ssm_ssh.auth import eic_probe
        from ssm_ssh.locate.login_hint import record_login

        destination = self._destination
        if not login.looks_refused and not login.interrupted:
            record_login(destination.target, destination.user)
        by_eic = self._pushed is not None and self._pushed.method == "eic"
        if by_eic and login.accepted:
            self._record_effective()
        if self._options.push != "auto" or not by_eic or not login.looks_refused or os.environ.get(eic_probe.MARK):
            return
        self._log.info("the login looks refused: probing whether EC2 Instance Connect works there")
        try:
            eic_probe.start(
                destination.target,
                destination.user,
                host=destination.host,
                port=destination.port,
                settings=self._settings,
                document=self._options.document,
                key_type=self._options.key_type,
            )
        except OSError as error:
            self._log.info(f"not probed: {error}")

    def _record_effective(self) -> None:
        """Forget that EC2 Instance Connect was ineffective there, if it was."""
        from ssm_ssh.auth import push_journal

        instance_id = self._destination.instance_id
        try:
            if push_journal.ineffective(instance_id, time.time()) is not None:
                push_journal.learn(instance_id, time.time(), effective=True)
        except StateError as error:
            self._log.info(f"not recorded: {error.sentence()}")
