"""AsyncSSH, which reads ~/.ssh/config, with its SFTP and its scp."""

import asyncio
import os

import asyncssh


async def main() -> None:
    async with asyncssh.connect(os.environ["host"], username=os.environ["user"]) as there:
        async with there.start_sftp_client() as sftp:
            await sftp.put("f", "g")
        await asyncssh.scp((there, "g"), "back")
        assert (await there.run("exit 7")).exit_status == 7


asyncio.run(main())
