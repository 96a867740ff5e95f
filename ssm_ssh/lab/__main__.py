"""The lab's server process: `python -m ssm_ssh.lab`, started by client.Lab.

It is started with its configuration as one JSON line on standard input, writes one JSON line when everything is
ready, and then answers each line from its owner (see control.py) with one. It ends when standard input ends or
SIGTERM comes, and takes all that it started and the lab's folder with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from ssm_ssh.errors import SsmSshError
from ssm_ssh.lab.folder import remove
from ssm_ssh.lab.options import LabOptions
from ssm_ssh.lab.process import lifeline
from ssm_ssh.lab.server import Server
from ssm_ssh.lab.wire import rpc


async def _run() -> int:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGINT, stop.set)
    lifeline.reap_orphans(loop)
    reader = asyncio.StreamReader(limit=rpc.LINE_LIMIT)
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    config = json.loads(await reader.readline())
    folder = Path(config["folder"])

    async def owner(server: Server) -> None:
        while line := await reader.readline():
            await asyncio.to_thread(_tell, await server.control.answer(line))
        stop.set()

    watching: list[asyncio.Task[Any]] = []
    try:
        server = Server(folder, LabOptions.from_json(config["options"]), config["environment"])
        watching.append(asyncio.create_task(owner(server)))
        starting = asyncio.create_task(server.start())
        stopping = asyncio.create_task(stop.wait())
        watching += [starting, stopping]
        await asyncio.wait([starting, stopping], return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            starting.cancel()
            await asyncio.wait([starting])
            return 1
        try:
            ready = starting.result()
        except asyncio.TimeoutError:
            _tell({"error": {"message": "the lab did not get ready in time", "hint": ""}})
            return 1
        except SsmSshError as error:
            _tell({"error": {"message": error.message, "hint": error.hint}})
            return 1
        except rpc.CallFailed as error:
            if error.code == "SshdMissing":
                _tell({"error": {"message": error.message, "hint": "Run: apt install openssh-server libnss-wrapper"}})
                return 1
            _tell({"error": {"message": f"the lab's instances did not start: {error.message}", "hint": ""}})
            return 1
        _tell({"ready": ready})
        ended = asyncio.create_task(server.ended.wait())
        watching.append(ended)
        await asyncio.wait([stopping, ended], return_when=asyncio.FIRST_COMPLETED)
        await server.stop()
        return 0 if stop.is_set() else 1
    finally:
        for task in watching:
            task.cancel()
        transport.close()
        lifeline.end_descendants()
        remove(folder)


def _tell(value: dict[str, Any]) -> None:
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.write(json.dumps(value) + "\n")
        sys.stdout.flush()


def main() -> int:
    """Be the server process; return its exit status."""
    lifeline.adopt_orphans()
    os.umask(0o077)
    return asyncio.run(_run())


if __name__ == "__main__":
    sys.exit(main())
