"""What the loop takes from outside: clock, tasks, poll(), and the session that it carries.

The loop reaches the world through these alone, so that its tests run in virtual time. Nothing here is imported by a
connection that runs: protocols are for readers and for mypy.
"""

from __future__ import annotations

from ssm_ssh.startup import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ssm_ssh.channel.encryption import DataKey
    from ssm_ssh.channel.events import KeyRequest
    from ssm_ssh.channel.session import Channel

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Clock(Protocol):
    """Two clocks in seconds: `monotonic` never jumps, `wall` counts from the epoch."""

    def monotonic(self) -> float: ...  # noqa: D102
    def wall(self) -> float: ...  # noqa: D102


class RunningTask(Protocol[T_co]):
    """A call that runs elsewhere. `error` and `result` count once it is `done`."""

    @property
    def done(self) -> bool: ...  # noqa: D102
    @property
    def error(self) -> BaseException | None: ...  # noqa: D102
    @property
    def result(self) -> T_co: ...  # noqa: D102


class Tasks(Protocol):
    """Runs blocking calls elsewhere. `fd` becomes readable when a task is done or a signal has come."""

    @property
    def fd(self) -> int: ...  # noqa: D102

    def start(self, call: Callable[[], T]) -> RunningTask[T]:
        """Run `call`."""

    def drain(self) -> bytes:
        """Return and forget what made `fd` readable: signal numbers, or zeros."""


class PollSet(Protocol):
    """poll(), as relay/poller.py has it."""

    def watch(self, fd: int, mask: int) -> None: ...  # noqa: D102
    def forget(self, fd: int) -> None: ...  # noqa: D102
    def wait(self, seconds: float) -> dict[int, int]: ...  # noqa: D102


class Socket(Protocol):
    """An open WebSocket, as transport/websocket.py has it."""

    @property
    def backlog(self) -> int: ...  # noqa: D102
    @property
    def incomplete(self) -> bool: ...  # noqa: D102
    @property
    def wants_write(self) -> bool: ...  # noqa: D102

    def fileno(self) -> int: ...  # noqa: D102
    def has_pending(self) -> bool: ...  # noqa: D102
    def receive(self) -> list[bytes]: ...  # noqa: D102
    def send(self, messages: Iterable[bytes]) -> None: ...  # noqa: D102
    def ping(self, payload: bytes) -> None: ...  # noqa: D102
    def flush(self) -> None: ...  # noqa: D102
    def close(self) -> None: ...  # noqa: D102


class Session(Protocol):
    """A session that AWS has started. Every method blocks and runs in a task."""

    @property
    def id(self) -> str: ...  # noqa: D102

    def connect(self, channel: Channel) -> Socket:
        """Open the data channel and send the opening message. Raises SsmSshError."""

    def resume(self, channel: Channel) -> Socket:
        """Open it again, with a new token. Raises SsmSshError."""

    def guard(self) -> None:
        """Have the session ended also if this process is killed. Raises nothing."""

    def data_key(self, request: KeyRequest) -> DataKey:
        """Return the data key that the agent asks for. Raises SsmSshError."""

    def terminate(self, patience: float) -> None:
        """End the session at AWS, within `patience` seconds or not at all. Raises SsmSshError."""

    def forget(self) -> None:
        """Note that the session has ended without `terminate`. Does not block, and raises nothing."""


class LocalStreams(Protocol):
    """What ssh gave a ProxyCommand, as relay/stdio.py has it."""

    stdin: int
    stdout: int
    ended: bool
    """ssh has closed its end of stdin."""
    broken: bool
    """ssh reads stdout no more."""
    parent_fd: int
    """A descriptor that becomes readable when the parent ends; -1 without `watch_parent`, and where there is none."""

    @property
    def backlog(self) -> int: ...  # noqa: D102

    def read(self, room: int) -> bytes: ...  # noqa: D102
    def write(self, data: bytes) -> None: ...  # noqa: D102
    def flush(self) -> None: ...  # noqa: D102
    def detach(self) -> None: ...  # noqa: D102
    def tell(self, line: bytes) -> bool: ...  # noqa: D102
    def in_foreground(self) -> bool: ...  # noqa: D102
    def client_is_parent(self) -> bool: ...  # noqa: D102
    def watch_parent(self) -> None: ...  # noqa: D102
    def forget_parent(self) -> None: ...  # noqa: D102
    def release_stderr(self) -> None: ...  # noqa: D102
