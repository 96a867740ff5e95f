"""The way in: one session to the SSH port, up to sshd's banner. It needs no login, and is ended at once."""

from __future__ import annotations

from ssm_ssh.channel.events import ConnectFailed, Established
from ssm_ssh.channel.handshake import PORT
from ssm_ssh.doctor.finding import Finding, State
from ssm_ssh.errors import AccessDenied, AgentTooOld, DocumentMissing, NetworkError, SsmSshError, TargetNotConnected
from ssm_ssh.relay.states import ENDED
from ssm_ssh.startup import TYPE_CHECKING
from ssm_ssh.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ssm_ssh.aws.config.settings import AwsSettings
    from ssm_ssh.channel.events import Event
    from ssm_ssh.log import Log
    from ssm_ssh.relay.assembly import Parts
    from ssm_ssh.relay.environment import PollSet
    from ssm_ssh.relay.handler import RelayControls

NAME = "session"
# Seconds for the session to begin, and then for sshd to say what it is.
_BEGIN, _BANNER = 15.0, 6.0
# RFC 4253, 4.2: lines before the version, which begins with SSH-, at most 255 characters.
_MOST = 8192
_HELLO = b"SSH-2.0-ssm_ssh_doctor\r\n"


class Banner:
    """A handler (relay/handler.py) that waits for sshd's version and leaves."""

    _relay: RelayControls

    def __init__(self, instance_id: str, parts: Parts) -> None:
        self.error: SsmSshError | None = None
        self.version = ""
        """What sshd says that it is, printable."""
        self.refused = False
        """Nothing listens on the port."""
        self.agent = ""
        """The agent's version, once the session has begun."""
        self.begun = False
        self.backlog = 0
        self._instance_id = instance_id
        self._data = b""
        self._deadline = parts.now + _BEGIN

    def start(self, relay: RelayControls) -> None:
        """Keep the relay."""
        self._relay = relay

    def watch(self, poller: PollSet) -> None:
        """Watch nothing."""

    def on_ready(self, ready: Mapping[int, int], now: float) -> None:
        """Do nothing: there are no local descriptors."""

    def on_output(self, data: bytes, now: float) -> None:
        """Look for the line that begins with SSH-."""
        self._data = (self._data + data)[:_MOST]
        for line in self._data.split(b"\n")[:-1]:
            if line.startswith(b"SSH-") and not self.version:
                self.version = printable(line.rstrip(b"\r").decode("utf-8", "replace"), 120)
                self._relay.close(now)

    def on_event(self, event: Event, now: float) -> None:
        """Note the beginning, and a port that nothing listens on."""
        if isinstance(event, Established):
            self.begun, self.agent = True, event.agent_version
            self._deadline = now + _BANNER
            # Only input that stays unacknowledged shows that nothing listens on the port.
            self._relay.link.channel.send(_HELLO, now)
        elif isinstance(event, ConnectFailed):
            self.refused = True
            self._relay.close(now)

    def on_signal(self, number: int, now: float) -> None:
        """Leave."""
        self.error = SsmSshError("interrupted")
        self._relay.close(now)

    def on_time(self, now: float) -> None:
        """Leave when it takes too long, or when the session has ended."""
        if self._relay.state is ENDED:
            reason = self._relay.ended[0] if self._relay.ended is not None else ""
            self.error = self.error or SsmSshError(printable(reason, 200) or "the agent has ended the session")
            self._relay.close(now)
        elif now >= self._deadline:
            self.refused = self.begun and self._relay.link.channel.unacknowledged > 0
            waited = "sshd has sent nothing" if self.begun else "the agent has not begun the session"
            self.error = SsmSshError(f"{waited} within {_BANNER if self.begun else _BEGIN:.0f} s")
            self._relay.close(now)

    def timer(self, now: float) -> float | None:
        """Return the deadline."""
        return self._deadline

    def on_not_connected(self, error: BaseException, now: float) -> None:
        """Keep the error."""
        if not isinstance(error, SsmSshError):
            raise error
        self._relay.fail(error, now)

    def on_unanswered(self, verdict: str, now: float) -> None:
        """Do nothing: the deadline comes first."""

    def explain(self, error: SsmSshError) -> bool:
        """Keep the error."""
        self.error = self.error or error
        return False

    def detach(self, poller: PollSet) -> None:
        """Do nothing."""

    def finish(self, status: int) -> None:
        """Do nothing."""


def try_session(settings: AwsSettings, instance_id: str, port: int, document: str, log: Log) -> Finding:
    """Start one session to `port`, wait for sshd's banner, end it, and return what came of it."""
    import random
    import time

    from ssm_ssh.relay.assembly import assemble
    from ssm_ssh.session.starter import SessionStarter, channel_maker

    starter = SessionStarter(
        settings,
        instance_id,
        document,
        {"portNumber": [str(port)]},
        log,
        purpose=f"doctor: a session with {instance_id}",
    )
    handlers: list[Banner] = []

    def make(parts: Parts) -> Banner:
        handlers.append(Banner(instance_id, parts))
        return handlers[0]

    began = time.monotonic()
    relay = assemble(
        make,
        starter.start,
        channel_maker((PORT,)),
        log,
        resume_limit=0.0,
        random=random.SystemRandom().random,
        back_pressure=False,
    )
    relay.run()
    return finding(handlers[0], port, time.monotonic() - began)


def finding(banner: Banner, port: int, seconds: float) -> Finding:
    """PURE: return the finding about a session that is over, which took `seconds`."""
    error = banner.error
    if banner.version:
        text = f"sshd answers on port {port} after {seconds:.1f} s: {banner.version}. The session is ended"
        return Finding(NAME, State.OK, text)
    if banner.refused:
        text = f"the session works, but nothing listens on port {port} of the instance"
        todo = "Start sshd there; ssm-ssh shell and ssm-ssh exec need none"
        return Finding("sshd", State.PROBLEM, text, todo)
    if error is None:
        return Finding(NAME, State.NOT_CHECKED, "the session ended early", "Try again")
    if banner.begun:
        return Finding("sshd", State.PROBLEM, f"the session works, but {error.message}", "Look at sshd there")
    if isinstance(error, AccessDenied):
        return Finding("rights", State.PROBLEM, error.message, error.hint)
    if isinstance(error, TargetNotConnected):
        return Finding("agent", State.PROBLEM, error.message, error.hint)
    if isinstance(error, AgentTooOld):
        return Finding("agent version", State.PROBLEM, error.message, error.hint)
    if isinstance(error, DocumentMissing):
        return Finding("document", State.PROBLEM, error.message, error.hint)
    if isinstance(error, NetworkError):
        return Finding("connection to AWS", State.PROBLEM, error.message, error.hint)
    return Finding(NAME, State.PROBLEM, error.message, error.hint)
