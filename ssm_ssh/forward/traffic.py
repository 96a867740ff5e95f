"""The local connections of one session, and their streams: every byte passes here."""

from __future__ import annotations

from ssm_ssh.forward.local import MOST_READ
from ssm_ssh.mux.streams import Arrived, Ended
from ssm_ssh.relay.poller import READ, WRITE
from ssm_ssh.startup import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ssm_ssh.channel.session import Channel
    from ssm_ssh.forward.local import Local
    from ssm_ssh.mux.plain import PlainStream
    from ssm_ssh.mux.streams import Mux, MuxEvent
    from ssm_ssh.mux.unread import Unread
    from ssm_ssh.relay.environment import PollSet

# Seconds for a program to close a connection that the server has ended.
_LINGER = 5.0
# Seconds between two looks at whether a program that has ended its sending side is gone altogether.
_LOOK = 0.5
# Seconds for which a program may read nothing, while its session waits for it, until the user is told.
TELL_AFTER = 30.0


class Traffic:
    """Moves bytes between local sockets and the streams of `mux`."""

    def __init__(
        self,
        mux: Mux | PlainStream,
        channel: Channel,
        unread: Unread,
        tell: Callable[[str], object],
        *,
        now: float,
        hold: float,
    ) -> None:
        """`hold`: see mux/streams.py, for a notice."""
        self.mux = mux
        self.active_at = self.sent_at = now
        """When bytes last passed, and when the last went to the instance."""
        self._channel = channel
        self._unread = unread
        self._tell = tell
        self._hold = hold
        self._locals: dict[int, Local] = {}
        self._streams: dict[int, Local] = {}
        self._changed: dict[int, Local] = {}
        self._lingering: dict[int, Local] = {}
        self._poller: PollSet | None = None
        self._had_room = False
        self._rotation = 0
        self._disconnect_due = False
        self._full_since: float | None = None
        self._told_full = False

    @property
    def count(self) -> int:
        """Number of connections."""
        return len(self._streams)

    @property
    def accepts(self) -> bool:
        """Whether the session can take another connection now."""
        mux = self.mux
        return not mux.exhausted and (mux.several or (mux.count == 0 and not self._disconnect_due))

    @property
    def finishing(self) -> bool:
        """Whether a connection that the server has ended still has bytes for its program."""
        return any(local.ended for local in self._streams.values())

    def take(self, local: Local, now: float) -> None:
        """Open a stream for a local connection. Only where `accepts`."""
        local.stream = self.mux.open(now)
        self._locals[local.fd] = self._streams[local.stream] = self._changed[local.fd] = local
        self.active_at = now
        if not self.mux.several:
            self._channel.probe()  # an agent without smux connects with it, and the server may speak first
        self._send(now)

    def suspect(self) -> Local | None:
        """Return the connection whose server most likely reads nothing, where the agent takes no more bytes."""
        return self._streams.get(self.mux.busiest() or 0)

    # --- local sockets ------------------------------------------------------------------------------------------------

    def watch(self, poller: PollSet) -> None:
        """Wait for what has changed: all readers when the channel has room again, or none any more."""
        self._poller = poller
        room = self._channel.room() > 0
        if room != self._had_room:
            self._had_room = room
            self._changed.update(self._locals)
        for fd, local in self._changed.items():
            mask = WRITE if local.waiting else 0
            if local.fd in self._lingering or (local.reading and room):
                mask |= READ
            if mask:
                poller.watch(fd, mask)
            else:
                poller.forget(fd)  # poll() would report a program that has gone again and again
        self._changed.clear()

    def on_ready(self, ready: Mapping[int, int], now: float) -> None:
        """Write what waits, and read in turns while the channel has room."""
        mine = [(fd, mask) for fd, mask in ready.items() if fd in self._locals]
        if not mine:
            return
        channel = self._channel
        self._rotation += 1
        start = self._rotation % len(mine)
        for fd, mask in (*mine[start:], *mine[:start]):
            local = self._locals.get(fd)
            if local is None:
                continue
            try:
                if mask & WRITE and local.waiting:
                    local.flush()
                    self._written(local, now)
                if mask & ~WRITE and self._locals.get(fd) is local:
                    if fd in self._lingering:
                        self._drain(local)
                    elif local.reading and (room := channel.room()) > 0:
                        self._read(local, min(room, MOST_READ), now)
                        self._send(now)
            except OSError:
                self._gone(local)
        self._send(now)

    def _read(self, local: Local, most: int, now: float) -> None:
        data = local.read(most)
        if data:
            self.mux.send(local.stream, data)
            self.active_at = self.sent_at = now
        elif data is not None:
            local.reading = False
            self._changed[local.fd] = local
            if local.gone():
                self._gone(local)
            else:
                local.look_at = now + _LOOK
                self.mux.end(local.stream, now)

    def _drain(self, local: Local) -> None:
        data = local.read(MOST_READ)
        if data == b"":
            self._forget(local)
            local.close()

    def _written(self, local: Local, now: float) -> None:
        self._unread.set(local.stream, local.waiting)
        self._changed[local.fd] = local
        if local.ended and not local.waiting:
            self._finish(local, now)

    def _finish(self, local: Local, now: float) -> None:
        """End a connection whose server has ended and whose program has everything."""
        self._streams.pop(local.stream, None)
        local.finish()
        if local.reading:
            local.linger_until = now + _LINGER
            self._lingering[local.fd] = local
            self._changed[local.fd] = local
        else:
            self._forget(local)
            local.close()

    def _gone(self, local: Local) -> None:
        """Note that the program has closed its connection."""
        self.mux.close(local.stream)
        self._forget(local)
        local.reset()

    def _forget(self, local: Local) -> None:
        self._streams.pop(local.stream, None)
        self._unread.set(local.stream, 0)
        self._changed.pop(local.fd, None)
        self._lingering.pop(local.fd, None)
        if self._locals.pop(local.fd, None) is not None and self._poller is not None:
            self._poller.forget(local.fd)  # now, because the number is free as soon as the socket is closed

    def _send(self, now: float) -> None:
        mux, channel = self.mux, self._channel
        if data := mux.take():
            channel.send(data, now)
        self._disconnect_due = self._disconnect_due or mux.take_disconnect()
        if self._disconnect_due and channel.disconnect_port():
            self._disconnect_due = False

    # --- the streams --------------------------------------------------------------------------------------------------

    def on_output(self, data: bytes, now: float) -> None:
        """Write each stream's bytes to its connection. Raises ProtocolError for what is not smux."""
        self.active_at = now
        self._on_events(self.mux.receive(data, now), now)
        self._send(now)

    def _on_events(self, events: list[MuxEvent], now: float) -> None:
        for event in events:
            local = self._streams.get(event.stream)
            if local is None:
                continue
            if isinstance(event, Arrived):
                try:
                    local.write(event.data)
                except OSError:
                    self._gone(local)
                    continue
                if local.waiting:
                    self._unread.set(local.stream, local.waiting)
                    self._changed[local.fd] = local
            elif isinstance(event, Ended):
                self._ended(local, refused=event.refused, now=now)
            else:
                self._tell(
                    f"{local} has ended its sending side, and the server was silent for {self._hold:.0f} s: the SSM "
                    "Agent cannot convey a half-close, so the connection ends and a later answer is lost"
                )

    def _ended(self, local: Local, *, refused: bool, now: float) -> None:
        if refused:
            self._forget(local)
            local.reset()
            self._tell(f"the instance could not connect to {local.destination}")
            return
        local.ended = True
        if not local.waiting:
            self._finish(local, now)

    # --- time ---------------------------------------------------------------------------------------------------------

    def on_time(self, now: float) -> None:
        """End what has waited long enough."""
        self._on_events(self.mux.tick(now), now)
        self._look_at_locals(now)
        self._look_at_readers(now)
        self._send(now)

    def _look_at_locals(self, now: float) -> None:
        for local in [local for local in self._lingering.values() if now >= (local.linger_until or 0.0)]:
            self._forget(local)
            local.close()
        for local in [local for local in self._streams.values() if local.look_at is not None and now >= local.look_at]:
            local.look_at = now + _LOOK
            if local.gone():
                self._gone(local)

    def _look_at_readers(self, now: float) -> None:
        """Tell, once, of a local program that reads nothing and holds up its session."""
        if not self._unread.full:
            self._full_since, self._told_full = None, False
        elif self._full_since is None:
            self._full_since = now
        elif not self._told_full and now - self._full_since >= TELL_AFTER:
            self._told_full = True
            local = self._streams.get(self._unread.fullest() or 0)
            if local is not None:
                self._tell(f"the local program has read nothing for {now - self._full_since:.0f} s on {local}")

    def timer(self, now: float) -> float | None:
        """Return when `on_time` may have something to do."""
        times = [self.mux.timer()]
        times += [local.linger_until for local in self._lingering.values()]
        times += [local.look_at for local in self._streams.values() if local.look_at is not None]
        if self._full_since is not None and not self._told_full:
            times.append(self._full_since + TELL_AFTER)
        if self._disconnect_due:
            times.append(now + 0.05)
        return min((time for time in times if time is not None), default=None)

    def detach(self, poller: PollSet) -> None:
        """Reset all connections: what they have got may not be all."""
        for fd, local in list(self._locals.items()):
            poller.forget(fd)
            self._unread.set(local.stream, 0)
            local.close() if fd in self._lingering else local.reset()
        for table in (self._locals, self._streams, self._changed, self._lingering):
            table.clear()
