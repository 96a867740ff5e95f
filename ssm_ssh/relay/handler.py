"""What a session is for, as far as the loop has to know it."""

from __future__ import annotations

from ssm_ssh.startup import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ssm_ssh.channel.events import Event
    from ssm_ssh.errors import SsmSshError
    from ssm_ssh.relay.environment import PollSet
    from ssm_ssh.relay.link import Link
    from ssm_ssh.relay.states import State


class RelayControls(Protocol):
    """What a handler sees of the relay (relay/loop.py), and may ask of it."""

    link: Link
    """Its `channel` has `send` and `room` for the handler; the rest is for reading."""

    @property
    def state(self) -> State: ...  # noqa: D102
    @property
    def ended(self) -> tuple[str, float] | None:
        """The reason that the gateway gave for closing the session, perhaps "", and when."""

    def fail(self, error: SsmSshError, now: float) -> None:
        """End the session because of `error`, which the handler will be asked to explain."""

    def close(self, now: float) -> None:
        """Let the local side go and terminate the session."""

    def renew(self, at: float, data: bytes, now: float) -> None:
        """Start another session at `at` in the place of one that has ended; `data` are its first bytes."""


class Handler(Protocol):
    """The local side of a session, and every decision that depends on its purpose.

    The loop calls each method in its own thread, so none may block. `now` is in monotonic seconds. Each method tells
    what the handlers do in it:

    ssh      one SSH connection on stdin and stdout (tunnel/ssh_handler.py)
    shell    an interactive terminal in raw mode (shell/handler.py)
    exec     one command, with its streams and its exit status (command/handler.py): as shell, except as noted
    forward  connections over one session, multiplexed with smux (forward/handler.py)
    api      a socket pair whose other end belongs to a caller in this process
    """

    @property
    def begun(self) -> bool:
        """Whether the session serves its purpose. Before, the handler limits each step itself.

        ssh: the key exchange is over. shell, forward, api: the handshake is complete.
        """

    @property
    def backlog(self) -> int:
        """Bytes that wait for the local side; the loop stops reading from the gateway while they are many.

        ssh: what ssh has not read. shell: what the terminal has not taken. forward: all that smux's windows let in.
        api: what the caller has not read.
        """

    def start(self, relay: RelayControls) -> None:
        """Begin; the session is being opened already.

        ssh: have the public key pushed. shell: put the terminal into raw mode. forward: listen. api: nothing.
        """

    def watch(self, poller: PollSet) -> None:
        """Tell `poller` what to wait for on the local descriptors; called before every wait.

        ssh: stdin while the channel has room, stdout while output waits. shell: the same. forward: the listener, and
        each connection while its stream has a window. api: this end of the socket pair.
        """

    def on_ready(self, ready: Mapping[int, int], now: float) -> None:
        """Read and write the local descriptors in `ready` (descriptor to poll() mask).

        ssh: pass the client's bytes on, close when it has gone. shell: send keystrokes, know the escape (~.). forward:
        accept connections, fill their streams. api: pass bytes on, close when the caller has.
        """

    def on_output(self, data: bytes, now: float) -> None:
        """Take output of the session, in order and each byte once. Raises ProtocolError where it must not go on.

        ssh: pass it through the gate. shell: write it to the terminal. forward: feed smux, write to the connections.
        api: write it to the socket pair.
        """

    def on_event(self, event: Event, now: float) -> None:
        """Take another event of the channel: Established, StdErr, Notice, ExitCode or ConnectFailed.

        ssh: log stderr, show notices until the login. shell: write stderr, keep the exit code, send the window's size
        once established. forward: begin smux once established. api: keep the exit code for the caller.
        """

    def on_signal(self, number: int, now: float) -> None:
        """Take a signal.

        ssh: close, but outlive a Ctrl-C meant for another job. shell: follow WINCH, TSTP and CONT, close on the
        others, for Ctrl-C is a byte there. forward: close. api: never called, for it has no signal source.
        """

    def on_time(self, now: float) -> None:
        """Do what is due; called in every turn until an error was sent or the local side was let go.

        While `relay.state` is ENDED this decides how to end: fail, close or renew.

        ssh: let the held host key pass, watch the steps of the login, tell of an outage, decide whether sshd refused
        by chance. shell: tell of an outage; ended: close with the exit code. forward: time idle streams out; ended:
        fail. api: ended: close.
        """

    def timer(self, now: float) -> float | None:
        """Return when `on_time` may have something to do, None for never.

        ssh: the earliest of the clocks above. shell: the outage's. forward: smux's keep-alive. api: None.
        """

    def on_not_connected(self, error: BaseException, now: float) -> None:
        """Take the error that keeps the session from being opened or resumed for good.

        ssh: wait a moment for a second error that may explain more. shell, forward, api: fail with it.
        """

    def on_unanswered(self, verdict: str, now: float) -> None:
        """Decide about END, TELL or ASK of relay/unanswered.py.

        ssh: fail. shell, forward: tell how to leave, ask GetConnectionStatus in a task. api: fail.
        """

    def explain(self, error: SsmSshError) -> bool:
        """Tell the user or caller about the error that ends the session; returns whether to linger for a reader.

        ssh: a disconnect message inside SSH, a line on stderr after the login. shell, forward: a line on stderr.
        api: keep it, to be raised in the caller.
        """

    def detach(self, poller: PollSet) -> None:
        """Let everything local go at once: nothing is read or written any more, and no program waits for this one.

        ssh: put /dev/null in the place of all descriptors. shell: restore the terminal. forward: close the listener
        and all connections. api: close this end of the socket pair.
        """

    def finish(self, status: int) -> None:
        """Take note of the end, after the session is terminated. `status`: 0, or 1 after an error. May block.

        ssh: record how the login looked, and an error that the user has not seen. shell, forward, api: nothing.
        """
