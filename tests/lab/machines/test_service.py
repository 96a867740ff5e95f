"""The instances process from within: the server's calls and faults, with agents that only say that they live."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from ssm_ssh.lab.agent.quirk import Quirk
from ssm_ssh.lab.machines.faults import FAULTS
from ssm_ssh.lab.machines.instances import Instances
from ssm_ssh.lab.machines.service import InstanceService
from ssm_ssh.lab.options import InstanceOptions
from ssm_ssh.lab.wire.rpc import CallFailed

WEB, OFF = "i-0aaaaaaaaaaaaaaaa", "i-0bbbbbbbbbbbbbbbb"
MEMBERS = (
    (WEB, InstanceOptions(name="web"), "10.0.0.4"),
    (OFF, InstanceOptions(name="off", state="stopped"), "10.0.0.5"),
)
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEXAMPLE me"


class FakeAgent:
    """Notes what is done to it."""

    def __init__(self, log: list[str]) -> None:
        self._log = log
        self.quirk = Quirk()

    def start(self) -> None:
        self._log.append("start")

    async def stop(self) -> None:
        self._log.append("stop")

    async def kill(self) -> None:
        self._log.append("kill")


class Stage:
    """A host with its agents' log."""

    def __init__(self, folder: Path) -> None:
        self.log: list[str] = []
        self.instances = Instances(folder, MEMBERS, sshd="embedded")
        self.host: InstanceService

    async def play(self, scene: Coroutine[object, object, None]) -> None:
        self.host = InstanceService(self.instances, dict.fromkeys((WEB, OFF), lambda: FakeAgent(self.log)))  # type: ignore[arg-type]
        await self.instances.start()
        await self.host.start_agents()
        try:
            await scene
        finally:
            await self.host.stop()

    async def fault(self, name: str, **args: object) -> dict[str, Any]:
        return await self.host.handle("fault", {"name": name, "args": {"instance_id": WEB, **args}})

    async def listens(self) -> bool:
        try:
            _, writer = await self.instances.open_port(WEB, 22)
        except ConnectionRefusedError:
            return False
        writer.close()
        await writer.wait_closed()
        return True


@pytest.fixture
def stage(folder: Path) -> Stage:
    return Stage(folder)


def play(stage: Stage, scene: Coroutine[object, object, None]) -> None:
    asyncio.run(stage.play(scene))


def test_ready_tells_what_is_there(stage: Stage) -> None:
    async def scene() -> None:
        ready = stage.host.ready()["instances"][WEB]
        assert [line.split()[0] for line in ready["host_keys"]] == ["ssh-ed25519", "ecdsa-sha2-nistp256"]
        assert (ready["users"], ready["ssh_port"], ready["sshd"]) == (["ec2-user"], 22, "embedded")
        assert Path(ready["homes"]["ec2-user"]).is_dir()
        assert (await stage.host.handle("host_keys", {"instance_id": WEB}))["host_keys"] == ready["host_keys"]

    play(stage, scene())
    assert stage.log == ["start", "stop"]
    assert not stage.instances.folder.exists() or not any(stage.instances.folder.iterdir())


def test_the_services_calls(stage: Stage) -> None:
    async def scene() -> None:
        handle = stage.host.handle
        await handle("push_key", {"instance_id": WEB, "user": "ec2-user", "public_key": KEY})
        assert stage.instances.machine(WEB).pushed.lines("ec2-user") == [KEY.rsplit(" ", 1)[0]]
        parameters = {"commands": ["echo a", "pwd"], "executionTimeout": ["30"], "workingDirectory": ["/"]}
        done = await handle("send_command", {"instance_id": WEB, "command_id": "x", "parameters": parameters})
        assert (done["status"], done["stdout"]) == ("Success", "a\n/\n")
        assert done["start"] <= done["end"]
        assert "BEGIN SSH HOST KEY KEYS" in (await handle("console_output", {"instance_id": WEB}))["output"]
        assert await handle("map_port", {"instance_id": WEB, "port": 80, "real_port": 8080}) == {}

    play(stage, scene())


def test_calls_that_cannot_be_carried_out(stage: Stage) -> None:
    async def scene() -> None:
        for op, args, code in (
            ("no_such", {}, "UnknownOperation"),
            ("push_key", {"instance_id": WEB}, "ValidationException"),
            ("push_key", {"instance_id": "i-1", "user": "a", "public_key": KEY}, "InvalidInstanceId"),
            ("push_key", {"instance_id": OFF, "user": "a", "public_key": KEY}, "InstanceNotRunning"),
            ("fault", {"name": "no_such", "args": {"instance_id": WEB}}, "ValidationException"),
            ("fault", {"name": "stop_sshd", "args": {}}, "ValidationException"),
            ("fault", {"name": "stop_sshd", "args": {"instance_id": WEB, "more": 1}}, "ValidationException"),
            ("fault", {"name": "start_sshd", "args": {"instance_id": OFF}}, "InstanceNotRunning"),
            ("fault", {"name": "forge_console", "args": {"instance_id": WEB, "kind": "x"}}, "ValidationException"),
        ):
            with pytest.raises(CallFailed) as caught:
                await stage.host.handle(op, args)
            assert caught.value.code == code, op

    play(stage, scene())


def test_every_fault_is_carried_out(stage: Stage) -> None:
    async def scene() -> None:
        for name in sorted(FAULTS):
            assert await stage.fault(name) == {}, name
        await stage.host.handle("clear_faults", {})
        assert await stage.listens()

    play(stage, scene())


def test_an_agent_dies_alone_and_an_instance_with_its_agent(stage: Stage) -> None:
    async def scene() -> None:
        await stage.fault("kill_agent")
        assert stage.log == ["start", "kill"]
        assert await stage.listens()
        await stage.fault("start_agent")
        await stage.fault("start_agent")
        assert stage.log == ["start", "kill", "start"]
        await stage.fault("kill_instance")
        assert stage.log[3:] == ["kill"]
        assert not await stage.listens()
        await stage.fault("start_agent")
        assert stage.log[4:] == []
        await stage.fault("start_instance")
        assert stage.log[4:] == ["start"]
        assert await stage.listens()

    play(stage, scene())


def test_an_instance_that_was_configured_badly(stage: Stage) -> None:
    async def scene() -> None:
        machine = stage.instances.machine(WEB)
        config, home = machine.accounts.etc_ssh / "sshd_config", machine.home("ec2-user")
        before = config.read_text()
        await stage.fault("break_sshd_config")
        await stage.fault("open_homes")
        assert config.read_text() == before + "PermitRotLogin no\n"
        assert not await stage.listens()
        assert home.stat().st_mode & 0o777 == 0o777
        await stage.host.handle("clear_faults", {})
        assert config.read_text() == before
        assert await stage.listens()
        assert home.stat().st_mode & 0o777 == 0o700

    play(stage, scene())


def test_clearing_brings_back_what_was_stopped(stage: Stage) -> None:
    async def scene() -> None:
        await stage.fault("stop_sshd")
        await stage.fault("ineffective_eic")
        await stage.fault("kill_agent")
        assert not await stage.listens()
        await stage.host.handle("clear_faults", {})
        assert await stage.listens()
        assert stage.log == ["start", "kill", "start"]
        await stage.fault("kill_instance")
        await stage.host.handle("clear_faults", {})
        assert await stage.listens()
        assert stage.instances.machine(WEB).pushed.effective
        assert not stage.instances.machine(OFF).running

    play(stage, scene())
