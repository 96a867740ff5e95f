from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

from ssm_ssh.lab.process import descendants as processes
from ssm_ssh.lab.process import lifeline


def test_a_family_is_found_and_ended() -> None:
    parent = subprocess.Popen(
        ["/bin/sh", "-c", "sleep 600 & echo $!; wait"], stdout=subprocess.PIPE, start_new_session=True
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    family = processes.tree(parent.pid)
    assert [pid for pid, _ in family] == [parent.pid, child]
    processes.end([(pid, "another time") for pid, _ in family])
    assert parent.poll() is None
    processes.end(family)
    assert parent.wait() == -9
    assert parent.stdout.read() == b""
    parent.stdout.close()
    assert processes.tree(parent.pid) == []


def test_the_marked_are_found_and_ended(tmp_path: Path) -> None:
    if sys.platform != "linux":
        return
    marked = subprocess.Popen(["sleep", "600"], env={"HOME": str(tmp_path)})
    processes.end((), marks=str(tmp_path))
    assert marked.wait() == -9


def test_an_orphan_that_has_ended_is_collected() -> None:
    if sys.platform != "linux":
        return

    async def use() -> None:
        lifeline.adopt_orphans()
        parent = await asyncio.create_subprocess_exec(
            "/bin/sh", "-c", "sleep 600 & echo $!", stdout=asyncio.subprocess.PIPE
        )
        assert parent.stdout is not None
        orphan = int(await parent.stdout.readline())
        collecting = asyncio.create_task(processes.collect_orphans(0.01))
        os.kill(orphan, signal.SIGKILL)
        while processes.tree(orphan):
            await asyncio.sleep(0.01)
        collecting.cancel()
        assert await parent.wait() == 0

    try:
        asyncio.run(use())
    finally:
        lifeline.leave_orphans()


def test_a_pipe_outlives_its_first_writer() -> None:
    async def use() -> bytes:
        reader, transport, descriptor = await processes.output_pipe()
        os.write(descriptor, b"words")
        os.close(descriptor)
        data = await reader.read()
        transport.close()
        await asyncio.sleep(0)
        return data

    assert asyncio.run(use()) == b"words"
