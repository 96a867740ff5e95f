"""All instances of a lab, by id: starting and stopping them, connecting to them, and what services do to them."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Iterable
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from ssm_ssh.lab.accounts.accounts import Accounts, find_nss_wrapper, machines_folder, remove_machines_folder
from ssm_ssh.lab.machines import console
from ssm_ssh.lab.machines.host_keys import make_host_keys
from ssm_ssh.lab.machines.machine import Machine
from ssm_ssh.lab.options import InstanceOptions
from ssm_ssh.lab.sshd.openssh import find_sshd
from ssm_ssh.lab.wire.rpc import CallFailed

# Seconds that `ssh -L` waits for a host that does not answer.
_CONNECT_SECONDS = 5.0


def choose_kind(wanted: str, nss_wrapper: str) -> str:
    """Return "system" or "embedded" for "auto", "system" or "embedded" ("" is "auto").

    Raises CallFailed where the system's sshd is wanted and cannot be had.
    """
    possible = bool(find_sshd() and nss_wrapper)
    if wanted == "system" and not possible:
        raise CallFailed("SshdMissing", "--sshd system needs OpenSSH's sshd and libnss-wrapper")
    return "embedded" if wanted == "embedded" or not possible else "system"


class Instances:
    """The machines of a lab, by instance id.

    `folder` is a private folder of the lab's; `members` are (instance id, options, private address). Lives in one
    asyncio loop. `clock` returns seconds since the epoch.
    """

    def __init__(
        self,
        folder: Path,
        members: Iterable[tuple[str, InstanceOptions, str]],
        *,
        sshd: str = "auto",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._lab_folder = folder
        self.folder = machines_folder(folder)
        nss_wrapper = find_nss_wrapper()
        self.machines: dict[str, Machine] = {}
        for number, (instance_id, options, address) in enumerate(members):
            self.machines[instance_id] = Machine(
                instance_id,
                options,
                address,
                Accounts(self.folder / instance_id, options.users, number, nss_wrapper),
                kind=choose_kind(options.sshd or sshd, nss_wrapper),
                route=self._route,
                clock=clock,
            )

    async def start(self) -> None:
        """Boot every instance whose state is running. Raises OSError when one cannot."""
        machines = [machine for machine in self.machines.values() if machine.options.state == "running"]
        await asyncio.gather(*(machine.boot() for machine in machines))

    async def stop(self) -> None:
        """End everything and remove every file."""
        await asyncio.gather(*(machine.destroy() for machine in self.machines.values()), return_exceptions=True)
        remove_machines_folder(self._lab_folder)

    def machine(self, instance_id: str) -> Machine:
        """Return an instance. Raises CallFailed when there is none of that id."""
        try:
            return self.machines[instance_id]
        except KeyError:
            raise CallFailed("InvalidInstanceId", f"{instance_id} is not an instance of this lab") from None

    async def open_port(self, instance_id: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect to localhost:`port` on an instance, as its agent does. Raises ConnectionRefusedError."""
        return await self.machine(instance_id).open_port(port)

    async def resolve(self, instance_id: str, host: str) -> list[str]:
        """Return the addresses of `host` as an instance sees them: other instances by their names. Raises OSError."""
        for machine in self.machines.values():
            if machine.is_called(host):
                return [machine.address]
        loop = asyncio.get_running_loop()
        answers = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        return list(dict.fromkeys(str(answer[4][0]) for answer in answers))

    async def open_address(
        self, instance_id: str, address: str, port: int
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect from an instance to a port of an address: its own, another instance's or any. Raises OSError."""
        for machine in self.machines.values():
            if machine.is_called(address):
                return await machine.open_port(port)
        own = self.machine(instance_id)
        if ip_address(address.partition("%")[0]).is_loopback and port in (own.options.ssh_port, *own.ports):
            return await own.open_port(port)
        return await asyncio.open_connection(address, port)

    def _route(self, host: str, port: int) -> socket.socket:
        """Connect from an instance: to another one by its names or private address, else as this machine would."""
        for machine in self.machines.values():
            if machine.is_called(host):
                return machine.connect(port)
        sock = socket.create_connection((host, port), _CONNECT_SECONDS)
        sock.settimeout(None)
        return sock

    def ready(self) -> dict[str, Any]:
        """Return what the rest of the lab must know of each instance."""
        return {
            instance_id: {
                "host_keys": machine.host_keys,
                "users": list(machine.accounts.users),
                "ssh_port": machine.options.ssh_port,
                "sshd": machine.sshd.kind,
                "homes": {user: str(machine.home(user)) for user in (*machine.accounts.users, "root")},
            }
            for instance_id, machine in self.machines.items()
        }

    # Calls of the services

    def push_eic_key(self, instance_id: str, user: str, public_key: str) -> None:
        """Let `user` log in with `public_key` for sixty seconds; a user who does not exist is no error, as in AWS."""
        self._running(instance_id).push_key(user, public_key)

    async def run_command(
        self, instance_id: str, script: str, timeout: float = 3600.0, directory: str = ""
    ) -> dict[str, Any]:
        """Run a shell script as root for at most `timeout` seconds, in `directory` (else in root's home).

        Returns the outcome in AWS's terms. Raises CallFailed where the instance does not run.
        """
        machine = self._running(instance_id)
        start = time.time()
        result = await machine.run(script, timeout, directory)
        return {
            "status": result.status,
            "status_details": {"TimedOut": "Execution Timed Out"}.get(result.status, result.status),
            "response_code": result.exit_code,
            "stdout": result.stdout,
            "stderr": result.stderr,
            "start": start,
            "end": time.time(),
        }

    def console_output(self, instance_id: str) -> str:
        """Return the text on an instance's console."""
        return self.machine(instance_id).console

    def _running(self, instance_id: str) -> Machine:
        machine = self.machine(instance_id)
        if not machine.running:
            raise CallFailed("InstanceNotRunning", f"{instance_id} is not running")
        return machine

    # Faults

    async def kill_instance(self, instance_id: str) -> None:
        """Power off."""
        await self.machine(instance_id).power_off()

    async def start_instance(self, instance_id: str) -> None:
        """Boot again, with the files as they were; nothing when it runs."""
        machine = self.machine(instance_id)
        if not machine.running:
            await machine.boot()

    async def restart_instance(self, instance_id: str) -> None:
        """Power off and boot again."""
        await self.kill_instance(instance_id)
        await self.start_instance(instance_id)

    async def swap_host_key(self, instance_id: str, console: bool = False) -> None:
        """Give sshd other host keys; `console`: the instance was rebuilt and prints them."""
        await self.machine(instance_id).swap_host_keys(shown=console)

    async def stop_sshd(self, instance_id: str) -> None:
        """Close the SSH port."""
        await self.machine(instance_id).sshd.stop()

    async def start_sshd(self, instance_id: str) -> None:
        """Open the SSH port again."""
        await self._running(instance_id).start_sshd()

    async def break_sshd_config(self, instance_id: str) -> None:
        """Put a line into sshd's configuration that sshd does not know, and close the SSH port."""
        machine = self.machine(instance_id)
        machine.configure_sshd("PermitRotLogin no\n")
        await machine.sshd.stop()

    async def open_homes(self, instance_id: str) -> None:
        """Let anyone write to the homes of the users."""
        self.machine(instance_id).set_home_mode(0o777)

    async def ineffective_eic(self, instance_id: str, effective: bool = False) -> None:
        """Make sshd ignore pushed keys."""
        self.machine(instance_id).set_eic_effective(effective)

    async def forge_console(self, instance_id: str, kind: str = "kmsg", host_keys: tuple[str, ...] = ()) -> None:
        """Write a forged block of `host_keys` ("type base64"; none: made up) to the console. Raises CallFailed."""
        if kind not in console.FORGERIES:
            raise CallFailed("ValidationException", f"kind must be one of {', '.join(console.FORGERIES)}")
        machine = self.machine(instance_id)
        machine.write_console(console.forged(kind, tuple(host_keys) or _made_up(machine)))

    def map_port(self, instance_id: str, port: int, real_port: int) -> None:
        """Make 127.0.0.1:`real_port` of this machine what listens on localhost:`port` of the instance."""
        self.machine(instance_id).ports[port] = real_port


def _made_up(machine: Machine) -> tuple[str, ...]:
    owner = (machine.accounts.uid, machine.accounts.gid)
    folder = machine.accounts.run / "forged"
    folder.mkdir(mode=0o700, exist_ok=True)
    return tuple(make_host_keys(folder, "forged", owner))
