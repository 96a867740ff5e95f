"""Nothing outlives its parent, where the kernel can see to that."""

from __future__ import annotations

import subprocess
import sys

from tests.processes import command_line

_TREE = """
import subprocess, sys
from ssm_ssh.lab.process import lifeline
lifeline.adopt_orphans()
# A child that ends at once and leaves a grandchild in a session of its own.
code = (
    "import subprocess as s; "
    "print(s.Popen(['sleep', '600'], start_new_session=True, stdout=s.DEVNULL, stderr=s.DEVNULL).pid, flush=True)"
)
orphan = int(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)
print(orphan, flush=True)
lifeline.end_descendants()
lifeline.end_descendants()
"""


def test_orphans_are_adopted_and_ended() -> None:
    done = subprocess.run([sys.executable, "-c", _TREE], capture_output=True, text=True, check=True, timeout=60)
    orphan = done.stdout.strip()
    alive = command_line(orphan)
    if sys.platform == "linux":
        assert "sleep" not in alive
    else:
        subprocess.run(["kill", orphan], check=True)


_UNDERTAKER = """
import asyncio, os, subprocess, sys
from ssm_ssh.lab.process import lifeline
lifeline.adopt_orphans()
lifeline._BURY_SECONDS = 0.05

async def main():
    lifeline.reap_orphans(asyncio.get_running_loop())
    code = (
        "import subprocess, sys; "
        "print(subprocess.Popen([sys.executable, '-c', 'input()'], stdout=sys.stderr).pid, flush=True)"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdin=0, stdout=subprocess.PIPE)
    orphan = int(await process.stdout.readline())
    assert await process.wait() == 0
    print("up", flush=True)
    while orphan in lifeline._children(os.getpid()):
        await asyncio.sleep(0.01)
    print("buried", flush=True)

asyncio.run(main())
"""


def test_orphans_that_end_are_buried_and_children_are_left_to_their_parents() -> None:
    if sys.platform != "linux":
        return
    done = subprocess.run(
        [sys.executable, "-c", _UNDERTAKER], input="\n", capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "up\nburied\n"


_PARENT = """
import subprocess, sys
child = (
    "from ssm_ssh.lab.process import lifeline; lifeline.die_with_parent(); "
    "print('up', flush=True); import time; time.sleep(600)"
)
process = subprocess.Popen([sys.executable, "-c", child])
sys.stdin.read()
"""


def test_a_child_dies_with_its_parent() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "up\n"
        if sys.platform == "linux":
            parent.kill()
            # The child holds the pipe for as long as it lives.
            assert parent.stdout.read() == ""
        else:
            parent.kill()
