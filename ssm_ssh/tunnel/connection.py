"""The story of one connection, in reading order: who we are, the key, the session, the gateway, and the end."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from ssm_ssh.errors import SessionEnded, SsmSshError, StateError
from ssm_ssh.text import printable
from ssm_ssh.tunnel import login_wait
from ssm_ssh.tunnel.destination import SSH_DOCUMENT, session_parameters

if TYPE_CHECKING:
    from ssm_ssh.auth.identity import UserKey
    from ssm_ssh.auth.push import Wish
    from ssm_ssh.auth.singleflight import Pushed
    from ssm_ssh.aws.api.client import Api
    from ssm_ssh.aws.config.settings import AwsSettings
    from ssm_ssh.channel.session import Channel
    from ssm_ssh.log import Log
    from ssm_ssh.session.gateway import Gateway
    from ssm_ssh.session.managed import ManagedSession
    from ssm_ssh.ssh.hostkey import HostKey
    from ssm_ssh.target import Target
    from ssm_ssh.tunnel.login_outcome import LoginOutcome

# AWS asks session clients for at least this plugin version; agents switch features on by it.
CLIENT_VERSION = "1.2.764.0"
# Seconds that a key has to be accepted for yet when ssh is let on: a login on a slow network. One that has only just
# been pushed will not be accepted for longer by being pushed again.
_LOGIN, _JUST_PUSHED = 12.0, 5.0


class Connection:
    """The way to one target: what its SSH connection calls (tunnel.service.TunnelService)."""

    def __init__(
        self,
        target: Target,
        settings: AwsSettings,
        *,
        document: str = SSH_DOCUMENT,
        wish: Wish | None = None,
        key: str = "",
        key_age: float = 86400.0,
        host_keys: str = "record",
        spelled: str = "",
        log: Log,
    ) -> None:
        """Read nothing and call nothing yet.

        `settings`: the account and region to ask; `spelled`: the host's name as ssh knows it; `wish`: how the key gets
        there; `key`: which one (see userkey); `key_age`: for how many seconds a pair of ours serves.
        """
        from ssm_ssh.auth.push import Wish

        self.asking = False
        self._target = target
        self._document = document
        self._wish = wish or Wish()
        self._key_wanted = key
        self._key_age = key_age
        self._require = host_keys == "require"
        self._spelled = spelled or target.instance_id
        self._log = log
        self._settings = settings
        self._api: Api | None = None
        self._cancelled = False
        self._key: UserKey | None = None
        self._pushed: Pushed | None = None
        self._pushed_at = 0.0
        self._lock = threading.Lock()

    # --- before anything is called ------------------------------------------------------------------------------------

    def plan(self) -> list[str]:
        """Return what would be called with what, one line a call."""
        from ssm_ssh.tunnel.plan import describe

        return describe(
            self._settings,
            self._target,
            document=self._document,
            way=self._likely_way,
            push_document=self._wish.document,
        )

    def carry(self, *, resume_limit: float) -> int:
        """Carry the connection on stdin and stdout until it ends; returns the exit status."""
        import random

        from ssm_ssh.auth import identity
        from ssm_ssh.channel.session import Channel
        from ssm_ssh.relay.stdio import StandardStreams
        from ssm_ssh.tunnel.relay import ssh_relay

        if self._wish.way != "none":
            self._key = identity.choose(self._key_wanted, max_age=self._key_age, env=self._settings.env)
        client_id = _uuid(random.SystemRandom().getrandbits(128))

        def make_channel() -> Channel:
            return Channel(client_id=client_id, client_version=CLIENT_VERSION, epoch=time.time() - time.monotonic())

        relay = ssh_relay(
            self,
            StandardStreams(),
            make_channel,
            self._log,
            resume_limit=resume_limit,
            random=random.SystemRandom().random,
        )
        return relay.run()

    # --- the key, the session, the gateway: each blocks, in a thread of its own ---------------------------------------

    def authorize(self) -> str:
        """Have the instance accept our public key for a minute. Returns a notice, "" for none."""
        from ssm_ssh.auth import push_journal
        from ssm_ssh.locate.login_hint import Usual, local_user

        self._expect_host_key()
        usual = None
        if self._pushed is None:
            refused = push_journal.looked_refused(self._target.instance_id, self._target.user, time.time())
            usual = Usual(self._target, self._calls, local_user(), refused=refused)
        notice = self._push()
        return ". ".join(filter(None, (self._news(), notice, usual.advice() if usual else "")))

    def _news(self) -> str:
        """Return what the last connection could not say at its end, "" for nothing."""
        from ssm_ssh.tunnel import outcomes

        return outcomes.news(self._target.instance_id, time.time())

    def _expect_host_key(self) -> None:
        """Have a connection to the console's API at hand where the server's host key will have to be looked up."""
        from ssm_ssh.hostkeys import verify

        server = verify.server(self._target, self._spelled, verify.origin(self._settings))
        if not self._target.hybrid and not verify.is_known(server):
            self._calls().preconnect("ec2")

    def _push(self) -> str:
        from ssm_ssh.auth import push

        if self._key is None:
            self._log.info("no key pushed, as asked")
            return ""
        self._pushed = pushed = push.authorize(self._calls, self._target, self._key, self._wish, self._log)
        if pushed is None:
            return ""
        self._pushed_at = time.monotonic()
        self._log.debug(f"the key is in place ({pushed.way})")
        return pushed.notice

    def still_authorized(self) -> bool:
        """Whether the key that was pushed is accepted for long enough to log in."""
        if self._pushed is None or time.monotonic() < self._pushed_at + _JUST_PUSHED:
            return True
        return self._pushed.until - time.time() > _LOGIN

    def explain_key_wait(self) -> str:
        """Say what is being waited for while the key is put in place."""
        return f"waiting until {self._target.instance_id} has taken the key"

    def check_host_key(self, key: HostKey, *, judged_by_ssh: bool) -> str:
        """Compare the server's host key with what is known of it, asking AWS where that is needed.

        Returns a notice, "" for none. Raises HostKeyRefused.
        """
        from ssm_ssh.hostkeys import verify
        from ssm_ssh.hostkeys.sources import aws_sources

        server = verify.server(self._target, self._spelled, verify.origin(self._settings))
        sources = aws_sources(
            self._calls,
            self._target.instance_id,
            # Who says how the key is to get there, and not by command, wants no commands there.
            commands=self._wish.way in ("auto", "send-command"),
            document=self._wish.document,
            still_wanted=lambda: not self._cancelled,
        )
        try:
            return verify.check(server, key, sources, require=self._require, judged_by_ssh=judged_by_ssh, log=self._log)
        finally:
            self._calls().cancel_preconnection("ec2")  # another connection may have asked meanwhile

    def start(self) -> ManagedSession:
        """Start a session; the TLS connection to its gateway is made meanwhile."""
        from ssm_ssh.session import managed

        gateway = self._gateway()
        api = self._calls()
        api.credentials.get()  # a person may be asked for them, and has all the time there is
        self.asking = True
        try:
            session = managed.start(
                api,
                gateway,
                self._target.instance_id,
                self._document,
                session_parameters(self._target.port),
                reason=_reason(self._target),
                log=self._log,
                on_connected=self._remember,
            )
        finally:
            self.asking = False
        self._log.info(f"session {session.id} started as {self._target.user}")
        return session

    def ended(self, login: LoginOutcome) -> None:
        """Have somebody find out whether EC2 Instance Connect works there, where this login looks as if it did not."""
        import os

        from ssm_ssh.auth import eic_probe
        from ssm_ssh.locate.login_hint import got_in

        if not login.looks_refused and not login.interrupted:
            got_in(self._target)
        pushed = self._pushed
        if pushed is not None and pushed.way == "eic" and login.accepted:
            self._note_effective()
        by_eic = self._wish.way == "auto" and pushed is not None and pushed.way == "eic"
        if not by_eic or not login.looks_refused or os.environ.get(eic_probe.MARK):
            return
        self._log.info("that looks like a refused login: finding out whether EC2 Instance Connect works there")
        try:
            eic_probe.start(self._target, self._spelled, self._settings, self._document)
        except OSError as error:
            self._log.info(f"not found out: {error}")

    def cancel(self) -> None:
        """Ask AWS nothing more on behalf of this connection."""
        self._cancelled = True

    # --- what an end means --------------------------------------------------------------------------------------------

    def refused_by_sshd(self, reason: str) -> bool:
        """Whether sshd hung up on us (MaxStartups, PerSourcePenalties), unlike a port where nobody listens."""
        return "unable to connect" not in reason.lower()

    def explain_end(self, reason: str) -> SsmSshError:
        """Say why the session ended before sshd said a word; `reason` is the agent's or sshd's own."""
        where = f"port {self._target.port} of {self._target.instance_id}"
        if "unable to connect" in reason.lower():
            return self.explain_silence()
        if reason:
            return SessionEnded(f"{where} ended the connection before SSH began: {reason}")
        return SessionEnded(
            f"sshd on {where} closed every connection before it said a word",
            "It may be overloaded (MaxStartups) or refuse localhost (PerSourcePenalties, hosts.deny)",
        )

    def explain_step(self, awaited: str) -> str:
        """Say that a step before the login is awaited."""
        return login_wait.awaited_sentence(awaited, self._target.instance_id, self._target.port)

    def explain_overdue(self, awaited: str, last: SsmSshError | None) -> SsmSshError:
        """Say that a step before the login was not taken in time."""
        return login_wait.overdue(awaited, self._target.instance_id, self._target.port, last)

    def explain_no_session(self, reason: str) -> SsmSshError:
        """Say that the agent ended the session before its handshake was complete."""
        return SessionEnded(
            f"the SSM Agent on {self._target.instance_id} ended the session before it began: "
            f"{printable(reason.replace('-' * 10, '').replace('ERROR-------', ''), 200) or 'no reason given'}",
            "Restart it there (systemctl restart amazon-ssm-agent), or look at its log",
        )

    def explain_unanswered(self, seconds: float, *, unfinished: bool) -> SsmSshError:
        """Say why a session ends whose other end has acknowledged nothing for so long."""
        instance_id = self._target.instance_id
        if unfinished:
            return SessionEnded(
                f"the gateway began a message from {instance_id} and has not finished it for {seconds:.0f} s",
                "Connect again; if it happens again, something on the way to AWS holds messages back",
            )
        return SessionEnded(
            f"the SSM Agent on {instance_id} has taken nothing for {seconds:.0f} s, though AWS answers",
            "It or the instance was stopped or restarted. Connect again",
        )

    def explain_outside(self) -> SsmSshError:
        """Say that the session was ended, and not by us, for a reason that was not given."""
        return SessionEnded(
            f"the session with {self._target.instance_id} was ended from outside, and no reason was given",
            "An administrator (TerminateSession) or a process there may have ended it. Connect again",
        )

    def record_outage(self, lost: bool) -> None:
        """Note that the connection is lost and being looked for, or is so no more."""
        from ssm_ssh.tunnel import outcomes

        try:
            outcomes.lost(self._target.instance_id, time.time()) if lost else outcomes.back(time.time())
        except StateError as error:
            self._log.info(f"not noted: {error.sentence()}")

    def record_end(self, sentence: str, *, told: bool) -> None:
        """Note how the connection ended, and whether the user was told."""
        from ssm_ssh.tunnel import outcomes

        try:
            outcomes.ended(self._target.instance_id, sentence, time.time(), told=told)
        except StateError as error:
            self._log.info(f"not noted: {error.sentence()}")

    def explain_silence(self) -> SsmSshError:
        """Say why the agent is there and the server is not."""
        return SessionEnded(
            f"nothing listens on port {self._target.port} of {self._target.instance_id}",
            "Start sshd there, or name its port: ssh -p PORT",
        )

    # --- how ----------------------------------------------------------------------------------------------------------

    @property
    def _likely_way(self) -> str:
        if self._wish.way == "auto":
            from ssm_ssh.auth import push_journal

            vain = push_journal.ineffective(self._target.instance_id, time.time()) is not None
            return "send-command" if self._target.hybrid or vain else "eic"
        return self._wish.way

    def _note_effective(self) -> None:
        """Forget that EC2 Instance Connect did not let in there, if that was so."""
        from ssm_ssh.auth import push_journal

        try:
            if push_journal.ineffective(self._target.instance_id, time.time()) is not None:
                push_journal.learn(self._target.instance_id, time.time(), effective=True)
        except StateError as error:
            self._log.info(f"not noted: {error.sentence()}")

    def _remember(self) -> None:
        """Note by which profile, in which region the instance was reached; what the environment brings has no name."""
        from ssm_ssh.locate import history
        from ssm_ssh.locate.selection import given_by

        settings = self._settings
        if settings.explicit_profile or not given_by(settings.env):
            known = history.Learned(self._target.instance_id, settings.profile_name, settings.region)
            try:
                history.remember([known])
            except StateError as error:
                self._log.info(f"not remembered: {error.sentence()}")

    def _calls(self) -> Api:
        with self._lock:
            if self._api is None:
                from ssm_ssh.aws.api.client import Api
                from ssm_ssh.aws.credentials.source import CredentialSource

                credentials = CredentialSource(self._settings, isolate=True)
                self._api = Api(self._settings, credentials=credentials, debug=self._log.debug)
        return self._api

    def _gateway(self) -> Gateway:
        from ssm_ssh.session.gateway import Gateway

        return Gateway(self._settings, self._calls(), self._log)


def _uuid(bits: int) -> str:
    """Return a random UUID (RFC 9562, version 4) made of 128 random bits; the uuid module costs a start 3 ms."""
    digits = f"{bits & ~(0xF << 76) & ~(0x3 << 62) | 4 << 76 | 2 << 62:032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _reason(target: Target) -> str:
    """Return what the audit trail will show: who asks, from where, for which user there."""
    import getpass
    import socket

    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        user = "unknown"
    return printable(f"ssh {target.user}@{target.instance_id} by {user} on {socket.gethostname()} (ssm-ssh)", 256)
