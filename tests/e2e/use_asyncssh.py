"""Be a program that uses asyncssh: use_asyncssh.py SSH_CONFIG HOST; the rest is from the config."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from pathlib import Path

import asyncssh


async def main(config: str, host: str) -> None:
    data = os.urandom(2 << 20) + bytes(range(256)) + b"\n"
    async with asyncssh.connect(host, config=[config]) as connection:
        status = (await connection.run("exit 7")).exit_status
        echo = await connection.run("cat", input=data, encoding=None)
        newline = await connection.run("cat", input=b"\n", encoding=None)
        async with connection.start_sftp_client() as sftp:
            with tempfile.TemporaryDirectory() as folder:
                up, down = Path(folder, "up"), Path(folder, "down")
                up.write_bytes(data)
                await sftp.put(str(up), "asyncssh ü")
                await sftp.get("asyncssh ü", str(down))
                await sftp.remove("asyncssh ü")
                copied = down.read_bytes()
    said = {
        "status": status,
        "echo": echo.stdout == data,
        "newline": newline.stdout == b"\n",
        "copied": copied == data,
    }
    sys.stdout.write(json.dumps(said))


try:
    asyncio.run(main(*sys.argv[1:]))
except (OSError, asyncssh.Error) as error:
    sys.exit(f"asyncssh: {error}")
