"""What `bring_up` does outside: calls of EC2 and Systems Manager, the terminal, the record of starts, and pauses."""

from __future__ import annotations

import time

from ssm_ssh.errors import SsmSshError
from ssm_ssh.session import starting
from ssm_ssh.session.progress_line import ProgressLine
from ssm_ssh.startup import TYPE_CHECKING

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from ssm_ssh.aws.api.client import Api
    from ssm_ssh.aws.services.instance_power import PowerState
    from ssm_ssh.log import Log


class InstanceWorld:
    """The world of one instance (bring_up.World)."""

    def __init__(
        self, api: Api, instance_id: str, connected: Callable[[], bool | None], cancelled: threading.Event, log: Log
    ) -> None:
        """`connected` asks whether the agent is; `cancelled` is set when no session is wanted any more."""
        self.where = api.settings.where
        self._api = api
        self._instance_id = instance_id
        self._cancelled = cancelled
        self._log = log
        self._line = ProgressLine()
        self._shown = ""
        self.connected = connected

    def power(self) -> PowerState | None:
        """Return EC2's state of the instance. Raises what Api.call raises."""
        from ssm_ssh.aws.services.instance_power import power_state

        state = power_state(self._api, self._instance_id)
        self._log.debug(f"EC2's state of {self._instance_id}: {state.state if state else 'not known'}")
        return state

    def start(self) -> None:
        """Have EC2 start it, if a session is still wanted. Raises what Api.call raises."""
        from ssm_ssh.aws.services.instance_power import start_instance

        self.pause(0.0)
        start_instance(self._api, self._instance_id)
        self._log.info(f"{self._instance_id} is stopped, and was started")

    def agrees(self, question: str) -> bool | None:
        """Ask the person at the terminal, if there is one."""
        from ssm_ssh.session import consent

        self._line.end()
        return consent.ask(self._instance_id, question, lambda: self.started_since() is None)

    def started_since(self) -> float | None:
        """Return the time of an earlier start."""
        return starting.since(self._instance_id, time.time())

    def note_start(self) -> None:
        """Record a start for other connections."""
        starting.note(self._instance_id, time.time())

    def forget_start(self) -> None:
        """Record that it is over."""
        starting.forget(self._instance_id)

    def show(self, text: str, seconds: int) -> None:
        """Show what is awaited; the log has each step once."""
        if text != self._shown:
            self._shown = text
            self._log.info(text)
        if not self._cancelled.is_set():
            self._line.show(text, seconds)

    def tell(self, text: str) -> None:
        """Show a line that stays."""
        self._log.info(text)
        if not self._cancelled.is_set():
            self._line.tell(text)

    def end_line(self) -> None:
        """Remove the line that was updated."""
        if not self._cancelled.is_set():
            self._line.end()

    def leave(self) -> None:
        """The user has gone: leave the line that was updated."""
        self._line.leave()

    def pause(self, seconds: float) -> None:
        """Wait. Raises SsmSshError where the user has gone."""
        if self._cancelled.wait(seconds):
            raise SsmSshError(f"{self._instance_id} is not waited for any more")

    def now(self) -> float:
        """Return the time that never jumps."""
        return time.monotonic()

    def clock(self, at: float) -> str:
        """Return a time of day."""
        return time.strftime("%H:%M", time.localtime(at))

    def hint(self) -> str:
        """Return how to start the instance."""
        from ssm_ssh.aws.config.cli_hint import start_instance

        settings = self._api.settings
        profile = "" if settings.keys_of_environment else settings.profile or ""
        return f"Start it: {start_instance(self._instance_id, settings.region, profile)}, or set SSM_SSH_START=always"
