"""One instance: its files, its SSH server, its console, and what happens to it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path

from ssm_ssh.lab.accounts.accounts import Accounts
from ssm_ssh.lab.machines import console
from ssm_ssh.lab.machines.host_keys import KINDS, make_host_keys
from ssm_ssh.lab.machines.run_command import CommandResult, run_script, write_programs
from ssm_ssh.lab.options import InstanceOptions
from ssm_ssh.lab.process.descendants import end
from ssm_ssh.lab.sshd.embedded import EmbeddedSshd, Route
from ssm_ssh.lab.sshd.instance_connect import PushedKeys
from ssm_ssh.lab.sshd.openssh import SystemSshd, configuration


class Machine:
    """An instance `instance_id` with the private `address`, its files in `accounts`.

    `kind` is "system" or "embedded"; `route(host, port)` connects where neither the machine itself nor a mapped port
    is meant; `clock` returns seconds since the epoch.
    """

    def __init__(
        self,
        instance_id: str,
        options: InstanceOptions,
        address: str,
        accounts: Accounts,
        *,
        kind: str,
        route: Route,
        clock: Callable[[], float],
    ) -> None:
        self.instance_id = instance_id
        self.options = options
        self.address = address
        self.accounts = accounts
        self.host_name = (options.name or instance_id) if options.hybrid else "ip-" + address.replace(".", "-")
        self.pushed = PushedKeys(clock, effective=options.eic)
        self.running = False
        self.ports: dict[int, int] = {}  # port on the instance -> port of 127.0.0.1 of this machine
        self.host_keys: list[str] = []
        self._route = route
        self._console = ""
        self._expiry: asyncio.TimerHandle | None = None
        self._private = [accounts.etc_ssh / f"ssh_host_{kind}_key" for kind in KINDS]
        self.sshd: SystemSshd | EmbeddedSshd
        if kind == "system":
            self.sshd = SystemSshd(accounts)
        else:
            self.sshd = EmbeddedSshd(accounts, self._private, self.pushed, self._reach, clock)

    async def boot(self) -> None:
        """Start the instance. The first boot makes host keys, which the console shows."""
        self.accounts.build()
        if not self.host_keys:
            self._new_host_keys(shown=self.options.console)
            write_programs(self.accounts, self.configure_sshd())
        await self.sshd.start()
        self.running = True

    def configure_sshd(self, more: str = "") -> Path:
        """Write sshd's configuration with `more` at its end, and return its path."""
        path = self.accounts.etc_ssh / "sshd_config"
        self.accounts.write(path, configuration(self.accounts, self.options.ssh_port, self._private) + more)
        return path

    def set_home_mode(self, mode: int) -> None:
        """Set the mode of every user's home, which is 0700 without a fault."""
        for user in self.accounts.users:
            self.home(user).chmod(mode)

    def _new_host_keys(self, *, shown: bool) -> None:
        owner = (self.accounts.uid, self.accounts.gid)
        self.host_keys = make_host_keys(self.accounts.etc_ssh, f"root@{self.host_name}", owner)
        if shown and not self.options.hybrid:
            platform = f"{self.options.platform} {self.options.platform_version}"
            self._console = console.first_boot(self.host_name, platform, self.host_keys)

    async def power_off(self) -> None:
        """End the server, all connections and all processes. The files stay."""
        self.running = False
        await self.sshd.kill()
        await asyncio.get_running_loop().run_in_executor(None, lambda: end((), marks=f"{self.accounts.folder}/"))

    async def destroy(self) -> None:
        """Power off and remove the files."""
        if self._expiry is not None:
            self._expiry.cancel()
        await self.power_off()
        self.accounts.demolish()

    async def start_sshd(self) -> None:
        """Open the port again."""
        await self.sshd.stop()
        await self.sshd.start()

    async def swap_host_keys(self, *, shown: bool) -> None:
        """Replace the host keys; `shown`: print them on the console, as after a rebuild."""
        self._new_host_keys(shown=shown)
        if self.running:
            await self.start_sshd()

    # Connections

    async def open_port(self, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect to localhost:`port` on the instance. Raises ConnectionRefusedError where nothing listens."""
        if not self.running:
            raise ConnectionRefusedError(f"{self.instance_id} is not running")
        if port == self.options.ssh_port:
            self._expire()
            return await self.sshd.open()
        return await asyncio.open_connection("127.0.0.1", self._local(port))

    def connect(self, port: int) -> socket.socket:
        """The same as a socket, for threads."""
        if not self.running:
            raise ConnectionRefusedError(f"{self.instance_id} is not running")
        if port != self.options.ssh_port:
            return socket.create_connection(("127.0.0.1", self._local(port)), timeout=None)
        if isinstance(self.sshd, EmbeddedSshd):
            return self.sshd.connect()
        return socket.create_connection(("127.0.0.1", self.sshd.port))

    def _local(self, port: int) -> int:
        if port in self.ports:
            return self.ports[port]
        if isinstance(self.sshd, EmbeddedSshd) and port in self.sshd.listeners:
            return port
        raise ConnectionRefusedError(f"nothing listens on port {port} of {self.instance_id}")

    def is_called(self, host: str) -> bool:
        """True when `host` is a name or address of this instance for another one."""
        return host.lower() in {self.address, self.host_name.lower(), self.instance_id, self.options.name.lower()} - {
            ""
        }

    def _reach(self, host: str, port: int) -> socket.socket:
        """Connect as a user of the instance would: to the instance itself first."""
        if host.lower() in ("localhost", "127.0.0.1", "::1") or self.is_called(host):
            try:
                return self.connect(port)
            except ConnectionRefusedError:
                if port == self.options.ssh_port:
                    raise
        # A machine without /etc/hosts does not know the name.
        return self._route("127.0.0.1" if host.lower() == "localhost" else host, port)

    # EC2 Instance Connect

    def push_key(self, user: str, line: str) -> None:
        """Let `user` log in with the public key `line` for sixty seconds."""
        self.pushed.push(user, line)
        self._expire()

    def _expire(self) -> None:
        """Write the keys that are accepted now for sshd, and again when the next one expires."""
        for user in self.accounts.users:
            path, lines = self.accounts.eic / user, self.pushed.lines(user)
            if lines:
                self.accounts.write(path, "".join(f"{line}\n" for line in lines))
            else:
                path.unlink(missing_ok=True)
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None
        wait = self.pushed.next_end()
        if wait is not None:
            # A millisecond more, so that the key has expired by then.
            self._expiry = asyncio.get_running_loop().call_later(wait + 0.001, self._expire)

    def set_eic_effective(self, effective: bool) -> None:
        """Behave as with or without the ec2-instance-connect package."""
        self.pushed.effective = effective
        self._expire()

    # Run Command and the console

    async def run(self, script: str, timeout: float, directory: str = "") -> CommandResult:
        """Run `script` as the instance's root for at most `timeout` seconds, in `directory` (else in root's home)."""
        return await run_script(self.accounts, script, timeout, directory)

    @property
    def console(self) -> str:
        """The serial console's text since the first boot; empty for a managed node."""
        return self._console

    def write_console(self, text: str) -> None:
        """Add text to the console, as a user of the instance could."""
        self._console += text

    def home(self, user: str) -> Path:
        """Return the scratch home of `user`."""
        return self.accounts.home(user)
